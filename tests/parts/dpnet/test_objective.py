"""The terms of the loss against their formulas, in NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.parts.dpnet.model import MapParts, PartModel, PartOutput
from skdpnet.parts.dpnet.objective import PENALTIES, Objective
from skdpnet.training.score_losses import CrossEntropy
from tests.training.test_net import CountCalls

N, C, P = 5, 3, 6
PART_CLASSES = np.array([0, 1, 2, 0, 1, 2])
NO_WEIGHTS = dict.fromkeys(PENALTIES, 0.0)


@pytest.fixture
def model():
    """Two parts of each class: one on each of two maps."""
    random = np.random.default_rng(0)
    map_parts = [MapParts(torch.tensor(random.normal(size=(3, k)))) for k in (4, 5)]
    model = PartModel(map_parts, C, beta=10.0, dropout=0.0).double()
    torch.manual_seed(0)
    torch.nn.init.normal_(model.classifier.weight)
    return model


@pytest.fixture
def batch():
    """Output of the model, labels and weights of N images."""
    random = np.random.default_rng(1)
    logits, descriptor = random.normal(size=(N, C)), random.normal(size=(N, P))
    output = PartOutput(
        torch.tensor(logits), torch.tensor(0.7), torch.tensor(descriptor)
    )
    labels = torch.tensor(random.integers(C, size=N))
    return output, labels, torch.tensor(random.uniform(0.5, 2, N))


def objective(part_classes=PART_CLASSES, form="absolute", **weights):
    return Objective(
        torch.from_numpy(part_classes),
        weights={**NO_WEIGHTS, **weights},
        ridge=0.3,
        loss=CrossEntropy(0.1),
        specificity_form=form,
    )


def test_cross_entropy_and_ridge_follow_their_formulas(model, batch):
    terms = objective().terms(model, *batch)
    assert list(terms) == objective().term_names == ["cross_entropy", "ridge"]
    output, labels, weights = (
        batch[0].logits.numpy(),
        batch[1].numpy(),
        batch[2].numpy(),
    )
    expected = 0.0
    for logits, label, weight in zip(output, labels, weights, strict=True):
        log_p = logits - np.log(np.exp(logits).sum())
        target = 0.9 * np.eye(C)[label] + 0.1 / C
        expected -= weight * (target @ log_p) / N
    assert terms["cross_entropy"].item() == pytest.approx(expected)
    v = model.classifier.weight.detach().numpy()
    assert terms["ridge"].item() == pytest.approx(0.3 * (v**2).sum())


def test_orthogonality_compares_parts_of_the_same_map_only(model, batch):
    terms = objective(orthogonality=2.0).terms(model, *batch)
    expected = 0.0
    for on_map in model.map_parts:
        u = on_map.parts.detach().numpy()
        u = u / np.linalg.norm(u, axis=1, keepdims=True)
        for i in range(3):
            for j in range(3):
                if i != j:
                    expected += (u[i] @ u[j]) ** 2
    assert terms["orthogonality"].item() == pytest.approx(2 * expected / P)


def test_assignment_is_that_of_the_forward_pass(model, batch):
    terms = objective(assignment=3.0).terms(model, *batch)
    assert terms["assignment"].item() == pytest.approx(3 * 0.7)


@pytest.mark.parametrize(
    ("form", "f", "root"),
    [
        ("signed", lambda v: v, P**0.5),
        ("absolute", abs, P**0.5),
        ("square", lambda v: v * v, 1),
    ],
)
def test_specificity_is_a_term_and_a_penalty_of_the_classifier(
    model, batch, form, f, root
):
    loss = objective(form=form, specificity=4.0)
    v = model.classifier.weight.detach().numpy()
    expected = 0.0
    for i in range(C):
        for j in range(P):
            if PART_CLASSES[j] != i:
                expected += f(v[i, j])
    expected *= 4 / ((C - 1) * root)
    terms = loss.terms(model, *batch)
    assert terms["specificity"].item() == pytest.approx(expected)
    penalty = loss.classifier_penalty
    value = penalty.function(model.classifier.weight)
    assert value.item() == pytest.approx(expected)
    assert penalty.sparse == (form == "absolute")


def test_penalties_on_parts_leave_the_classifier_s_fits_alone():
    assert objective(orthogonality=1.0, assignment=1.0).classifier_penalty is None


def test_the_classes_of_parts_move_to_a_device_once():
    loss = objective(np.arange(3), specificity=1.0)
    v = torch.ones(3, 3, device="meta")
    n_moves = []
    for _ in range(3):
        with CountCalls(torch.ops.aten._to_copy.default) as moves:
            loss.classifier_penalty.function(v)
        n_moves.append(moves.calls)
    assert n_moves[0] > n_moves[1] == n_moves[2]
