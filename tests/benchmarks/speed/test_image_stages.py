"""The stages on image_stages."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.speed import image_stages

CPU = torch.device("cpu")


def test_the_plain_way_from_files_gives_the_model_s_maxima(class_folders):
    key = {
        "data": str(class_folders), "images": 2, "backbone": "efficientnet_lite0",
        "precision": "float32", "parts": 20,
    }  # fmt: skip
    ways = image_stages.prepare_backbone(key, CPU).ways
    descriptors = ways["transform"].run()
    maxima = ways["plain"].run().numpy()
    model = image_stages._fitted(*(key[k] for k in ("data", "backbone", "precision")),
                             20, "cpu")  # fmt: skip
    module = model.net_.module_
    expected = (maxima - module.shift.numpy()) * module.scale.numpy()
    # torchvision's crop and number of places of the filter differ a little.
    np.testing.assert_allclose(
        descriptors, expected, atol=0.15 * np.abs(descriptors).max()
    )
