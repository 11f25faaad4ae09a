"""Every estimator of the package's table saves, loads, and rejects a forged state."""

from __future__ import annotations

import numpy as np
import pytest

import skdpnet
from skdpnet.base.map_estimator import MapEstimator
from tests.estimators import all_estimators, targets_for

X = np.random.default_rng(0).random((24, 4, 4, 5)).astype(np.float32)
Y = np.array(["ash", "beech"])[np.arange(24) % 2]


@pytest.mark.parametrize(
    "estimator", all_estimators(), ids=lambda estimator: type(estimator).__name__
)
def test_what_is_loaded_gives_what_was_saved(estimator, tmp_path):
    assert isinstance(estimator, MapEstimator)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    descriptors = estimator.fit(X, targets_for(estimator, Y)).transform(X)
    estimator.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    assert type(loaded) is type(estimator)
    np.testing.assert_array_equal(loaded.transform(X), descriptors)
    assert (
        loaded.get_feature_names_out().tolist()
        == estimator.get_feature_names_out().tolist()
    )
    # What a class declares is what `fit` sets and `load` gives back.
    for name in type(estimator)._fitted_attributes:
        assert hasattr(loaded, name) and hasattr(estimator, name)
