"""Settings of scikit-learn: containers, routing of metadata, frozen estimators."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import sklearn
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer, FeatureMaps, GlobalFeatures
from tests.estimators import all_estimators, targets_for
from tests.parts.dpnet.made_maps import part_maps

# Small, so that the table below is quick.
X, Y, _ = part_maps(24)
WEIGHTS = np.random.RandomState(0).uniform(0.1, 1, len(Y))
QUICK = {"n_parts_per_class": 2, "max_epochs": 2, "random_state": 0}
CONTAINERS = ["pandas", "polars"]
WAYS = ["set_output", "set_config"]


def classifier(**params) -> DPNetClassifier:
    return DPNetClassifier("precomputed", **{**QUICK, **params})


@pytest.fixture(params=CONTAINERS)
def container(request) -> str:
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(params=WAYS)
def contained(request, container):
    """Apply the setting: a function that takes an estimator and returns it."""
    if request.param == "set_output":
        yield lambda estimator: estimator.set_output(transform=container)
        return
    with sklearn.config_context(transform_output=container):
        yield lambda estimator: estimator


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("context", [False, True])
def test_decisions_do_not_depend_on_the_container(contained, n_classes, context):
    kept = Y < n_classes
    maps, labels = X[kept], Y[kept]
    plain = classifier(context=context).set_output(transform="default")
    plain.fit(maps, labels)
    model = contained(classifier(context=context)).fit(maps, labels)
    for method in ("predict", "predict_proba", "decision_function"):
        got = getattr(model, method)(maps)
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, getattr(plain, method)(maps))
    assert model.score(maps, labels) == plain.score(maps, labels)
    np.testing.assert_array_equal(
        model.explain(maps[0]).contributions, plain.explain(maps[0]).contributions
    )


def test_a_saved_model_decides_alike(contained, tmp_path):
    model = contained(classifier()).fit(X, Y)
    expected = model.predict_proba(X)
    model.save(tmp_path / "model")
    again = skdpnet.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), expected)


def test_searches_score_alike(contained):
    expected = cross_val_score(classifier().set_output(transform="default"), X, Y, cv=2)
    got = cross_val_score(contained(classifier()), X, Y, cv=2)
    np.testing.assert_array_equal(got, expected)
    search = GridSearchCV(contained(classifier()), {"C": [1.0]}, cv=2).fit(X, Y)
    assert search.best_score_ == pytest.approx(expected.mean())


@pytest.mark.parametrize("estimator", all_estimators(), ids=lambda e: type(e).__name__)
def test_descriptors_have_the_columns_that_have_names(contained, container, estimator):
    random = {"random_state": 0} if "random_state" in estimator.get_params() else {}
    expected = sklearn.clone(estimator).set_params(**random)
    y = targets_for(estimator, Y)
    expected = expected.set_output(transform="default").fit(X, y).transform(X)
    frame = contained(sklearn.clone(estimator).set_params(**random)).fit_transform(X, y)
    assert type(frame).__module__.startswith(container)
    np.testing.assert_allclose(frame.to_numpy(), expected, rtol=1e-4, atol=1e-5)
    again = contained(sklearn.clone(estimator).set_params(**random)).fit(X, y)
    names = list(again.get_feature_names_out())
    assert list(frame.columns) == list(again.transform(X).columns) == names


def test_a_pipeline_of_maps_descriptors_and_classifier_takes_frames(contained):
    images = np.random.RandomState(0).randint(0, 255, (4, 32, 32, 3), np.uint8)
    svm = LinearSVC(random_state=0)
    steps = FeatureMaps(image_size=32), GlobalFeatures("precomputed"), svm
    pipeline = contained(make_pipeline(*steps)).fit(images, [0, 1, 0, 1])
    descriptors = GlobalFeatures(image_size=32).set_output(transform="default")
    expected = sklearn.clone(svm).fit(descriptors.fit_transform(images), [0, 1, 0, 1])
    np.testing.assert_allclose(
        pipeline.decision_function(images),
        expected.decision_function(descriptors.transform(images)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_columns_of_paths_and_labels_may_be_of_polars(tmp_path):
    polars = pytest.importorskip("polars")
    from PIL import Image

    paths = [str(tmp_path / f"{value}.png") for value in (0, 100, 200)]
    for value, path in zip((0, 100, 200), paths, strict=True):
        Image.new("RGB", (32, 32), (value, 0, 0)).save(path)
    model = GlobalFeatures(image_size=32)
    expected = model.fit_transform(paths)
    for column in (polars.Series(paths), polars.DataFrame({"path": paths})):
        np.testing.assert_array_equal(model.fit_transform(column), expected)
    flat = X.reshape(len(X), -1)
    names = [f"class {number}" for number in Y]
    fitted = classifier().fit(polars.DataFrame(flat), polars.Series(names))
    np.testing.assert_allclose(
        fitted.predict_proba(polars.DataFrame(flat)),
        classifier().fit(flat, names).predict_proba(flat),
        atol=1e-6,
    )


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_requested_weights_reach_the_classifier():
    expected = classifier().fit(X, Y, sample_weight=WEIGHTS)
    model = classifier().set_fit_request(sample_weight=True)
    pipeline = make_pipeline(model).fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(pipeline.predict_proba(X), expected.predict_proba(X))
    assert np.abs(expected.coef_ - classifier().fit(X, Y).coef_).max() > 1e-4


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("weighted", [True, False])
def test_parts_of_a_pipeline_have_the_weights_that_they_request(weighted):
    parts = DPNetTransformer("precomputed", **QUICK)
    pipeline = make_pipeline(
        sklearn.clone(parts).set_fit_request(sample_weight=weighted),
        LinearSVC().set_fit_request(sample_weight=True),
    ).fit(X, Y, sample_weight=WEIGHTS)
    expected = parts.fit(X, Y, sample_weight=WEIGHTS if weighted else None)
    np.testing.assert_array_equal(pipeline[0].parts_, expected.parts_)


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_searches_by_fold():
    model = classifier().set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    folds = [(np.arange(0, 24, 2), np.arange(1, 24, 2))]
    (train, test), params = folds[0], {"sample_weight": WEIGHTS}
    got = cross_validate(model, X, Y, cv=folds, params=params, error_score="raise")
    fitted = classifier().fit(X[train], Y[train], sample_weight=WEIGHTS[train])
    expected = fitted.score(X[test], Y[test], sample_weight=WEIGHTS[test])
    assert got["test_score"] == pytest.approx(expected)
    search = GridSearchCV(model, {"C": [1.0]}, cv=folds, error_score="raise")
    assert search.fit(X, Y, **params).best_score_ == pytest.approx(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_checked_even_if_numbers_are_assumed_finite(value):
    weights = np.append(WEIGHTS[1:], value)
    with sklearn.config_context(assume_finite=True):
        model = classifier().fit(X, Y, sample_weight=WEIGHTS)
        with pytest.raises(ValueError, match="sample_weight"):
            classifier().fit(X, Y, sample_weight=weights)
    expected = classifier().fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def _with_frozen(parts, scaler, linear) -> list:
    """Pipelines, with one of their steps or with all of them frozen."""
    return [
        make_pipeline(FrozenEstimator(parts), scaler, linear),
        make_pipeline(parts, FrozenEstimator(scaler), linear),
        make_pipeline(parts, scaler, FrozenEstimator(linear)),
        FrozenEstimator(make_pipeline(parts, scaler, linear)),
    ]


def test_frozen_steps_are_explained_as_what_they_hold():
    plain = make_pipeline(
        DPNetTransformer("precomputed", **QUICK), StandardScaler(), LinearSVC()
    ).fit(X, Y)
    expected = skdpnet.explain(plain, X[0])
    for model in _with_frozen(*plain):
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))
        got = skdpnet.explain(model, X[0])
        np.testing.assert_array_equal(got.contributions, expected.contributions)
        assert got.bias == expected.bias


def test_a_frozen_classifier_is_explained_and_saved(tmp_path):
    model = classifier().fit(X, Y)
    frozen = FrozenEstimator(model)
    np.testing.assert_array_equal(
        skdpnet.explain(frozen, X[0]).contributions, model.explain(X[0]).contributions
    )
    assert frozen.fit(X, Y[::-1]).score(X, Y) == model.score(X, Y)
    frozen.save(tmp_path / "model")
    again = skdpnet.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


class Recorder:
    """A callback of scikit-learn that keeps which estimators' tasks ended."""

    def __init__(self):
        self.ended: list[str] = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.ended.append(type(estimator).__name__)


