"""The likeness of slots against NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from skdpnet.losses import slot_orthogonality


def test_it_is_the_mean_number_of_twins_of_a_slot():
    random = np.random.default_rng(0)
    slots = random.dirichlet(np.ones(6), size=(4, 3)).swapaxes(1, 2)  # (C, P, N)
    expected = 0.0
    for of_class in slots:
        for n in range(3):
            for m in range(3):
                if n != m:
                    a, b = of_class[:, n], of_class[:, m]
                    expected += a @ b / np.sqrt((a @ a) * (b @ b)) / (4 * 3)
    found = slot_orthogonality(torch.from_numpy(slots))
    assert_allclose(found.item(), expected, rtol=1e-12)


def test_it_does_not_compare_slots_of_two_classes():
    slots = torch.eye(3)[[0, 1]].T.expand(5, 3, 2)
    assert slot_orthogonality(slots).item() == 0


def test_equal_slots_have_all_others_as_twins():
    slots = torch.full((2, 5, 4), 0.2)
    assert_allclose(slot_orthogonality(slots).item(), 3, rtol=1e-6)


def test_a_single_slot_has_none_and_a_gradient_without_nan():
    slots = torch.eye(4)[:, :1].expand(3, 4, 1).clone().requires_grad_()
    loss = slot_orthogonality(slots)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(slots.grad).all()
