"""The classifier by the graph of regions: what it tells apart, and its explanations."""

import json

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import skdpnet
from skdpnet import GlobalFeatures, LayoutGraphClassifier, SoftAssignParts
from skdpnet.datasets import make_arrangement_images
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read
from tests.parts.layout_graph.made_maps import arrangement_maps
from tests.persistence.models import forge

SETTINGS = {
    "region_scales": (0.3,),
    "max_overlap": 0.3,
    "n_components": None,
    "n_regions": 10,
    "hidden": 64,
    "dropout": 0.2,
    "max_epochs": 40,
    "batch_size": 32,
    "lr": 0.01,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def data():
    X, y = arrangement_maps(600)
    names = np.array(["ash", "beech", "cedar", "elm"])[y]
    return X[:400], names[:400], X[400:], names[400:]


@pytest.fixture(scope="module")
def model(data):
    return LayoutGraphClassifier("precomputed", **SETTINGS).fit(data[0], data[1])


def test_arrangements_are_told_apart_where_a_bag_of_parts_is_at_chance(data, model):
    X, y, X_test, y_test = data
    assert model.score(X_test, y_test) > 0.8
    bags = [
        GlobalFeatures("precomputed"),
        SoftAssignParts("precomputed", n_parts_per_class=4, random_state=0),
    ]
    for bag in bags:
        svm = make_pipeline(bag, StandardScaler(), LinearSVC(C=0.01)).fit(X, y)
        # Four deviations of 200 images above chance, which is 1/4.
        assert svm.score(X_test, y_test) < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 200)


def test_fits_are_reproducible(data):
    X, y = data[0][:60], data[1][:60]
    few = LayoutGraphClassifier("precomputed", **{**SETTINGS, "max_epochs": 2})
    before = torch.get_rng_state()
    first = few.fit(X, y).layers_
    again = clone(few).fit(X, y).layers_
    other = clone(few).set_params(random_state=1).fit(X, y).layers_
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.items():
        np.testing.assert_array_equal(weight, again[name])
    assert not np.array_equal(first["phi"], other["phi"])


def test_contributions_add_up_to_the_decision(data, model):
    X = data[2][:20]
    decisions = model.decision_function(X)
    for c, label in enumerate(model.classes_):
        for graph, scores in zip(
            model.explain_layout(X, label), decisions, strict=True
        ):
            assert graph.explained == label
            assert graph.score == pytest.approx(scores[c], abs=1e-4)
            total = graph.contributions.sum() + graph.bias
            assert total == pytest.approx(graph.score, abs=1e-4)
    predicted = [graph.explained for graph in model.explain_layout(X)]
    assert predicted == model.predict(X).tolist()


def test_a_graph_shows_the_regions_of_the_image(data, model):
    image = data[2][0]
    (graph,) = model.explain_layout(image[None])
    grid = model.grids_[0]
    np.testing.assert_array_equal(graph.boxes, grid.boxes()[graph.regions])
    energy = np.linalg.norm(image, axis=2)
    means = [energy[t:b, left:r].mean() for t, left, b, r in grid.cells]
    assert graph.regions[0] == np.argmax(means)
    assert (np.diff(np.array(means)[graph.regions]) <= 1e-6).all()
    k = len(graph.regions)
    assert k == len(set(graph.regions.tolist())) == 10
    assert not graph.region_maps.any()
    for weights in (graph.spatial, graph.semantic):
        assert weights.shape == (k, k)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_edges_and_regions_are_the_strongest(data, model):
    (graph,) = model.explain_layout(data[2][:1])
    top = graph.top_regions(3)
    assert (graph.contributions[top] > 0).all()
    assert graph.contributions[top[0]] == graph.contributions.max()
    edges = graph.edges("spatial", top[:1], 2)
    row = graph.spatial[top[0]].copy()
    row[top[0]] = -1
    assert [edge.weight for edge in edges] == pytest.approx(sorted(row)[:-3:-1])
    assert all(edge.source == top[0] != edge.target for edge in edges)
    with pytest.raises(ValueError, match="relation must be 'spatial' or 'semantic'"):
        graph.edges("temporal", top)


def test_boxes_are_in_pixels_of_the_image():
    data = make_arrangement_images(12, 2, 96, random_state=0)
    wide = np.pad(data.images, [(0, 0), (0, 0), (0, 48), (0, 0)])
    model = LayoutGraphClassifier(
        nn.AvgPool2d(8), image_size=64, framing="crop", n_regions=4, max_epochs=1
    ).fit(wide, data.target)
    for graph in model.explain_layout(wide[:3]):
        # The network saw the square in the middle.
        assert graph.boxes[:, [0, 2]].min() >= 24 and graph.boxes[:, 2].max() <= 120
        assert graph.boxes[:, [1, 3]].min() >= 0 and graph.boxes[:, 3].max() <= 96
        sides = graph.boxes[:, 2:] - graph.boxes[:, :2]
        np.testing.assert_allclose(sides[:, 0], sides[:, 1])


