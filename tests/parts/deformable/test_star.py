"""Scores of stars, against loops over all placements of root and parts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.parts.deformable.star import StarMaps, Stars, displaced_responses
from skdpnet.parts.deformable.star_model import StarModel, by_extent, star_penalty

EXTENTS = np.array([[7, 7], [5, 7], [7, 6]])


def made_stars(seed=0):
    """Two stars with three parts of 2×2 cells; their roots have 4×4 cells."""
    random = np.random.default_rng(seed)
    arrays = (
        random.normal(size=(2, 3, 4, 4)),
        random.normal(size=(2, 3, 5, 2, 2)),
        random.integers(-1, 8, size=(2, 3, 2)),
        np.abs(random.normal(size=(2, 3, 4))) / 5,
        random.normal(size=2),
    )
    tensors = [torch.from_numpy(array) for array in arrays]
    return Stars(*(t if t.dtype == torch.int64 else t.float() for t in tensors))


def made_maps(seed=1):
    """Images of 7×7 coarse cells and 14×14 fine ones, two of which fill only some."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(3, 3, 7, 7)).astype(np.float32)
    fine = random.normal(size=(3, 5, 14, 14)).astype(np.float32)
    for i, (rows, columns) in enumerate(EXTENTS):
        coarse[i, :, rows:], coarse[i, :, :, columns:] = 0, 0
        fine[i, :, 2 * rows :], fine[i, :, :, 2 * columns :] = 0, 0
    extents = torch.from_numpy(EXTENTS)
    return StarMaps(
        *(torch.from_numpy(coarse), torch.from_numpy(fine)),
        *(extents, 2 * extents, (2.0, 2.0)),
    )


def by_loops(stars, maps, image, star):
    """The score of each placement of the root, and of each part where it is best."""
    kinds = stars.roots, stars.parts, stars.anchors, stars.deformations
    root, parts, anchors, deformations = (kind[star].double().numpy() for kind in kinds)
    coarse, fine = (
        maps.coarse[image].double().numpy(),
        maps.fine[image].double().numpy(),
    )
    rows, columns = EXTENTS[image]
    scores, places = {}, {}
    for r, c in itertools.product(range(rows - 3), range(columns - 3)):
        total = (root * coarse[:, r : r + 4, c : c + 4]).sum() + float(
            stars.biases[star]
        )
        places[r, c] = []
        for part, (down, across), (a, b, d, e) in zip(
            parts, anchors, deformations, strict=True
        ):
            terms = {}
            for y, x in itertools.product(range(2 * rows - 1), range(2 * columns - 1)):
                dy, dx = y - 2 * r - down, x - 2 * c - across
                terms[y, x] = (part * fine[:, y : y + 2, x : x + 2]).sum() - (
                    a * dy + b * dy**2 + d * dx + e * dx**2
                )
            best = max(terms, key=terms.get)
            total += terms[best]
            places[r, c].append(best)
        scores[r, c] = total
    return scores, places


@pytest.mark.parametrize("image", range(3))
@pytest.mark.parametrize("star", range(2))
def test_scores_are_those_of_all_placements_tried(image, star):
    stars, maps = made_stars(), made_maps()
    found = stars.scores(maps, *stars.responses(maps))[image, star]
    expected, _ = by_loops(stars, maps, image, star)
    assert found.shape == (4, 4)
    for place in itertools.product(range(4), range(4)):
        at = float(found[place])
        assert_allclose(at, expected.get(place, -np.inf), rtol=1e-4, atol=1e-4)


def test_the_model_finds_the_best_joint_placement_and_its_features_give_the_score():
    stars, maps = made_stars(), made_maps()
    model = StarModel(by_extent(maps, 4, 2), stars)
    weights = model.weights()
    placements = model.place(weights)
    numbers = np.array([2, 0, 1])
    features = model.features(numbers, placements)
    for row, image in zip(features, numbers, strict=True):
        of_stars = [by_loops(stars, maps, image, star) for star in range(2)]
        best = [max(scores.values()) for scores, _ in of_stars]
        star = int(np.argmax(best))
        scores, places = of_stars[star]
        root = max(scores, key=scores.get)
        assert placements.components[image] == star
        assert placements.places[image].tolist() == [
            [*root],
            *map(list, places[root]),
        ]
        assert_allclose(placements.scores[image], best[star], rtol=1e-4)
        assert_allclose(row @ weights[star], best[star], rtol=1e-4)


def test_weights_and_stars_are_the_same_numbers():
    stars = made_stars()
    model = StarModel([], stars)
    again = model.with_weights(model.weights())
    for name in ("roots", "parts", "anchors", "deformations", "biases"):
        assert torch.equal(getattr(again, name), getattr(stars, name))


def test_the_penalty_bounds_squares_and_leaves_biases_free():
    stars = made_stars()
    penalty = star_penalty(stars, 0.5, 0.02, 0.1)
    model = StarModel([], stars)
    bounded = torch.from_numpy(np.tile(np.float32(penalty.least > -1), (2, 1)))
    where = model.with_weights(bounded.numpy())
    assert (where.deformations == torch.tensor([0.0, 1.0, 0.0, 1.0])).all()
    assert not (where.roots.any() or where.parts.any() or where.biases.any())
    assert_allclose(penalty.least[penalty.least > -1], 0.002)
    factors = model.with_weights(np.tile(penalty.factors, (2, 1)))
    assert (factors.roots == 1).all() and (factors.parts == 1).all()
    assert (factors.deformations == 10).all() and (factors.biases == 0).all()


def test_the_maximum_of_displaced_responses_is_the_distance_transform():
    random = np.random.default_rng(3)
    responses = random.normal(size=(6, 5))
    a, b, c, d = deformation = np.abs(random.normal(size=4))
    found = displaced_responses(
        *map(torch.from_numpy, (responses, deformation, np.array([2, -1])))
    )
    dy, dx = np.arange(6)[:, None] - 2, np.arange(5)[None] + 1
    assert_allclose(found, responses - a * dy - b * dy**2 - c * dx - d * dx**2)
