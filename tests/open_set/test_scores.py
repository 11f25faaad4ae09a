"""Scores of how well an image fits the predicted class."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import DPNetClassifier, SoftAssignParts, explain
from skdpnet.open_set._scores import SCORES, evidence_scores, score_images
from tests.parts.dpnet.made_maps import part_maps, quick

# Parts 0 and 1 are present; part 3 is absent and speaks for the class by that.
DESCRIPTORS = np.array([[2.0, 1.0, -1.0, -2.0]])
CONTRIBUTIONS = np.array([[0.5, -0.25, -1.0, 4.0]])


@pytest.fixture(scope="module")
def data():
    return part_maps(60, labels=["crow", "owl", "wren"])[:2]


@pytest.fixture(scope="module")
def model(data):
    return quick(DPNetClassifier, max_epochs=2).fit(*data)


@pytest.mark.parametrize(
    ("score", "value"),
    [("evidence", 4.5), ("present_evidence", 0.5), ("strongest_part", 0.5)],
)
def test_evidence_of_parts(score, value):
    assert evidence_scores(score, CONTRIBUTIONS, DESCRIPTORS).tolist() == [value]
    against = -np.abs(CONTRIBUTIONS)
    assert evidence_scores(score, against, DESCRIPTORS).tolist() == [0.0]


def test_the_strongest_part_is_one_part():
    more = evidence_scores("strongest_part", np.array([[1, 2.0]]), np.ones((1, 2)))
    assert more.tolist() == [2.0]


def test_scores_are_those_of_explanations(model, data):
    X = data[0][:6]
    whys = [explain(model, image) for image in X]
    for score in ("evidence", "present_evidence", "strongest_part"):
        scored = score_images(model, X, score)
        labels = model.classes_[scored.classes].tolist()
        assert labels == [why.predicted for why in whys] == model.predict(X).tolist()
        for why, value in zip(whys, scored.values, strict=True):
            positive = np.maximum(why.contributions, 0)
            if score != "evidence":
                positive = positive[why.descriptor > 0]
            total = positive.max() if score == "strongest_part" else positive.sum()
            assert value == pytest.approx(total, rel=1e-5)


def test_logits_and_probabilities_are_those_of_the_classifier(model, data):
    X = data[0]
    for score, scores in (
        ("logit", model.decision_function(X)),
        ("probability", model.predict_proba(X)),
    ):
        scored = score_images(model, X, score)
        np.testing.assert_allclose(scored.values, scores.max(axis=1))
        assert np.array_equal(scored.classes, scores.argmax(axis=1))


def test_two_classes_have_a_logit_each(data):
    X, y = data[0].mean(axis=(1, 2)), data[1] == "owl"
    classifier = LogisticRegression().fit(X, y)
    scored = score_images(classifier, X, "logit")
    decisions = classifier.decision_function(X)
    np.testing.assert_allclose(scored.values, np.abs(decisions))
    assert np.array_equal(scored.classes, (decisions > 0).astype(int))


def test_parts_in_a_pipeline(data):
    X, y = data
    parts = SoftAssignParts("precomputed", n_parts_per_class=2, random_state=0)
    pipeline = make_pipeline(parts, LinearSVC()).fit(X, y)
    pipeline[0].set_output(transform="default")
    scored = score_images(pipeline, X, "evidence")
    assert np.array_equal(pipeline.classes_[scored.classes], pipeline.predict(X))


def test_what_a_classifier_does_not_have(data):
    X, y = data[0].mean(axis=(1, 2)), data[1]
    svm = LinearSVC().fit(X, y)
    for score in SCORES:
        if score != "logit":
            match = "predict_proba" if score == "probability" else "no parts"
            with pytest.raises(ValueError, match=match):
                score_images(svm, X, score)