@pytest.mark.skipif(
    importlib.util.find_spec("sklearn.callback") is None,
    reason="this version of scikit-learn has no callbacks",
)
def test_searches_and_pipelines_of_parts_take_callbacks():
    recorder = Recorder()
    search = GridSearchCV(classifier(), {"C": [1.0]}, cv=2)
    search.set_callbacks(recorder).fit(X, Y)
    assert "GridSearchCV" in recorder.ended
    pipeline = make_pipeline(
        DPNetTransformer("precomputed", **QUICK), LogisticRegression()
    )
    pipeline.set_callbacks(recorder).fit(X, Y)
    assert "Pipeline" in recorder.ended


@pytest.mark.parametrize("callbacks", [[Recorder()], [("name", Recorder())], [1], "a"])
def test_callbacks_that_are_not_of_skorch_are_refused(callbacks):
    with pytest.raises(ValueError, match=r"callbacks must be .*skorch"):
        classifier(callbacks=callbacks).fit(X, Y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("estimator", all_estimators(), ids=lambda e: type(e).__name__)
def test_maps_may_be_tensors_that_have_gradients(estimator, dtype):
    maps = torch.from_numpy(X).to(dtype).requires_grad_()
    numbers = maps.detach().float().numpy()
    if dtype == torch.float16:
        numbers = numbers.astype(np.float16)
    random = {"random_state": 0} if "random_state" in estimator.get_params() else {}
    estimator = sklearn.clone(estimator).set_params(**random)
    expected = estimator.fit(numbers, Y).transform(numbers)
    np.testing.assert_array_equal(estimator.fit(maps, Y).transform(maps), expected)


def test_tensors_are_taken_where_scikit_learn_dispatches_on_arrays():
    code = """
import sys
import numpy as np, sklearn, torch
from tests.estimators import all_estimators, targets_for
from tests.test_sklearn_settings import X, Y, WEIGHTS, classifier
expected = classifier().fit(X, Y, sample_weight=WEIGHTS).predict_proba(X)
maps = torch.from_numpy(X)
try:
    sklearn.set_config(array_api_dispatch=True)
except ImportError as error:
    print(error)
    sys.exit(77)
model = classifier().fit(maps, Y, sample_weight=WEIGHTS)
np.testing.assert_array_equal(model.predict_proba(maps), expected)
for estimator in all_estimators():
    assert estimator.fit(maps, Y).transform(maps).shape[0] == len(Y)
"""
    # SciPy reads the variable when it is imported.
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stderr
