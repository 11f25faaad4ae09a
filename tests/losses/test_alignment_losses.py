"""The self-supervised losses of PIP-Net against NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from skdpnet.losses import alignment, presence


def shares(seed, shape=(3, 5, 4)):
    x = np.random.default_rng(seed).random(shape)
    return x / x.sum(axis=-1, keepdims=True)


def test_alignment_is_the_mean_negative_log_of_the_products():
    first, second = shares(0), shares(1)
    expected = -np.log((first * second).sum(axis=2)).mean()
    value = alignment(torch.from_numpy(first), torch.from_numpy(second))
    assert_allclose(float(value), expected, rtol=1e-9)
    counts = np.random.default_rng(2).random((3, 5)) < 0.5
    expected = -np.log((first * second).sum(axis=2))[counts].mean()
    value = alignment(*map(torch.from_numpy, (first, second, counts)))
    assert_allclose(float(value), expected, rtol=1e-9)


def test_alignment_of_a_view_with_itself_is_an_entropy():
    z = shares(0)
    value = alignment(torch.from_numpy(z), torch.from_numpy(z))
    assert_allclose(float(value), -np.log(np.square(z).sum(axis=2)).mean(), rtol=1e-9)
    uniform = torch.full((2, 3, 8), 1 / 8)
    assert_allclose(float(alignment(uniform, uniform)), np.log(8), rtol=1e-6)


def test_each_view_follows_the_other_which_stands_still():
    """The gradient is half that of a loss whose other view is a constant."""
    first = torch.from_numpy(shares(0)).requires_grad_()
    second = torch.from_numpy(shares(1)).requires_grad_()
    alignment(first, second).backward()
    z, other = first.detach().numpy(), second.detach().numpy()
    expected = -other / (z * other).sum(axis=2, keepdims=True) / 2 / 15
    assert_allclose(first.grad.numpy(), expected, rtol=1e-9)


def test_nothing_is_divided_by_no_regions():
    z = torch.from_numpy(shares(0))
    value = alignment(z, z, torch.zeros(3, 5, dtype=torch.bool))
    assert float(value) == 0


def test_presence_by_hand():
    p = torch.tensor([[0.9, 0.0], [0.3, 0.2]], dtype=torch.float64)
    expected = -(np.log(np.tanh(1.2)) + np.log(np.tanh(0.2))) / 2
    assert_allclose(float(presence(p)), expected, rtol=1e-6)
    twice = presence(torch.cat([p, p]))
    assert_allclose(float(presence(p, scale=2)), float(twice), rtol=1e-9)


def test_a_prototype_that_is_never_present_has_a_finite_loss():
    value = presence(torch.zeros(4, 3))
    assert_allclose(float(value), -np.log(1e-8), rtol=1e-5)