def test_regions_beside_an_image_are_no_nodes(data):
    X, y = data[0][:40].copy(), data[1][:40]
    X[:, 6:] = 0
    model = LayoutGraphClassifier("precomputed", **{**SETTINGS, "max_epochs": 1})
    for graph in model.fit(X, y).explain_layout(X[:5]):
        assert graph.boxes[:, 1].max() < 6 / 9
    empty = np.zeros_like(X[:1])
    (graph,) = model.explain_layout(empty)
    assert graph.boxes.shape == (0, 4) and graph.score == pytest.approx(graph.bias)
    assert np.isfinite(model.predict_proba(empty)).all()


def test_weights_of_zero_leave_images_out(data):
    X, y = data[0][:60], data[1][:60]
    few = LayoutGraphClassifier("precomputed", **{**SETTINGS, "max_epochs": 2})
    weights = np.repeat([1.0, 0.0], 30)
    kept = clone(few).fit(X[:30], y[:30])
    weighted = few.fit(X, y, sample_weight=weights)
    for name, weight in kept.layers_.items():
        np.testing.assert_array_equal(weight, weighted.layers_[name])


def test_several_maps_share_the_regions(data):
    X, y = data[0][:40], data[1][:40]
    both = np.zeros(40, [("fine", "f4", (9, 9, 12)), ("coarse", "f4", (4, 4, 12))])
    both["fine"], both["coarse"] = X, X[:, 1::2, 1::2]
    settings = {**SETTINGS, "max_epochs": 1, "n_regions": 5}
    model = LayoutGraphClassifier("precomputed", **settings).fit(both, y)
    (graph,) = model.explain_layout(both[:1])
    assert graph.region_maps.tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="n_regions=1 leaves some of the 2 feature"):
        clone(model).set_params(n_regions=1).fit(both, y)


def test_what_is_saved_explains_alike(data, model, tmp_path):
    X = data[2][:3]
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(
        loaded.decision_function(X), model.decision_function(X)
    )
    first, second = (m.explain_layout(X)[0] for m in (model, loaded))
    np.testing.assert_array_equal(first.contributions, second.contributions)
    np.testing.assert_array_equal(first.spatial, second.spatial)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"hidden": 65}, r"layers_\['embed0_weight'\] has shape \(64, 12\)"),
        ({"n_layers": 3}, "layers_ does not hold the weights of 3 layers"),
        ({"n_layers": 10**9}, "n_layers is beyond|of 1000000000 layers"),
        ({"hidden": 10**12}, "hidden is beyond|has shape"),
        ({"max_overlap": 1.5}, "max_overlap must be"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    model, parameters, message, tmp_path
):
    model.save(tmp_path / "model")
    metadata, _ = read(tmp_path / "model")
    changed = {**json.loads(metadata["parameters"]), **parameters}
    forge(tmp_path / "model", {"parameters": json.dumps(changed)})
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(tmp_path / "model")


def test_a_weight_that_is_not_finite_is_refused(model, tmp_path):
    model.save(tmp_path / "model")
    _, tensors = read(tmp_path / "model")
    name = next(n for n, array in tensors.items() if array.shape == (64, 64))
    broken = {name: np.full((64, 64), np.nan, np.float32)}
    forge(tmp_path / "model", tensors=broken)
    with pytest.raises(ModelFileError, match="layers_.* holds NaN"):
        skdpnet.load(tmp_path / "model")


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"n_regions": 0}, "n_regions must be a whole number of at least 1"),
        ({"max_overlap": 1}, "max_overlap must be a number of at least 0 and below 1"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"hidden": 2.5}, "hidden must be a whole number"),
        ({"n_layers": 0}, "n_layers must be a whole number of at least 1"),
        ({"region_scales": ()}, "region_scales must be"),
    ],
)
def test_bad_parameters(data, parameters, message):
    model = LayoutGraphClassifier("precomputed", **{**SETTINGS, **parameters})
    with pytest.raises(ValueError, match=message):
        model.fit(data[0][:8], data[1][:8])


def test_misuse_is_named(data, model):
    with pytest.raises(NotFittedError):
        LayoutGraphClassifier("precomputed").explain_layout(data[2])
    with pytest.raises(ValueError, match=r"'oak' is none of the 4 classes"):
        model.explain_layout(data[2][:1], "oak")
    with pytest.raises(ValueError, match="maps of shape"):
        model.predict(data[2][:, :8])
