"""Precomputed features are checked without copying them, and labels are checked."""

from __future__ import annotations

import tracemalloc
from collections import UserList, deque

import numpy as np
import pytest
from sklearn.utils.validation import check_array

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    SoftAssignParts,
)

PARTS = DPNetTransformer("precomputed", n_parts_per_class=1, max_epochs=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 2, 5)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", [0, 99])
def test_values_that_are_not_finite_are_refused_as_by_scikit_learn(
    dtype, shape, value, image
):
    X = np.random.default_rng(0).random((100, *shape)).astype(dtype)
    X[image].flat[-1] = value
    name = "X" if X.ndim == 2 else ""
    with pytest.raises(ValueError, match="contains") as expected:
        check_array(X, allow_nd=True, estimator=PARTS, input_name=name)
    with pytest.raises(ValueError, match="contains") as raised:
        PARTS.fit(X, np.arange(100) % 2)
    assert str(raised.value) == str(expected.value)


def test_the_sum_of_features_may_exceed_their_dtype():
    X = np.full((100, 3, 3, 50), 60_000, np.float16)
    X[::2, :, :, ::2] = 0
    assert np.isfinite(PARTS.fit_transform(X, np.arange(100) % 2)).all()


@pytest.mark.parametrize("fields", [False, True])
def test_checking_maps_of_float16_takes_little_memory(fields):
    random = np.random.default_rng(0)
    X = random.random((1000, 7, 7, 128), dtype=np.float32).astype(np.float16)
    if fields:
        whole = np.empty(1000, [("map0", "f2", (7, 7, 128)), ("map1", "f2", (1, 1, 4))])
        whole["map0"], whole["map1"] = X, X[:, :1, :1, :4]
        X = whole
    estimator = GlobalFeatures("precomputed")
    tracemalloc.start()
    estimator._all_maps(X, reset=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 8


@pytest.mark.parametrize("cls", [DPNetClassifier, SoftAssignParts])
@pytest.mark.parametrize("kind", [list, tuple, UserList, deque, np.array])
def test_every_image_needs_a_label(cls, kind):
    images = kind([np.zeros((32, 32, 3), np.uint8)] * 8)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[8, 5\]"):
        cls(image_size=32).fit(images, [0, 1, 0, 1, 0])


def test_arguments_that_are_not_lists_are_refused():
    for X in ("flowers", b"flowers", {"a": 1, "b": 2, "c": 3}, {"a", "b", "c"}):
        with pytest.raises(TypeError, match="X is"):
            DPNetClassifier().fit(X, [0, 1])
