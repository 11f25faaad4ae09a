"""The benchmark of the README's grid search."""

from __future__ import annotations

import numpy as np

from benchmarks.speed import grid_search
from skdpnet import DPNetClassifier, FeatureMaps

SIZE = 64


def test_the_counting_backbone_is_the_default_one(photographs, tmp_path):
    counting = grid_search.CountingBackbone(tmp_path / "log")
    paths = photographs[0][:3]
    counted = FeatureMaps(counting, image_size=SIZE).fit_transform(paths)
    strides = DPNetClassifier().strides
    expected = FeatureMaps(image_size=SIZE, strides=strides).fit_transform(paths)
    assert (tmp_path / "log").read_text() == "xxx"
    assert counted.dtype == expected.dtype
    for name in expected.dtype.names:
        # Normalised by way of ImageNet's numbers, hence the rounding.
        np.testing.assert_allclose(counted[name], expected[name], atol=0.02, rtol=0.02)
