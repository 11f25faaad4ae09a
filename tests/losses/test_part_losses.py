"""The penalties against their formulas, in NumPy loops."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from skdpnet import losses

FORMS = pytest.mark.parametrize(
    ("form", "f", "root"),
    [
        ("signed", lambda v: v, 6**0.5),
        ("absolute", abs, 6**0.5),
        ("square", lambda v: v * v, 1),
    ],
)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 3)])
def test_orthogonality_is_the_mean_number_of_twins_of_a_part(shape):
    # From the cosines of pairs of parts, or from the smaller matrix of dimensions.
    parts = _random(*shape)
    u = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    expected = 0.0
    for i in range(len(parts)):
        for j in range(len(parts)):
            if i != j:
                expected += (u[i] @ u[j]) ** 2
    got = losses.orthogonality(torch.tensor(parts))
    assert got.item() == pytest.approx(expected / len(parts), abs=1e-12)


def test_orthogonality_is_least_for_different_parts_and_grows_for_parallel_ones():
    assert losses.orthogonality(torch.eye(4)).item() == 0
    parallel = torch.tensor([[1.0, 0], [2, 0], [0, 1]])
    assert losses.orthogonality(parallel).item() == pytest.approx(2 / 3)


def test_orthogonality_of_a_zero_part_is_finite_with_finite_gradient():
    parts = torch.tensor([[0.0, 0], [1, 1]], requires_grad=True)
    value = losses.orthogonality(parts)
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(parts.grad).all()


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_assignment_is_the_mean_entropy_over_regions(temperature):
    responses = _random(2, 4, 3)  # images, regions, parts
    entropies = []
    for image in responses:
        for region in image:
            s = np.exp(region / temperature)
            s /= s.sum()
            entropies.append(-sum(p * np.log(p) for p in s))
    got = losses.assignment(torch.tensor(responses), temperature)
    assert got.item() == pytest.approx(np.mean(entropies))


def test_assignment_lies_between_certainty_and_uniformity():
    certain = torch.tensor([[[1.0, -1.0, -1.0]]])
    assert losses.assignment(certain, 0.01).item() == pytest.approx(0, abs=1e-6)
    uniform = torch.zeros(1, 2, 8)
    assert losses.assignment(uniform, 0.1).item() == pytest.approx(np.log(8))


@pytest.mark.parametrize("copies", [2, 7])
def test_orthogonality_of_n_equal_parts_is_n_less_1(copies):
    part = torch.tensor(_random(1, 3))
    got = losses.orthogonality(part.repeat(copies, 1))
    assert got.item() == pytest.approx(copies - 1)
    # The same parts with as many zero parts: half of the parts have these twins.
    zeros = torch.zeros(copies, 3)
    got = losses.orthogonality(torch.cat([part.repeat(copies, 1), zeros]))
    assert got.item() == pytest.approx((copies - 1) / 2)


@FORMS
def test_specificity_sums_the_weights_of_foreign_parts(form, f, root):
    v = _random(3, 6)
    part_classes = np.array([0, 0, 1, 1, 2, 2])
    expected = 0.0
    for i in range(3):
        for j in range(6):
            if part_classes[j] != i:
                expected += f(v[i, j])
    got = losses.specificity(torch.tensor(v), torch.tensor(part_classes), form)
    assert got.item() == pytest.approx(expected / 2 / root)


@FORMS
def test_specificity_leaves_the_weights_of_shared_parts_free(form, f, root):
    v = _random(3, 6)
    part_classes = np.array([0, -1, 1, 2, -1, -1])
    expected = 0.0
    for i in range(3):
        for j in range(6):
            if part_classes[j] not in (-1, i):
                expected += f(v[i, j])
    got = losses.specificity(torch.tensor(v), torch.tensor(part_classes), form)
    assert got.item() == pytest.approx(expected / 2 / root)
    shared = torch.full((6,), -1)
    assert losses.specificity(torch.tensor(v), shared, form).item() == 0


@pytest.mark.parametrize("form", ["absolute", "square"])
def test_specificity_is_the_same_for_weights_spread_over_more_parts(form):
    v, part_classes = _random(3, 6), torch.tensor([0, 0, 1, 1, 2, 2])
    # Four copies of each part, which have the same scores together, and rows of V of
    # the same length where descriptors have.
    spread = torch.tensor(np.repeat(v, 4, axis=1) / 2)
    few = losses.specificity(torch.tensor(v), part_classes, form)
    many = losses.specificity(spread, part_classes.repeat_interleave(4), form)
    assert many.item() == pytest.approx(few.item())


def test_an_unknown_form_of_specificity_is_refused():
    with pytest.raises(ValueError, match="form must be one of .*'signed'.* got 'l1'"):
        losses.specificity(torch.ones(2, 2), torch.arange(2), "l1")


def test_gradients_agree_with_finite_differences():
    parts = torch.tensor(_random(4, 3), requires_grad=True)
    responses = torch.tensor(_random(2, 3, 4), requires_grad=True)
    weights = torch.tensor(_random(2, 4), requires_grad=True)
    part_classes = torch.tensor([0, 0, 1, -1])
    assert gradcheck(losses.orthogonality, parts)
    assert gradcheck(lambda s: losses.assignment(s, 0.5), responses)
    for form in ("signed", "absolute", "square"):
        assert gradcheck(
            lambda v, f=form: losses.specificity(v, part_classes, f), weights
        )
