"""Elements trained fold after fold: what they see, when, and what they find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.parts.mode_seeking import elements as elements_module
from skdpnet.parts.mode_seeking.elements import (
    Search,
    biases_over_all,
    folds_of,
    seek_modes,
)
from skdpnet.parts.mode_seeking.objective import ascend

SEARCH = Search(beta=1.0, penalty=0.05, n_rounds=3)
DEPTH = 8


def planted(n=36, n_regions=10, seed=0):
    """One region of each image is near the axis of its class, the others are noise."""
    random = np.random.default_rng(seed)
    regions = random.standard_normal((n, n_regions, DEPTH))
    labels = np.arange(n) % 3
    places = random.integers(n_regions, size=n)
    near = np.eye(DEPTH)[labels] + 0.1 * random.standard_normal((n, DEPTH))
    regions[np.arange(n), places] = near
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    return regions.astype(np.float32), labels, places


@pytest.fixture
def problem():
    regions, labels, places = planted()
    folds = folds_of(labels, SEARCH.n_rounds, np.random.RandomState(0))
    images = np.array([0, 1, 2, 12, 13, 14, 33])
    return regions, labels, folds, np.stack([images, places[images]], axis=1)


def test_folds_share_the_images_of_each_class_out():
    labels = np.repeat([0, 1, 2], [10, 3, 1])
    folds = folds_of(labels, 5, np.random.RandomState(0))
    counts = np.array([np.bincount(folds[labels == c], minlength=5) for c in range(3)])
    assert counts.sum(axis=1).tolist() == [10, 3, 1]
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_elements_turn_to_the_planted_direction_and_find_its_regions(problem):
    regions, labels, folds, seeds = problem
    found = seek_modes(regions, labels, folds, seeds, SEARCH)
    directions = found.elements / np.linalg.norm(found.elements, axis=1, keepdims=True)
    classes = labels[seeds[:, 0]]
    assert (directions[np.arange(len(seeds)), classes] > 0.9).all()
    places = planted()[2]
    own = np.isfinite(found.scores) & (labels == classes[:, None])
    assert (found.regions == places)[own].mean() > 0.9


def test_elements_look_at_all_images_but_those_of_their_first_fold(problem):
    regions, labels, folds, seeds = problem
    scores = seek_modes(regions, labels, folds, seeds, SEARCH).scores
    for row, image in zip(scores, seeds[:, 0], strict=True):
        assert (np.isfinite(row) == (folds != folds[image])).all()


def test_images_of_later_folds_change_no_earlier_detections(problem):
    """Elements are ranked by images that they had not been trained on."""
    regions, labels, folds, seeds = problem
    seeds = seeds[:1]
    first, second, third = (folds[seeds[0, 0]] + np.arange(3)) % 3
    others = regions.copy()
    others[folds == third] = planted(seed=9)[0][folds == third]
    ours = seek_modes(regions, labels, folds, seeds, SEARCH)
    theirs = seek_modes(others, labels, folds, seeds, SEARCH)
    is_second = folds == second
    assert (ours.scores[:, is_second] == theirs.scores[:, is_second]).all()
    assert (ours.scores[:, folds == third] != theirs.scores[:, folds == third]).all()
    assert (ours.elements != theirs.elements).any()
    # The scores are those of the element that was trained on the first fold alone.
    in_first = folds == first
    own = in_first & (labels == labels[seeds[0, 0]])
    alone = ascend(
        2 * torch.from_numpy(regions[seeds[:, 0], seeds[:, 1]]),
        torch.from_numpy(regions[own].reshape(-1, DEPTH)),
        torch.from_numpy(regions[in_first & ~own].reshape(-1, DEPTH)),
        beta=SEARCH.beta,
        penalty=SEARCH.penalty * own.sum(),
        n_steps=elements_module._N_STEPS,
    )
    direction = alone.elements[0] / alone.elements[0].norm()
    expected = (regions[is_second] @ direction.numpy()).max(axis=1)
    assert_allclose(ours.scores[0, is_second], expected, rtol=1e-3, atol=1e-4)


def test_what_other_classes_have_above_the_bias_is_beta(problem):
    regions, labels, folds, seeds = problem
    found = seek_modes(regions, labels, folds, seeds, SEARCH)
    for w, b, image in zip(found.elements, found.biases, seeds[:, 0], strict=True):
        scores = regions[labels != labels[image]] @ w
        assert np.maximum(scores - b, 0).sum() == pytest.approx(1.0, rel=1e-3)


def test_the_hardest_regions_are_kept_whatever_the_pieces(problem, monkeypatch):
    whole = seek_modes(*problem, SEARCH)
    monkeypatch.setattr(elements_module, "_PIECE_BYTES", 1)
    pieces = seek_modes(*problem, SEARCH)
    for ours, theirs in zip(pieces, whole, strict=True):
        assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("piece", [1, 2**20])
def test_biases_over_all_leave_beta_to_the_other_classes(problem, monkeypatch, piece):
    monkeypatch.setattr(elements_module, "_PIECE_BYTES", piece)
    regions, labels, _, seeds = problem
    elements = 2 * regions[seeds[:, 0], seeds[:, 1]]
    classes = labels[seeds[:, 0]]
    biases = biases_over_all(regions, labels, elements, classes, beta=0.5)
    for w, b, c in zip(elements, biases, classes, strict=True):
        above = np.maximum(regions[labels != c] @ w - b, 0)
        assert above.sum() == pytest.approx(0.5, rel=1e-4)


def test_a_fold_without_other_classes_waits_for_them():
    regions, labels, places = planted(6)
    folds = np.array([0, 1, 1, 0, 1, 1])
    seeds = np.array([[0, places[0]]])
    search = Search(beta=1.0, penalty=0.05, n_rounds=2)
    found = seek_modes(regions, labels, folds, seeds, search)
    expected = (regions @ regions[0, places[0]]).max(axis=1)
    assert_allclose(found.scores[0, folds == 1], expected[folds == 1], rtol=1e-5)
    assert found.biases[0] != 0
