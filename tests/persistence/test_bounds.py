"""What a file says of sizes, numbers and parameters is bounded before it is used."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest

import skdpnet
from skdpnet import VLAD, DPNetClassifier, GlobalFeatures, SoftAssignParts
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence import model_file
from skdpnet.persistence.model_file import read, write
from tests.persistence.models import SETTINGS, forge

X = np.random.default_rng(0).random((24, 4, 4, 5)).astype(np.float32)
Y = np.array(["ash", "beech"])[np.arange(24) % 2]
MODELS = {
    "DPNetClassifier": DPNetClassifier(**SETTINGS, max_epochs=1, context=False),
    "SoftAssignParts": SoftAssignParts(**SETTINGS, n_rounds=1),
    "GlobalFeatures": GlobalFeatures("precomputed"),
    "VLAD": VLAD("precomputed", n_words=3, random_state=0),
}
PARAMETERS = [
    ({"image_size": 10**9}, "image_size is beyond 4096"),
    ({"image_size": -5}, "image_size must be"),
    ({"image_size": 10**400}, "image_size is beyond"),
    ({"num_workers": 10**6}, "num_workers is beyond 256"),
    ({"strides": [1] * 2000}, "strides has 2000 items"),
    ({"strides": [10**9]}, "strides is beyond"),
    ({"strides": "16"}, "strides must be"),
    ({"framing": "oval"}, "framing must be"),
    ({"precision": "int8"}, "precision must be"),
    ({"backbone": 5}, "backbone must be a name"),
    ({"backbone": "x" * 10**5}, "backbone holds a text of 100000"),
    ({"backbone": {"tuple": []}}, "backbone must be a name"),
    ({"verbose": -1}, "verbose must be"),
    ({"verbose": "yes"}, "verbose must be"),
]
OF_CLASS = {
    "DPNetClassifier": [
        ({"beta": -5}, "beta must be a number above 0"),
        ({"beta": {"float": "nan"}}, "beta must be"),
        ({"n_parts_per_class": 10**9}, "n_parts_per_class is beyond"),
        ({"n_components": 2**40}, "n_components is beyond"),
        ({"max_epochs": 10**12}, "max_epochs is beyond"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": 10**12}, "batch_size is beyond"),
        ({"dropout": 1.5}, "dropout must be"),
        ({"lr": "fast"}, "lr must be"),
        ({"region_scales": [0.1] * 40000}, "region_scales has 40000 items"),
        ({"region_scales": [2.0]}, "region_scales must be"),
        ({"random_state": 2**70}, "random_state is beyond"),
        ({"random_state": -1}, "random_state must be"),
        ({"random_state": True}, "random_state must be"),
        ({"callbacks": ["x"]}, "callbacks must be a list"),
        ({"class_weight": {"dict": [["ash", -1]]}}, "class_weight must be"),
        ({"class_weight": {"dict": [["ash", {"float": "nan"}]]}}, "class_weight must"),
        ({"class_weight": "heavy"}, "class_weight must be"),
        ({"class_weight": {"tuple": [[[[[[1]]]]]]}}, "nested more than 4 deep"),
        ({"net_params": {"dict": [["compile", True]]}}, "'compile', which a file may"),
        ({"net_params": {"dict": [["device", "meta"]]}}, "'device', which a file may"),
        ({"net_params": {"dict": [["dataset", "x"]]}}, "'dataset', which a file may"),
        ({"net_params": {"dict": [["lr", "fast"]]}}, "must be a number in a file"),
        ({"net_params": {"dict": [["max_epochs", 10**9]]}}, "net_params is beyond"),
        (
            {"net_params": {"dict": [["iterator_train__num_workers", 10**5]]}},
            "must be from 0 to 64",
        ),
        ({"net_params": {"dict": [[{"tuple": [1]}, 1]]}}, "net_params must be a dict"),
    ],
    "VLAD": [
        ({"pyramid": [[1, 1]] * 2000}, "pyramid has 2000 items"),
        ({"pyramid": [[1000, 1000]]}, "pyramid has a level of 1000×1000 cells"),
        ({"pyramid": [[10**9, 1]]}, "pyramid is beyond|has a level of"),
        ({"power": 5}, "power must be"),
        ({"intra_normalisation": "no"}, "intra_normalisation must be True or False"),
        ({"n_words": 10**9}, "n_words is beyond"),
        ({"n_samples": 10**10}, "n_samples is beyond"),
    ],
    "SoftAssignParts": [
        ({"n_rounds": 10**9}, "n_rounds is beyond"),
        ({"n_candidates": 10**9}, "n_candidates is beyond"),
        ({"beta_end": 0}, "beta_end must be"),
    ],
    "GlobalFeatures": [],
}
ATTRIBUTES = [
    ({"n_features_in_": "five"}, "n_features_in_ is"),
    ({"n_features_in_": 10**12}, "n_features_in_ is"),
    ({"feature_names_in_": {"objects": ["a"]}}, "feature_names_in_ does not name"),
    ({"feature_names_in_": ["a"] * 5}, "feature_names_in_ does not name"),
    ({"_sklearn_output_config": {"dict": [["transform", "os"]]}}, "output is set to"),
    ({"_sklearn_output_config": [1]}, "output is set to"),
    ({"map_shapes_": {"tuple": [{"tuple": [10**5, 10**5, 5]}]}}, "too large"),
    ({"map_shapes_": {"tuple": [{"tuple": [1, 1, True]}]}}, "not a tuple of shapes"),
]
OF_PARTS = [
    ({"grids_": [{"grid": [4, 4, [[1, 1]] * 40000]}]}, "does not fit a map"),
    ({"grids_": [{"grid": [4, 4, [[1, 1], [1, 1]]]}]}, "has a window twice"),
    ({"grids_": [{"grid": [4.0, 4, [[1, 1]]]}]}, "sides are not whole numbers"),
    ({"grids_": [{"grid": [4, 4, [[1, True]]]}]}, "sides are not whole numbers"),
    ({"classes_": {"objects": ["b", "a"]}}, "sorted, distinct"),
    ({"classes_": {"objects": ["a", 5]}}, "objects that are not text"),
    ({"n_iter_": "many"}, "n_iter_ is not|number of epochs must be"),
]


@pytest.fixture(scope="module")
def fitted():
    return {name: model.fit(X, Y) for name, model in MODELS.items()}


@pytest.fixture
def files(fitted, tmp_path):
    for name, model in fitted.items():
        model.save(tmp_path / name)
    return tmp_path


def each(table):
    return [(name, *entry) for name in MODELS for entry in table(name)]


@pytest.mark.parametrize(
    "name, change, message", each(lambda name: PARAMETERS + OF_CLASS[name])
)
def test_parameters_beyond_bounds_are_refused(files, name, change, message):
    metadata, _ = read(files / name)
    parameters = {**json.loads(metadata["parameters"]), **change}
    forge(files / name, {"parameters": json.dumps(parameters)})
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(files / name)


@pytest.mark.parametrize(
    "name, change, message",
    each(
        lambda name: (
            ATTRIBUTES
            + (OF_PARTS if name in ("DPNetClassifier", "SoftAssignParts") else [])
        )
    ),
)
def test_attributes_beyond_bounds_are_refused(files, name, change, message):
    forge(files / name, **change)
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(files / name)


def test_a_name_of_a_backbone_is_no_address(files):
    """timm also loads from any repository of a hub, and from folders."""
    for name in ("timm/hf-hub:stranger/model", "timm/local-dir:/etc", "timm/../x"):
        metadata, _ = read(files / "GlobalFeatures")
        parameters = {**json.loads(metadata["parameters"]), "backbone": name}
        forge(files / "GlobalFeatures", {"parameters": json.dumps(parameters)})
        model = skdpnet.load(files / "GlobalFeatures")
        with pytest.raises(ValueError, match="timm knows no model"):
            model.transform(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_tensor_that_is_named_many_times_is_not_copied_each_time(files):
    big = np.zeros(2**20, np.float32)
    forge(
        files / "GlobalFeatures", tensors={"big": big}, notes_=[{"array": "big"}] * 500
    )
    tracemalloc.start()
    with pytest.raises(ModelFileError, match="'big' is missing, or named twice"):
        skdpnet.load(files / "GlobalFeatures")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * big.nbytes


def test_long_texts_and_many_values_are_not_read(files, monkeypatch):
    path = files / "GlobalFeatures"
    forge(path, notes_=["x"] * 1000)
    skdpnet.load(path)
    monkeypatch.setattr(model_file, "_MOST_VALUES", 900)
    with pytest.raises(ModelFileError, match="more than 900 values"):
        skdpnet.load(path)
    monkeypatch.undo()
    monkeypatch.setattr(model_file, "_LONGEST_HEADER", 2000)
    with pytest.raises(ModelFileError, match="at most 2000 are read"):
        skdpnet.load(path)
    monkeypatch.undo()
    monkeypatch.setattr(model_file, "_MOST_TENSORS", 1)
    with pytest.raises(ModelFileError, match="too many tensors"):
        skdpnet.load(files / "VLAD")


@pytest.mark.parametrize(
    "limit, message",
    [
        ("_MOST_VALUES", "more than 9 values"),
        ("_LONGEST_HEADER", "more than 9 bytes"),
        ("_MOST_TENSORS", "more than 9"),
    ],
)
def test_what_would_not_be_read_is_not_written(
    fitted, tmp_path, limit, message, monkeypatch
):
    monkeypatch.setattr(model_file, limit, 9)
    with pytest.raises(ValueError, match=f"cannot be saved: .*{message}"):
        fitted["DPNetClassifier"].save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_empty_tensor_of_a_huge_shape_is_refused(files, monkeypatch):
    monkeypatch.setattr(model_file, "_LONGEST_EMPTY", 2**50)
    forge(files / "VLAD", tensors={"none": np.zeros((2**40, 0), np.float32)})
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="is empty and has shape"):
        skdpnet.load(files / "VLAD")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "params", [{"image_size": 10**5}, {"num_workers": 1000}, {"strides": (10**6,)}]
)
def test_what_load_would_refuse_is_not_saved(fitted, name, params, tmp_path):
    model = pickle.loads(pickle.dumps(fitted[name])).set_params(**params)
    with pytest.raises(
        ValueError, match=f"this {name} cannot be saved: {[*params][0]}"
    ):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_nothing_is_refused_for_a_backbone_that_is_passed(files):
    def network(x):
        return x

    assert skdpnet.load(files / "VLAD", backbone=network).backbone is network
    metadata, tensors = read(files / "VLAD")
    write(files / "VLAD", metadata, tensors)
    assert skdpnet.load(files / "VLAD").n_words == 3
