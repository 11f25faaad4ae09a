"""The orders of part learners: what is chosen where, and what is measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.svm import LinearSVC

from benchmarks.accuracy import learner_orders, learner_orders_table
from benchmarks.accuracy.learner_orders_images import (
    arrangement_images,
    planted_parts,
)
from benchmarks.accuracy.learner_orders_learners import GraphWithoutEdges
from benchmarks.accuracy.learner_orders_measures import Fitted, part_purity, purities
from benchmarks.accuracy.learner_orders_methods import ORDERS, Learner, Order
from benchmarks.explanations.image_sets import ImageSet
from skdpnet import LayoutGraphClassifier, SoftAssignParts
from skdpnet.datasets import make_arrangement_images
from skdpnet.images.framing import Framing
from tests.parts.layout_graph.made_maps import SIDE, arrangement_maps

_MAPS = {"backbone": "precomputed"}


class Columns(TransformerMixin, BaseEstimator):
    """Describe images by some of their numbers; remember what it saw."""

    seen: list = []

    def __init__(self, start=0, factor=1.0, memory=None, random_state=None):
        self.start = start
        self.factor = factor
        self.memory = memory
        self.random_state = random_state

    def fit(self, X, y):
        type(self).seen.append(("fit", {tuple(x) for x in X}, self.random_state))
        return self

    def transform(self, X):
        type(self).seen.append(("transform", {tuple(x) for x in X}, None))
        return self.factor * X[:, self.start :: 2]


@pytest.fixture
def data():
    """Two classes that both halves of the numbers tell apart, with noise."""
    Columns.seen.clear()
    random = np.random.default_rng(0)
    y = np.arange(90) % 2
    X = random.normal(size=(90, 6)) + y[:, None]
    return ImageSet("some", Framing(32, "crop"), X[:60], y[:60], X[60:], y[60:], [])


COLUMNS = Order(
    "both are better",
    {"even": Learner(Columns, {}), "odd": Learner(Columns, {"start": 1, "factor": 50})},
    {"both": ("even", "odd")},
)


def rows_of(X):
    return {tuple(x) for x in X}


def test_choices_know_training_images_alone(data):
    chosen = learner_orders.choose(COLUMNS, "even", data, None, {})
    assert chosen["choice"]["C"] in learner_orders.C_GRID
    best = max(chosen["accuracies"])
    first = learner_orders.C_GRID[chosen["accuracies"].index(best)]
    assert chosen["choice"] == {"C": first}
    (fit,) = [rows for event, rows, _ in Columns.seen if event == "fit"]
    # Of the descriptors that were computed the first are those of the fit.
    same, held = [rows for event, rows, _ in Columns.seen if event == "transform"]
    assert same == fit
    assert not fit & held and fit | held == rows_of(data.train)
    assert len(held) == 20


def test_joined_kernels_are_summed_with_equal_weights(data):
    known = {}
    line = learner_orders.measure(COLUMNS, "both", {"C": 0.3}, 4, data, None, known)
    train = test = 0
    centre = data.train.mean(axis=0)
    for start in (0, 1):
        # Factors do not matter: each kernel has a mean of 1 on its diagonal.
        of_train, of_test = ((X - centre)[:, start::2] for X in (data.train, data.test))
        scale = np.trace(of_train @ of_train.T) / len(of_train)
        train = train + of_train @ of_train.T / scale
        test = test + of_test @ of_train.T / scale
    # Coordinates whose inner products are the kernel.
    values, axes = np.linalg.eigh(train)
    roots = np.sqrt(values[-6:])
    svm = LinearSVC(C=0.3, dual="auto", max_iter=100_000, random_state=4)
    svm.fit(axes[:, -6:] * roots, data.train_y)
    expected = svm.score(test @ axes[:, -6:] / roots, data.test_y)
    assert line["accuracy"] == pytest.approx(expected)
    assert {(name, seed) for name, seed, _ in known} == {("even", 4), ("odd", 4)}
    fits = [seed for event, _, seed in Columns.seen if event == "fit"]
    assert fits == [4, 4]
    learner_orders.measure(COLUMNS, "odd", {"C": 0.3}, 4, data, None, known)
    assert len([event for event, *_ in Columns.seen if event == "fit"]) == 2


def test_purities_are_shares_of_the_first_images():
    labels = np.array([0, 0, 0, 1, 1])
    responses = np.array(
        [
            [0.9, 0.9, 0.0, 0.1, 1.0],
            [0.8, 0.1, 0.0, 0.2, 0.5],
            [0.7, 0.2, 0.0, 0.3, 0.5],
            [0.1, 0.8, 0.0, 0.9, 0.5],
            [0.2, 0.7, 0.0, 0.8, 0.1],
        ]
    )
    classes = np.array([0, 0, 0, 1, 1])
    # The third part responds alike to all: its purity is the share of its class. The
    # last shares its second place among two images of another class and one of its own.
    expected = [1, 1 / 3, 3 / 5, 1, (0 + 1 / 3) / 2]
    np.testing.assert_allclose(purities(responses, labels, classes), expected)


def test_purity_and_chance_of_planted_parts():
    X, y = arrangement_maps(60)
    maps = np.zeros_like(X)
    maps[np.arange(60), 4, 4, y] = 1
    maps[..., 8] = 0.1
    data = ImageSet("some", Framing(32, "crop"), maps[:40], y[:40], maps[40:], y[40:],
                    [])  # fmt: skip
    parts = SoftAssignParts(
        **_MAPS, n_parts_per_class=1, region_scales=(0.1,), random_state=0
    ).fit(data.train, data.train_y)
    found = part_purity(Fitted([parts], None), data)
    shares = np.bincount(data.test_y) / 20
    assert found["purity"] == 1
    assert found["chance"] == pytest.approx(shares.mean())


def graphs(X, y):
    settings = {
        **_MAPS, "region_scales": (0.3,), "max_overlap": 0.3, "n_components": None,
        "n_regions": 10, "hidden": 64, "dropout": 0.2, "max_epochs": 40,
        "batch_size": 32, "lr": 0.01, "random_state": 0,
    }  # fmt: skip
    return [
        kind(**settings).fit(X, y)
        for kind in (LayoutGraphClassifier, GraphWithoutEdges)
    ]


def test_a_graph_without_edges_is_a_perceptron_of_each_region():
    X, y = arrangement_maps(600)
    graph, bag = graphs(X[:400], y[:400])
    assert graph.score(X[400:], y[400:]) > 0.8
    # Four deviations of 200 images above chance, which is 1/4.
    assert bag.score(X[400:], y[400:]) < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 200)
    (layout,) = bag.explain_layout(X[400:401])
    layers, nodes = bag.layers_, []
    for left, top, right, bottom in np.rint(layout.boxes * SIDE).astype(int):
        region = X[400, top:bottom, left:right].sum(axis=(0, 1))
        region = region / np.linalg.norm(region)
        node = layers["embed0_weight"] @ region + layers["embed0_bias"]
        for layer in range(2):
            node = np.maximum(node, 0)
            node = sum(
                np.maximum(layers[f"{relation}{layer}"] @ node, 0)
                for relation in ("spatial", "semantic")
            )
        nodes.append(node)
    expected = np.concatenate([np.mean(nodes, axis=0), np.max(nodes, axis=0)])
    np.testing.assert_allclose(bag.transform(X[400:401])[0], expected, rtol=1e-3,
                               atol=1e-4)  # fmt: skip
    # The graph has its edges after the other was used.
    (layout,) = graph.explain_layout(X[400:401])
    assert not np.allclose(layout.spatial, np.eye(len(layout.spatial)))


def test_every_learner_can_be_made_and_described():
    for order in ORDERS.values():
        for variant, names in order.variants.items():
            json.dumps(order.settings(variant))
            for name in names:
                learner = order.learners[name]
                params = learner.estimator(3, "maps").get_params()
                assert params["memory"] == "maps"
                assert params.get("random_state", 3) == 3
        for names in order.joined.values():
            assert all(order.learners[name].is_followed_by_svm for name in names)


def test_a_run_with_its_table(tmp_path, monkeypatch, capsys):
    parts = Learner(
        SoftAssignParts,
        {"backbone": "hog", "image_size": 32, "framing": "crop",
         "n_parts_per_class": 2, "n_components": 4},
    )  # fmt: skip
    graph = Learner(
        LayoutGraphClassifier,
        {"backbone": "hog", "image_size": 32, "framing": "crop"},
        ({"max_epochs": 1}, {"max_epochs": 2}),
    )
    order = Order("parts are purer than chance", {"parts": parts, "graph": graph},
                  facts=part_purity,
                  images=lambda seed: arrangement_images(seed, 40))  # fmt: skip
    for module in (learner_orders, learner_orders_table):
        monkeypatch.setattr(module, "ORDERS", {"some": order})
    command = ["--orders", "some", "--seeds", "0", "1", "--output", str(tmp_path)]
    learner_orders.main(command)
    path = tmp_path / "learner_orders_made.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["variant"], line["seed"]) for line in lines] == [
        ("parts", 0), ("graph", 0), ("parts", 1), ("graph", 1),
    ]  # fmt: skip
    assert lines[0]["tuning"] == lines[2]["tuning"]
    assert len(lines[1]["tuning"]["accuracies"]) == 2
    assert 0 <= lines[0]["purity"] <= 1 and "purity" not in lines[1]
    learner_orders.main(command)  # nothing is left to do
    assert len(path.read_text().splitlines()) == 4
    capsys.readouterr()
    learner_orders.main(["--table", str(path)])
    printed = capsys.readouterr().out
    of_parts = np.array([lines[k]["accuracy"] for k in (0, 2)]) * 100
    cell = f"| parts | {of_parts.mean():.1f} ± {of_parts.std(ddof=1):.1f} |"
    assert "some, made. Reported: parts are purer than chance." in printed
    assert cell in printed and "| graph |" in printed
    other = Learner(parts.kind, {**parts.parameters, "n_components": 5})
    monkeypatch.setitem(order.learners, "parts", other)
    with pytest.raises(SystemExit, match="learners"):
        learner_orders.main(command)


def test_planted_parts_are_where_made_images_have_them():
    data, images = planted_parts(3, 20), arrangement_images(3, 20)
    assert data.train.shape == data.test.shape == (20, 9, 9, 12)
    np.testing.assert_array_equal(data.test_y, images.test_y)
    made = make_arrangement_images(20, image_size=144, random_state=1007)
    np.testing.assert_array_equal(images.test, made.images)
    for maps, boxes in zip(data.test, made.boxes, strict=True):
        for channel, part in enumerate(("beak", "crest", "tail", "wing")):
            strong = np.argwhere(maps[..., channel] > 1.7)
            assert len(strong) == 9
            row, column = (strong.mean(axis=0) + 0.5) * 16
            left, top, right, bottom = boxes[part]
            assert left < column < right and top < row < bottom
        assert maps[..., 4:].max() < 1.7


def test_photographs_must_be_named(capsys):
    with pytest.raises(SystemExit):
        learner_orders.main(["--orders", "arrangement", "modes"])
    assert "name --data, which 'modes' needs" in capsys.readouterr().err
