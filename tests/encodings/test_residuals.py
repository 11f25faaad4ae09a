"""The residuals that VLAD sums, as a function of tensors."""

from __future__ import annotations

import numpy as np
import torch

from skdpnet.encodings.residuals import encode_residuals
from skdpnet.encodings.vocabulary import project
from skdpnet.regions.whitening import Whitening


def test_double_precision_is_kept():
    random = np.random.default_rng(0)
    descriptors = torch.from_numpy(random.normal(size=(3, 4, 2, 1, 5)))
    word = torch.from_numpy(random.normal(size=(1, 5)))
    got = encode_residuals(descriptors, word, power=1.0)
    sums = descriptors.flatten(1, 3).sum(1) - 8 * word
    torch.testing.assert_close(got[:, 0], sums / sums.norm(dim=1, keepdim=True))
    assert got.dtype == torch.float64


def test_residuals_that_are_rounding_are_none():
    words = torch.tensor([[0.3, 0.7], [-0.8, 0.1]])
    # The square root would make much of the last digits.
    descriptors = words[[0, 0, 1]].view(1, 3, 1, 1, 2) * (1 + 1e-7)
    assert not encode_residuals(descriptors, words).any()


def test_everything_is_computed_on_the_device_of_the_descriptors():
    # Tensors of two devices do not mix; this one computes shapes alone.
    descriptors = torch.empty(2, 6, 5, 3, 8, device="meta")
    whitening = Whitening(np.zeros(8, np.float32), np.eye(8, 4, dtype=np.float32))
    projected = project(descriptors, whitening)
    words = torch.empty(7, 4, device="meta")
    valid = descriptors.any(dim=4)
    got = encode_residuals(projected, words, valid, levels=[(1, 1), (3, 1)])
    assert got.device.type == "meta" and got.shape == (2, 4, 7 * 4)
