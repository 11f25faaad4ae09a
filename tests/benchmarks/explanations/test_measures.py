"""The measures of explanations, each beside what chance gives."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.explanations import image_sets, measures, models, part_images
from skdpnet import (
    DPNetClassifier,
    best_regions,
    explain_each,
    metrics,
)
from skdpnet.datasets import make_part_images
from skdpnet.images.framing import CENTER, FRAMINGS, Framing


class Patch:
    """A model that scores the brightness of one place."""

    def __init__(self, memory=None):
        self.transformer = self
        self.memory = memory
        self.remembers = []

    def set_params(self, memory):
        self.memory = memory

    def scores(self, X):
        self.remembers.append(self.memory)
        bright = X[:, 8:16, 16:24].mean(axis=(1, 2, 3)) / 255
        # As if trained: neither from 0 to 1, nor the only class.
        return np.column_stack([0 * bright, 7 * bright - 6])


def test_the_right_heat_map_beats_chance_and_chance_the_wrong_one():
    squares = np.zeros((2, 32, 32, 3), np.uint8)
    squares[:, 8:16, 16:24] = 255
    heat = np.zeros((2, 4, 4))
    heat[:, 1, 2] = 5
    model = Patch(memory="maps")
    scores = model.scores(squares)
    # Interpolated, the heat of one cell covers two times two cells, a quarter of all:
    # the first of four steps takes all of the patch, or the last one.
    right = measures.curve_areas(
        model, squares, models.ModelExplanations(scores, heat), 4
    )
    wrong = measures.curve_areas(
        model, squares, models.ModelExplanations(scores, -heat), 4
    )
    # The class changes with the patch, so decisions give the same areas as scores.
    for kept in ("", ", kept"):
        deletion, insertion = f"deletion{kept}", f"insertion{kept}"
        assert right[deletion].value == pytest.approx(1 / 8)
        assert right[insertion].value == pytest.approx(7 / 8)
        assert wrong[deletion].value == pytest.approx(7 / 8)
        assert wrong[insertion].value == pytest.approx(1 / 8)
        for name in (deletion, insertion):
            assert 1 / 8 <= right[name].chance == wrong[name].chance <= 7 / 8
    assert 1 / 8 < right["deletion"].chance < 7 / 8


def test_only_maps_that_models_share_are_kept():
    squares = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    squares[:, 8:16, 16:24] = 255
    model = Patch(memory="maps")
    explained = models.ModelExplanations(model.scores(squares), np.eye(4)[None])
    model.remembers.clear()
    measures.curve_areas(model, squares, explained, 2)
    # Deletion and insertion by the heat map, then by chance.
    assert model.remembers == [None, None, "maps", "maps"]
    assert model.memory == "maps"


# The contexts, which have no place, are tested with the models.
SETTINGS = {
    "n_parts_per_class": 4,
    "context": False,
    "max_epochs": 1,
    "image_size": 64,
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small DP-Net on small made images, and all that is measured of it."""
    data = image_sets.made_images(48, 16, Framing(64, "crop"))
    memory = tmp_path_factory.mktemp("maps")
    estimator = DPNetClassifier(
        framing="crop", random_state=0, memory=memory, **SETTINGS
    )
    model = models.fit_model(estimator, data, 0)
    measurements = measures.measure(model, data, n_perturbed=3, n_steps=2, seed=0)
    return data, estimator, measurements


def test_what_is_measured_of_parts(measured):
    data, estimator, measurements = measured
    assert list(measurements) == [
        "accuracy", "peak", "top part", "deletion", "insertion", "deletion, kept",
        "insertion, kept", "purity", "consistency", "stability", "response drop",
        "keep", "flip", "present", "parts of 80 %", "redundancy", "closest pair",
    ]  # fmt: skip
    assert measurements["accuracy"].value == estimator.score(data.test, data.test_y)
    assert measurements["accuracy"].chance == 1 / 8
    expected = metrics.redundancy(estimator.parts_, estimator.part_maps_)
    assert measurements["redundancy"].value == expected.mean
    assert measurements["closest pair"].value == expected.maximum
    assert 0.02 < measurements["redundancy"].chance < 0.2


def test_places_are_those_in_the_images_pixels(measured):
    _, estimator, measurements = measured
    test = make_part_images(16, image_size=64, random_state=part_images.FIRST_SEED + 1)
    whys = list(explain_each(estimator, test.images))
    # No part may be present in an image; the measure takes that for a miss.
    tops = [
        why.boxes[why.top_parts(1)[0]] if len(why.top_parts(1)) else np.full(4, np.nan)
        for why in whys
    ]
    hits = metrics.pointing_game(tops, test.discriminative_boxes)
    assert measurements["top part"].value == hits.mean()
    peaks = []
    for why in whys:
        heat = why.heat_map()
        row, column = np.argwhere(heat == heat.max())[0]
        side = 64 / len(heat)
        peaks.append(np.array([column, row, column + 1, row + 1]) * side)
    hits = metrics.pointing_game(peaks, test.discriminative_boxes)
    assert measurements["peak"].value == hits.mean()

    parts = sorted({part for boxes in test.boxes for part in boxes})
    assert len(parts) == 8
    truths = np.full((16, 8, 4), np.nan)
    for boxes_of_image, boxes in zip(truths, test.boxes, strict=True):
        for k, part in enumerate(parts):
            if part in boxes:
                boxes_of_image[k] = boxes[part]
    visible = np.isfinite(truths[:, :, 0])
    places = best_regions(estimator, test.images)
    hits = metrics.part_hits(metrics.resize_boxes(places.boxes, 64 * 32 / 224), truths)
    purity = metrics.part_purity(hits, visible, places.responses)
    assert measurements["purity"].value == pytest.approx(purity.mean())
    hits = metrics.part_hits(metrics.resize_boxes(places.boxes, 64 * 72 / 224), truths)
    active = estimator.part_classes_ == test.target[:, None]
    is_consistent = metrics.consistency(hits, visible, active=active)
    assert measurements["consistency"].value == pytest.approx(is_consistent.mean())
    assert 0 < purity.mean() < 1


