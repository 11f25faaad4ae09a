"""The skorch net: how often it waits for the device, and its constant rate."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skdpnet import DPNetClassifier
from skdpnet.training.net import ObjectiveNet, set_constant_rate
from tests.parts.dpnet.made_maps import part_maps, quick

WEIGHTS = {
    "orthogonality_weight": 1.0,
    "assignment_weight": 0.1,
    "specificity_weight": 0.5,
}


class CountCalls(TorchDispatchMode):
    """Counts the calls of an operator of torch."""

    def __init__(self, operator):
        super().__init__()
        self.operator, self.calls = operator, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += func is self.operator
        return func(*args, **kwargs or {})


def test_the_terms_of_a_step_are_copied_to_the_cpu_together(monkeypatch):
    n_copies = []
    original = ObjectiveNet.get_loss

    def get_loss(self, *args, **kwargs):
        with CountCalls(torch.ops.aten._local_scalar_dense.default) as copies:
            loss = original(self, *args, **kwargs)
        n_copies.append(copies.calls)
        return loss

    monkeypatch.setattr(ObjectiveNet, "get_loss", get_loss)
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, max_epochs=1, **WEIGHTS).fit(X, y)
    assert len(n_copies) == 2 and max(n_copies) <= 1
    # The history holds them as numbers of Python.
    batch = model.history_[-1, "batches", 0]
    terms = [
        batch[name] for name in batch if name not in ("train_loss", "train_batch_size")
    ]
    assert len(terms) == 5 and {type(term) for term in terms} == {float}
    np.testing.assert_allclose(sum(terms), batch["train_loss"], rtol=1e-6)


def test_a_constant_rate_replaces_the_schedule_and_the_validation():
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, max_epochs=1, validation_fraction=0.2).fit(X, y)
    set_constant_rate(model.net_, 0.25)
    assert [group["lr"] for group in model.net_.optimizer_.param_groups] == [0.25]
    names = [name for name, _ in model.net_.callbacks_]
    assert not {"schedule", "early_stopping", "valid_cross_entropy"} & set(names)
    assert {"train_cross_entropy", "classifier_refit"} <= set(names)
