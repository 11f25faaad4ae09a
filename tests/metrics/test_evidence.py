"""The evidence for a decision, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import DPNetClassifier, explain_each
from skdpnet.metrics import parts_for_evidence, present_evidence
from tests.parts.dpnet.made_maps import part_maps, quick


def test_the_share_of_present_parts_is_that_of_their_sum():
    contributions = [[1.0, 2.0, 1.0, -8.0], [-1.0, -2.0, 0.0, 0.0]]
    descriptors = [[0.5, -0.5, 0.1, 4.0], [-1.0, 1.0, 1.0, 1.0]]
    shares = present_evidence(contributions, descriptors)
    np.testing.assert_allclose(shares, [0.5, np.nan])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.1, 1), (0.5, 1), (0.51, 2), (0.8, 2), (0.95, 4), (1, 4)]
)
def test_parts_are_counted_from_the_largest(share, expected):
    contributions = [[0.1, 0.5, 0.3, 0.1, -5.0], [-1.0, -1.0, -1.0, 0.0, 0.0]]
    counts = parts_for_evidence(contributions, share=share)
    np.testing.assert_array_equal(counts, [expected, 0])


def test_equal_parts_are_all_needed_for_all_of_the_evidence():
    for n_parts in (3, 7, 10, 49):
        counts = parts_for_evidence(np.full((1, n_parts), 0.1), share=1.0)
        assert counts == n_parts


def test_positive_weights_have_all_evidence_from_present_parts():
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, positive=True).fit(X, y)
    explanations = list(explain_each(model, X))
    contributions = np.stack([why.contributions for why in explanations])
    np.testing.assert_allclose(present_evidence(contributions, model.transform(X)), 1)


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match=r"descriptors have the shape \(1, 3\)"):
        present_evidence([[1.0, 2.0]], [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="contributions holds nan"):
        parts_for_evidence([[np.nan]])
    with pytest.raises(ValueError, match="share must lie in"):
        parts_for_evidence([[1.0]], share=80)
