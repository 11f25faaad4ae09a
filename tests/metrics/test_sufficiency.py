"""How many parts a decision rests on, and how much parts repeat: by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skdpnet import DPNetClassifier, metrics
from skdpnet.explanations.readout import linear_readout
from skdpnet.metrics import _sufficiency
from tests.parts.dpnet.test_estimators import part_maps, quick


def counted_one_by_one(coef, intercept, descriptor, order=None):
    """Keep and flip of one image, straight from the definition."""
    n_parts = len(descriptor)

    def wins(kept):
        scores = intercept + sum(
            (coef[:, p] * descriptor[p] for p in kept), np.zeros(len(coef))
        )
        return all(scores[winner] > scores[c] for c in range(len(coef)) if c != winner)

    scores = coef @ descriptor + intercept
    winner, second = np.argsort(-scores)[:2]
    if order is None:
        lead = (coef[winner] - coef[second]) * descriptor
        order = sorted(range(n_parts), key=lambda p: -lead[p])
    keep = next(k for k in range(n_parts + 1) if wins(order[:k]))
    flip = next((k for k in range(1, n_parts + 1) if not wins(order[k:])), n_parts + 1)
    return keep, flip


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("at_once", [1, 1 << 22])
def test_counts_follow_the_definition(n_classes, at_once, monkeypatch):
    monkeypatch.setattr(_sufficiency, "_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    coef = random.normal(size=(n_classes, 12))
    intercept = random.normal(size=n_classes)
    descriptors = random.normal(size=(80, 12))
    keep = metrics.parts_to_keep(coef, intercept, descriptors)
    flip = metrics.parts_to_flip(coef, intercept, descriptors)
    expected = [counted_one_by_one(coef, intercept, one) for one in descriptors]
    np.testing.assert_array_equal(np.stack([keep, flip], 1), expected)
    assert keep.min() == 0 and keep.max() > 1 and 13 in flip and 1 in flip

    order = random.permuted(np.tile(np.arange(12), (80, 1)), axis=1)
    drawn = [
        counted(coef, intercept, descriptors, order=order)
        for counted in (metrics.parts_to_keep, metrics.parts_to_flip)
    ]
    expected = [
        counted_one_by_one(coef, intercept, one, own.tolist())
        for one, own in zip(descriptors, order, strict=True)
    ]
    np.testing.assert_array_equal(np.stack(drawn, 1), expected)
    # Chance needs more parts.
    assert drawn[0].mean() > keep.mean() and drawn[1].mean() > flip.mean()


def test_a_class_must_beat_all_others_not_the_runner_up_alone():
    # Part 0 alone beats the runner-up, class 1, but not what the bias gives class 2.
    coef = np.array([[3.0, 1], [1, 2.2], [0, 0]])
    assert (coef @ [1, 1] + [0, 0, 3.1]).tolist() == [4, 3.2, 3.1]
    assert metrics.parts_to_keep(coef, [0, 0, 3.1], [[1, 1]]) == [2]
    assert metrics.parts_to_keep(coef, [0, 0, 2.9], [[1, 1]]) == [1]


def test_without_a_bias_no_part_is_no_decision():
    coef, descriptors = np.array([[1.0, 1], [0, 0]]), np.array([[1.0, 1], [-1, -1]])
    # Both predictions need a part, that of the first class too, which wins by a tie.
    assert metrics.parts_to_keep(coef, [0, 0], descriptors).tolist() == [1, 1]
    assert metrics.parts_to_flip(coef, [0, 0], descriptors).tolist() == [2, 2]
    # Scores that are equal to the end.
    assert metrics.parts_to_keep([[1, 1], [1, 1]], [0, 0], descriptors[:1]) == [2]


def test_a_decision_of_the_bias():
    coef, intercept = [[1, -1], [0, 0]], [5, 0]
    assert metrics.parts_to_keep(coef, intercept, [[1, 1]]) == [0]
    assert metrics.parts_to_flip(coef, intercept, [[1, 1]]) == [3]
    empty = metrics.parts_to_keep(coef, intercept, np.empty((0, 2)))
    assert empty.shape == (0,)


def test_counts_tell_what_is_wrong():
    good = {"coef": np.ones((2, 3)), "intercept": [0, 0], "descriptors": [[1, 1, 1]]}
    cases = [
        ({"coef": [[1, 1, 1]], "intercept": [0]}, "linear_readout"),
        ({"coef": np.ones((2, 0)), "descriptors": np.ones((1, 0))}, "for each part"),
        ({"intercept": [0, 0, 0]}, "intercept must have 2 numbers, got 3"),
        ({"descriptors": [[1, 1]]}, "descriptors have 2 parts, but coef has 3"),
        ({"descriptors": [[1, 1, np.nan]]}, r"descriptors holds nan at \(0, 2\)"),
        ({"descriptors": [1, 1, 1]}, "descriptors must have 2 axes"),
        ({"order": [[0, 1, 1]]}, "hold each part once"),
        ({"order": [[0, 1]]}, r"order must have the shape \(1, 3\)"),
    ]
    for changed, message in cases:
        for count in (metrics.parts_to_keep, metrics.parts_to_flip):
            with pytest.raises(ValueError, match=message):
                count(**(good | changed))


def test_counts_of_a_fitted_model():
    X, y, *_ = part_maps(40)
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    readout = linear_readout(model)
    descriptors = model.transform(X)
    keep = metrics.parts_to_keep(readout.coef, readout.intercept, descriptors)
    flip = metrics.parts_to_flip(readout.coef, readout.intercept, descriptors)
    predicted = model.predict(X)
    numbers = {label: c for c, label in enumerate(readout.classes.tolist())}
    for i, label in enumerate(predicted.tolist()):
        scores = descriptors[i] @ readout.coef.T + readout.intercept
        c, second = numbers[label], np.argsort(scores)[-2]
        lead = (readout.coef[c] - readout.coef[second]) * descriptors[i]
        order = np.argsort(-lead)
        for n, wanted in ((keep[i], True), (keep[i] - 1, False)):
            if n >= 0:
                kept = np.isin(np.arange(len(order)), order[:n]) * descriptors[i]
                scores = readout.coef @ kept + readout.intercept
                assert (np.delete(scores, c) < scores[c]).all() == wanted
        if flip[i] <= len(order):
            left = np.isin(np.arange(len(order)), order[flip[i] :]) * descriptors[i]
            assert (readout.coef @ left + readout.intercept).argmax() != c


def test_redundancy_by_hand():
    parts = [[1, 0, 0], [0.6, 0.8, 0], [0, 0, -1]]
    found = metrics.redundancy(parts)
    assert found.mean == pytest.approx(0.6 / 3) and found.maximum == pytest.approx(0.6)
    # Direction alone counts, and the opposite direction as much as the same.
    scaled = np.array(parts) * [[-2], [1e200], [1e-200]]
    np.testing.assert_allclose(metrics.redundancy(scaled), found)


def test_parts_of_different_maps_are_not_compared():
    parts = [[1, 0], [1, 0], [0, 1], [0.6, 0.8]]
    found = metrics.redundancy(parts, [0, 1, 0, 1])
    assert found.mean == pytest.approx((0 + 0.6) / 2)
    assert found.maximum == pytest.approx(0.6)
    assert metrics.redundancy(parts, [0, 1, 2, 3]) == (0, 0)
    assert metrics.redundancy(parts).maximum == 1


def test_redundancy_by_chance_is_what_the_docstring_says():
    random = np.random.default_rng(0)
    for depth in (2, 16, 512):
        parts = random.normal(size=(400, depth))
        exact = math.exp(math.lgamma(depth / 2) - math.lgamma((depth + 1) / 2))
        expected = exact / math.sqrt(math.pi)
        assert metrics.redundancy(parts).mean == pytest.approx(expected, rel=0.02)
        # Zeros that fill the rows change nothing.
        padded = np.pad(parts, ((0, 0), (0, 9)))
        np.testing.assert_allclose(
            metrics.redundancy(padded), metrics.redundancy(parts)
        )


def test_redundancy_tells_what_is_wrong():
    with pytest.raises(ValueError, match="part 1 is all zeros"):
        metrics.redundancy([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"parts holds nan at \(0, 1\)"):
        metrics.redundancy([[1, np.nan]])
    with pytest.raises(ValueError, match=r"part_maps must have the shape \(2,\)"):
        metrics.redundancy(np.eye(2), [0])
    with pytest.raises(ValueError, match="parts must have 2 axes"):
        metrics.redundancy([1, 0])