def test_stability_and_sizes(measured):
    data, estimator, measurements = measured
    rows, squares = data.sample(3)
    np.testing.assert_array_equal(squares, data.test[rows])
    noisy = metrics.add_noise(np.stack(squares), random_state=0)
    hits = [
        metrics.part_hits(
            metrics.resize_boxes(best_regions(estimator, X).boxes, 64 * 72 / 224),
            64 * data.truths[rows],
        )
        for X in (squares, noisy)
    ]
    active = estimator.part_classes_ == data.test_y[rows][:, None]
    assert measurements["stability"].value == metrics.stability(*hits, active=active)
    descriptors = estimator.transform(data.test)
    for name, count in (
        ("keep", metrics.parts_to_keep),
        ("flip", metrics.parts_to_flip),
    ):
        counts = count(estimator.coef_, estimator.intercept_, descriptors)
        assert measurements[name].value == np.median(counts)
    # A median of small counts may be the same for the order of chance, but not both.
    counted = [measurements[name] for name in ("keep", "flip")]
    assert all(m.value <= m.chance for m in counted)
    assert any(m.value < m.chance for m in counted)
    whys = list(explain_each(estimator, data.test))
    right = [why.predicted for why in whys] == data.test_y
    contributions = np.stack([why.contributions for why in whys])[right]
    shares = metrics.present_evidence(contributions, descriptors[right])
    assert measurements["present"].value == pytest.approx(np.nanmean(shares))
    counts = metrics.parts_for_evidence(contributions)
    assert measurements["parts of 80 %"].value == np.median(counts)
    tops = [why.top_parts(1) for why in explain_each(estimator, squares)]
    drop = metrics.response_drop(estimator, squares, tops, random_state=0)
    lost = drop.mean_best / drop.before.mean()
    assert measurements["response drop"].value == pytest.approx(lost)


def test_parts_that_classes_share_count_where_they_are_present():
    class Parts:
        classes_ = np.array(["crow", "owl"])
        part_classes_ = np.array([0, -1, 1, -1])

        def transform(self, X):
            return np.array([[1.0, 0.5, -1.0, -0.2], [-1.0, -0.1, 1.0, 0.3]])

    class Model:
        transformer = Parts()
        placed_parts = np.arange(4)

    active = measures._active_parts(Model(), ["a", "b"], np.array(["owl", "crow"]))
    np.testing.assert_array_equal(
        active, [[False, True, True, False], [True, False, False, True]]
    )


def test_pointing_at_the_target():
    n = 600
    heat = np.zeros((n, 4, 8))
    heat[:, 3, 1] = 2
    explained = models.ModelExplanations(np.zeros((n, 2)), heat)
    random = np.random.RandomState(0)
    for target, value, chance in (
        ([0, 0, 0.25, 1], 1, 0.25),
        ([0, 0, 1, 0.75], 0, 0.75),
        ([0.125, 0.75, 0.25, 1], 1, 1 / 32),
    ):
        pointed = measures.pointing(None, explained, [[target]] * n, random)
        assert list(pointed) == ["peak"]
        assert pointed["peak"].value == value
        assert pointed["peak"].chance == pytest.approx(chance, abs=0.08)


@pytest.mark.parametrize("name", [name for name in FRAMINGS if name != CENTER])
def test_photographs_have_no_places(photographs, name, tmp_path):
    paths, labels = photographs
    # Of several shapes.
    for i, path in enumerate(paths):
        size = ((150, 150), (150, 200), (230, 150))[i % 3]
        Image.open(path).resize(size).save(tmp_path / f"{i}.png")
    paths = [str(tmp_path / f"{i}.png") for i in range(len(paths))]
    framing = Framing(64, name)
    y = (labels == "cat").astype(int)
    data = image_sets.ImageSet(
        "pond", framing, np.array(paths), y, np.array(paths), y, ["coffee", "cat"]
    )
    estimator = DPNetClassifier(random_state=0, framing=framing.name, **SETTINGS)
    model = models.fit_model(estimator, data, 0)
    measurements = measures.measure(model, data, n_perturbed=2, n_steps=2, seed=0)
    assert not measurements.keys() & {"peak", "top part", "purity", "stability"}
    assert measurements["accuracy"].value == 1
