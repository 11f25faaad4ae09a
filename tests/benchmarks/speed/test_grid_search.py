"""The benchmark of the README's grid search."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.speed import grid_search
from skdpnet import DPNetClassifier, FeatureMaps

SIZE = 64


@pytest.mark.parametrize("framing", ["crop", "aspect"])
def test_the_counting_backbone_is_the_default_one(photographs, framing, tmp_path):
    counting = grid_search.CountingBackbone(tmp_path / "log")
    paths = photographs[0][:3]
    settings = {"image_size": SIZE, "framing": framing}
    counted = FeatureMaps(counting, **settings).fit_transform(paths)
    strides = DPNetClassifier().strides
    expected = FeatureMaps(strides=strides, **settings).fit_transform(paths)
    assert (tmp_path / "log").read_text() == "xxx"
    assert counted.dtype == expected.dtype
    for name in expected.dtype.names:
        # Normalised by way of ImageNet's numbers, hence the rounding.
        np.testing.assert_allclose(counted[name], expected[name], atol=0.02, rtol=0.02)
