"""Parts with several numbers each: descriptors, names, explanations, files, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdpnet
from skdpnet import SoftAssignParts, best_regions, explain, explain_class, explain_each
from skdpnet.explanations.readout import PartSums, read_model
from skdpnet.open_set._scores import score_images

SEVERAL = ("mean_max", "features")


@pytest.fixture
def data():
    """Two maps of images of three classes, of 4 and 6 channels."""
    random = np.random.default_rng(0)
    X = np.empty(30, [("fine", "f4", (4, 4, 4)), ("coarse", "f4", (2, 2, 6))])
    X["fine"] = random.normal(size=X["fine"].shape)
    X["coarse"] = random.normal(size=X["coarse"].shape)
    y = np.array(["ash", "elm", "oak"] * 10)
    for number, label in enumerate(("ash", "elm", "oak")):
        X["fine"][y == label, 1, 2, number] += 4
        X["coarse"][y == label, 0, 1, number] += 4
    return X, y


def estimator(encoding, **params):
    settings = {"n_parts_per_class": 2, "region_scales": [0.25], "random_state": 0}
    return SoftAssignParts("precomputed", encoding=encoding, **settings | params)


def whitened_cells(X, fitted):
    """Regions (n, R, K) of each map, which are single cells, by the definition."""
    out = []
    for maps, whitening in zip(
        (X["fine"], X["coarse"]), fitted.whitenings_, strict=True
    ):
        cells = maps.reshape(len(X), -1, maps.shape[-1])
        cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
        cells = (cells - whitening.mean) @ whitening.projection
        out.append(cells / np.linalg.norm(cells, axis=2, keepdims=True))
    return out


def numbers_by_definition(X, fitted):
    columns = []
    for part, of_map in zip(fitted.parts_, fitted.part_maps_, strict=True):
        cells = whitened_cells(X, fitted)[of_map]
        responses = cells @ part[: cells.shape[2]]
        if fitted.encoding_ == "mean_max":
            columns += [responses.max(axis=1), responses.mean(axis=1)]
        else:
            columns += list(cells[np.arange(len(X)), responses.argmax(axis=1)].T)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("encoding", SEVERAL)
def test_descriptor_is_standardised_numbers_of_each_part(data, encoding, monkeypatch):
    X, y = data
    fitted = estimator(encoding).fit(X, y)
    numbers = numbers_by_definition(X, fitted)
    scale = numbers.std(axis=0) * np.sqrt(numbers.shape[1])
    expected = (numbers - numbers.mean(axis=0)) / scale
    assert_allclose(fitted.transform(X), expected, atol=1e-4)
    assert_allclose(estimator(encoding).fit_transform(X, y), expected, atol=1e-4)
    assert fitted.transform(X).dtype == np.float32
    monkeypatch.setattr("skdpnet.base.part_estimator._RESPONSE_BYTES", 1)
    assert_allclose(fitted.transform(X), expected, atol=1e-4)


def test_columns_know_their_parts_and_names(data):
    one, two, many = (estimator(name).fit(*data) for name in ("max", *SEVERAL))
    assert one.column_parts_.tolist() == [0, 1, 2, 3, 4, 5]
    assert two.column_parts_.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    # A part of each class on the fine map of 4 channels, and on the coarse one of 6.
    expected = np.repeat([0, 1, 2, 3, 4, 5], [4, 4, 4, 6, 6, 6])
    assert_array_equal(many.column_parts_, expected)
    names = many.get_part_names()
    assert_array_equal(names, one.get_feature_names_out())
    assert two.get_feature_names_out()[:2].tolist() == [
        "ash_part0_max",
        "ash_part0_mean",
    ]
    columns = many.rename_parts({0: "bark"}).get_feature_names_out()
    assert columns[[0, 3, 4]].tolist() == [
        "bark_feature0",
        "bark_feature3",
        f"{names[1]}_feature0",
    ]
    assert len(set(columns)) == len(columns) == many.transform(data[0][:1]).shape[1]


def test_parts_respond_as_with_the_maxima(data):
    X, _ = data
    one, many = (estimator(name).fit(*data) for name in ("max", "features"))
    assert_array_equal(one.parts_, many.parts_)
    assert_array_equal(best_regions(one, X).boxes, best_regions(many, X).boxes)


@pytest.mark.parametrize("encoding", SEVERAL)
@pytest.mark.parametrize("scaler", [False, True])
def test_parts_contribute_what_their_numbers_do(data, encoding, scaler):
    X, y = data
    steps = [estimator(encoding), StandardScaler() if scaler else "passthrough"]
    model = make_pipeline(*steps, LogisticRegression(C=10)).fit(X, y)
    why = explain(model, X[4])
    assert why.predicted == model.predict(X[4:5])[0]
    assert_allclose(why.scores, model.decision_function(X[4:5])[0], atol=1e-6)
    c = model.classes_.tolist().index(why.predicted)
    terms = model[:-1].transform(X[4:5])[0] * model[-1].coef_[c]
    expected = np.bincount(model[0].column_parts_, terms)
    if not scaler:
        assert_allclose(why.contributions, expected, atol=1e-6)
    assert_allclose(why.contributions.sum() + why.bias, why.score, atol=1e-9)
    assert why.weights is None and why.contributions.shape == (6,)
    assert_array_equal(why.present, best_regions(model, X[4:5]).responses[0] > 0)
    assert_allclose(why.heat_map().sum(), why.contributions.sum())
    of_class = explain_class(model, "elm", X)
    each = [explain(model, image, "elm").contributions for image in X]
    assert_allclose(of_class.contributions, np.mean(each, axis=0), atol=1e-6)


def test_a_descriptor_of_maxima_has_no_sums(data):
    model = make_pipeline(estimator("max"), LogisticRegression()).fit(*data)
    assert not isinstance(read_model(model)[1], PartSums)


def test_conformity_scores_take_the_parts_that_are_there(data):
    X, y = data
    model = make_pipeline(estimator("features"), LogisticRegression(C=10)).fit(X, y)
    classes, values = score_images(model, X, "strongest_part")
    assert_array_equal(model.classes_[classes], model.predict(X))
    for why, value in zip(explain_each(model, X), values, strict=True):
        there = why.contributions[why.responses > 0]
        assert_allclose(value, max(there.max(), 0), atol=1e-6)


@pytest.mark.parametrize("encoding", SEVERAL)
def test_files_keep_the_encoding_of_the_fit(data, tmp_path, encoding):
    X, _ = data
    fitted = estimator(encoding).fit(*data).set_params(encoding="max")
    expected = fitted.transform(X)
    fitted.save(tmp_path / "parts")
    loaded = skdpnet.load(tmp_path / "parts")
    assert loaded.encoding_ == encoding
    assert_array_equal(loaded.transform(X), expected)


@pytest.mark.parametrize(
    ("crafted", "message"),
    [
        ({"encoding_": "median"}, "name of an encoding"),
        ({"encoding_": "mean_max"}, "shift_"),
        ({"part_cells_": np.tile([0.0, 0.0, 1.0, 1.0], (6, 1))}, "pyramid"),
    ],
)
def test_crafted_states_are_refused(data, tmp_path, crafted, message, monkeypatch):
    fitted = estimator("features").fit(*data)
    state = fitted._get_fitted_state() | crafted
    monkeypatch.setattr(fitted, "_get_fitted_state", lambda: state)
    # What `load` would refuse is not written: both make the same checks.
    with pytest.raises(ValueError, match=message):
        fitted.save(tmp_path / "parts")


def test_errors_say_what_to_do(data):
    X, y = data
    with pytest.raises(ValueError, match=r"encoding='features'.*pass pyramid=None"):
        estimator("features", pyramid=((1, 1), (2, 2))).fit(X, y)
    with pytest.raises(ValueError, match="encoding must be one of"):
        estimator("median").fit(X, y)
    fitted = estimator("features").fit(X, y)
    (responses, _), *_ = fitted.iter_described(X)
    with pytest.raises(ValueError, match="take the descriptors of transform"):
        fitted.descriptor(responses)


def test_one_region_of_an_image_is_refused():
    X, y = np.random.default_rng(0).normal(size=(12, 4)), ["ash", "elm"] * 6
    for given in (X, X[:, None]):
        with pytest.raises(ValueError, match="X has one region of each: pass maps"):
            estimator("features").fit(given, y)


def test_a_feature_of_one_number_is_no_response(data):
    X, y = data
    model = make_pipeline(estimator("features", n_components=1), LogisticRegression())
    why = explain(model.fit(X["fine"], y), X["fine"][0])
    assert why.weights is None
    assert_array_equal(why.present, why.responses > 0)


@pytest.mark.parametrize("encoding", ["max", *SEVERAL])
def test_the_torch_state_of_the_caller_does_not_matter(data, encoding):
    X, _ = data
    fitted = estimator(encoding).fit(*data)
    expected = fitted.transform(X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_array_equal(fitted.transform(X), expected)
        described = np.concatenate([piece for _, piece in fitted.iter_described(X)])
    assert_allclose(described, expected, atol=1e-6)


class ByParts(ClassifierMixin, BaseEstimator):
    """A classifier that forgets that parts have several numbers."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def class_scores(self, descriptors):
        return np.zeros((len(descriptors), len(self.classes_)))

    def contributions(self, descriptors, class_number):
        return np.zeros((len(descriptors), 6))


def test_contributions_of_a_classifier_are_those_of_numbers(data):
    model = make_pipeline(estimator("mean_max"), ByParts()).fit(*data)
    with pytest.raises(ValueError, match="6 contributions .* 12 numbers"):
        explain(model, data[0][0])
