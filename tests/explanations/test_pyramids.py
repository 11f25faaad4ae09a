"""Explanations and galleries of parts that have copies in the cells of a pyramid."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import BlocksThatShout, SoftAssignParts, explain, part_galleries
from tests.parts.dpnet.made_maps import two_maps


@pytest.fixture(
    scope="module",
    params=[
        SoftAssignParts("precomputed", n_rounds=2),
        BlocksThatShout("precomputed", n_seeds_per_class=20, n_rounds=2, n_added=3),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def model(request):
    X, y, _ = two_maps(60)
    parts = request.param.set_params(
        n_parts_per_class=2, region_scales=[0.25], random_state=0
    )
    parts.set_params(pyramid=[(1, 1), (2, 2)])
    return make_pipeline(parts, LinearSVC()).fit(X, y), X


def test_contributions_of_copies_add_up_to_the_score(model):
    fitted, X = model
    why = explain(fitted, X[7])
    assert len(why.contributions) == 3 * 2 * 5
    total = why.contributions.sum() + why.bias
    assert total == pytest.approx(why.score, rel=1e-5)
    assert why.score == pytest.approx(fitted.decision_function(X[7:8]).max(), rel=1e-5)


def test_boxes_of_copies_have_their_centres_in_the_cells(model):
    fitted, X = model
    cells = fitted[0].part_cells_
    for image in X[:6]:
        boxes = explain(fitted, image).boxes
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        assert ((cells[:, :2] <= centres) & (centres <= cells[:, 2:])).all()


def test_the_copy_of_the_whole_image_is_the_best_of_the_cells(model):
    fitted, X = model
    for image in X[:6]:
        responses = explain(fitted, image).responses.reshape(-1, 5)
        np.testing.assert_allclose(responses[:, 0], responses[:, 1:].max(axis=1))


def test_galleries_name_the_cells(model):
    fitted, X = model
    (gallery,) = part_galleries(fitted, [1], X, n=3)
    assert gallery.name == "0_part0 upper left"
    assert (gallery.boxes[:, :2] + gallery.boxes[:, 2:] <= 1).all()
