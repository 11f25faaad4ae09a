"""How many parts a decision rests on, compared with the definition."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import DPNetClassifier, metrics
from skdpnet.explanations.readout import linear_readout
from skdpnet.metrics import _sufficiency
from tests.parts.dpnet.made_maps import part_maps, quick


def counts_by_definition(coef, intercept, descriptor, order=None):
    """Count the parts to keep and to flip of one image, by the definition."""
    n_parts = len(descriptor)

    def wins(kept_parts):
        scores = intercept + sum(
            (coef[:, p] * descriptor[p] for p in kept_parts), np.zeros(len(coef))
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
@pytest.mark.parametrize("batch_bytes", [1, 1 << 25])
def test_counts_follow_the_definition(n_classes, batch_bytes, monkeypatch):
    monkeypatch.setattr(_sufficiency, "_BATCH_BYTES", batch_bytes)
    random = np.random.default_rng(0)
    coef = random.normal(size=(n_classes, 12))
    intercept = random.normal(size=n_classes)
    descriptors = random.normal(size=(80, 12))
    keep = metrics.parts_to_keep(coef, intercept, descriptors)
    flip = metrics.parts_to_flip(coef, intercept, descriptors)
    expected = [counts_by_definition(coef, intercept, b) for b in descriptors]
    np.testing.assert_array_equal(np.stack([keep, flip], 1), expected)
    assert keep.min() == 0 and keep.max() > 1 and 13 in flip and 1 in flip

    order = random.permuted(np.tile(np.arange(12), (80, 1)), axis=1)
    by_chance = [
        count(coef, intercept, descriptors, order=order)
        for count in (metrics.parts_to_keep, metrics.parts_to_flip)
    ]
    expected = [
        counts_by_definition(coef, intercept, b, ranked.tolist())
        for b, ranked in zip(descriptors, order, strict=True)
    ]
    np.testing.assert_array_equal(np.stack(by_chance, 1), expected)
    # A random order needs more parts.
    assert by_chance[0].mean() > keep.mean() and by_chance[1].mean() > flip.mean()


def test_a_class_must_beat_all_others_and_not_only_the_runner_up():
    # Part 0 alone beats the runner-up, class 1, but not class 2 with its bias.
    coef = np.array([[3.0, 1], [1, 2.2], [0, 0]])
    assert (coef @ [1, 1] + [0, 0, 3.1]).tolist() == [4, 3.2, 3.1]
    assert metrics.parts_to_keep(coef, [0, 0, 3.1], [[1, 1]]) == [2]
    assert metrics.parts_to_keep(coef, [0, 0, 2.9], [[1, 1]]) == [1]


def test_without_a_bias_a_decision_needs_a_part():
    coef, descriptors = np.array([[1.0, 1], [0, 0]]), np.array([[1.0, 1], [-1, -1]])
    # The first class would win a tie, but its prediction needs a part all the same.
    assert metrics.parts_to_keep(coef, [0, 0], descriptors).tolist() == [1, 1]
    assert metrics.parts_to_flip(coef, [0, 0], descriptors).tolist() == [2, 2]
    # Scores that are equal with all parts.
    assert metrics.parts_to_keep([[1, 1], [1, 1]], [0, 0], descriptors[:1]) == [2]


def test_the_bias_alone_may_decide():
    coef, intercept = [[1, -1], [0, 0]], [5, 0]
    assert metrics.parts_to_keep(coef, intercept, [[1, 1]]) == [0]
    assert metrics.parts_to_flip(coef, intercept, [[1, 1]]) == [3]
    empty = metrics.parts_to_keep(coef, intercept, np.empty((0, 2)))
    assert empty.shape == (0,)


def test_counts_reject_invalid_arguments():
    valid = {"coef": np.ones((2, 3)), "intercept": [0, 0], "descriptors": [[1, 1, 1]]}
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
                count(**(valid | changed))


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
        for n, is_enough in ((keep[i], True), (keep[i] - 1, False)):
            if n >= 0:
                kept = np.isin(np.arange(len(order)), order[:n]) * descriptors[i]
                scores = readout.coef @ kept + readout.intercept
                assert (np.delete(scores, c) < scores[c]).all() == is_enough
        if flip[i] <= len(order):
            remaining = (
                np.isin(np.arange(len(order)), order[flip[i] :]) * descriptors[i]
            )
            assert (readout.coef @ remaining + readout.intercept).argmax() != c
