"""How a net trains on another device: what it waits for, and what kernels get."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import skdpnet
from skdpnet import DPNetClassifier
from skdpnet.parts.dpnet.objective import Objective
from skdpnet.training.net import ObjectiveNet
from tests.parts.dpnet.made_maps import part_maps, quick

WEIGHTS = {
    "orthogonality_weight": 1.0,
    "assignment_weight": 0.1,
    "specificity_weight": 0.5,
}


class Counted(TorchDispatchMode):
    """Counts the calls of one of torch's operators."""

    def __init__(self, operator):
        super().__init__()
        self.operator, self.calls = operator, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += func is self.operator
        return func(*args, **kwargs or {})


def test_the_terms_of_a_step_are_fetched_together(monkeypatch):
    fetched = []
    plain = ObjectiveNet.get_loss

    def get_loss(self, *args, **kwargs):
        with Counted(torch.ops.aten._local_scalar_dense.default) as counted:
            loss = plain(self, *args, **kwargs)
        fetched.append(counted.calls)
        return loss

    monkeypatch.setattr(ObjectiveNet, "get_loss", get_loss)
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, max_epochs=1, **WEIGHTS).fit(X, y)
    assert len(fetched) == 2 and max(fetched) <= 1
    # They are those of the history, as numbers of Python.
    batch = model.history_[-1, "batches", 0]
    terms = [
        batch[name] for name in batch if name not in ("train_loss", "train_batch_size")
    ]
    assert len(terms) == 5 and {type(term) for term in terms} == {float}
    np.testing.assert_allclose(sum(terms), batch["train_loss"], rtol=1e-6)


def test_the_owners_of_parts_move_to_a_device_once():
    owner = torch.arange(3)
    weights = {"orthogonality": 0.0, "assignment": 0.0, "specificity": 1.0}
    objective = Objective(owner, weights, 0.1, 0.1, "absolute")
    v = torch.ones(3, 3, device="meta")
    moves = []
    for _ in range(3):
        with Counted(torch.ops.aten._to_copy.default) as counted:
            objective.classifier_penalty(v)
        moves.append(counted.calls)
    assert moves[0] > moves[1] == moves[2]


@pytest.mark.parametrize("beta", [np.float32(40), np.float16(40), 40])
def test_kernels_get_a_number_of_python(beta, tmp_path):
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, max_epochs=1, beta=beta).fit(X, y)
    # Triton fails on NumPy's.
    assert type(model.net_.module_.beta) is float
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    assert type(loaded.net_.module_.beta) is float
    expected = quick(DPNetClassifier, max_epochs=1, beta=40.0).fit(X, y)
    np.testing.assert_array_equal(model.parts_, expected.parts_)
    assert model.beta is beta
