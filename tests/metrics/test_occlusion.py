"""What covering a region does to responses, with networks that can be followed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    SoftAssignParts,
    best_regions,
    metrics,
)
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import preprocess
from tests.explanations.marked_images import (
    GREEN,
    PLACES,
    RED,
    MeanColours,
    draw_image,
)
from tests.parts.dpnet.made_maps import part_maps, quick

IMAGES = [draw_image(colour, *p, 1)[0] for colour in (RED, GREEN) for p in PLACES]
LABELS = ["red"] * 6 + ["green"] * 6


@pytest.fixture(scope="module")
def coloured():
    """A model whose parts are colours, on two maps of 8×8 and 4×4 cells."""
    return DPNetClassifier(
        MeanColours(16, 32),
        image_size=128,
        strides=(16, 32),
        region_scales=(0.25,),
        n_parts_per_class=4,
        n_components=None,
        annealed_share=0,
        foreground=None,
        context=False,
        max_epochs=0,
        random_state=0,
    ).fit(IMAGES, LABELS)


def parts_of_marks(model):
    """For each image, (12, 1), the part most similar to its mark's colour."""
    red, green = model.parts_[:, :2].argmax(axis=0)
    return np.repeat([[red], [green]], 6, axis=0)


def test_a_part_does_not_respond_to_a_mark_that_is_covered(coloured):
    parts = parts_of_marks(coloured)
    original = best_regions(coloured, IMAGES)
    drop = metrics.response_drop(coloured, IMAGES, parts, random_state=0)
    before = np.take_along_axis(original.responses, parts, axis=1)
    np.testing.assert_array_equal(drop.before, before)
    assert drop.best.shape == drop.random.shape == (12, 1)
    # A mark that does not lie in a single cell of the parts' map stays partly visible.
    whole = np.array([(x - 36) % 32 == y % 32 == 0 for x, y in PLACES * 2])
    assert coloured.part_maps_[parts].min() == 1 and whole.sum() == 8
    assert (drop.best[whole] > 0.2).all() and np.abs(drop.best[~whole]).max() < 0.02
    # Few random positions touch the mark.
    assert (np.abs(drop.random) < 0.01).mean() > 0.5
    assert drop.mean_best > 3 * drop.mean_random
    assert drop.mean_best == drop.best.mean() and drop.mean_random == drop.random.mean()


def covered(square, left, top, right, bottom):
    """Fill a box with the blur of what is outside it, computed by SciPy."""
    outside = np.ones(square.shape)
    outside[top:bottom, left:right] = 0
    colours, weights = (
        gaussian_filter(
            values, (right - left) / 4, mode="constant", truncate=8, axes=(0, 1)
        )
        for values in (square * outside, outside)
    )
    filled = square.copy()
    filled[top:bottom, left:right] = np.rint(colours / np.maximum(weights, 1e-9))[
        top:bottom, left:right
    ]
    return filled


def test_drops_are_those_of_images_covered_in_the_test(coloured):
    some = [IMAGES[i] for i in (5, 7)]
    parts = np.array([[5, 2], [1, 5]])
    drop = metrics.response_drop(coloured, some, parts, random_state=0)
    original = best_regions(coloured, some)
    for i, image in enumerate(some):
        square = preprocess(image, Framing(128, "crop"))
        for column, part in enumerate(parts[i]):
            grid = coloured.grids_[coloured.part_maps_[part]]
            boxes = (grid.boxes() * 128).astype(int).tolist()
            copies = [covered(square, *box) for box in boxes]
            after = best_regions(coloured, copies).responses[:, part]
            drops = original.responses[i, part] - after
            best = boxes[original.regions[i, part]]
            # The square of these wide images begins at column 36.
            assert best == (original.boxes[i, part] - [36, 0, 36, 0]).tolist()
            expected = drops[boxes.index(best)]
            assert drop.best[i, column] == pytest.approx(expected, abs=1e-5)
            # All regions of a map have the same size here.
            assert np.abs(drop.random[i, column] - drops).min() < 1e-5


def test_chance_has_a_seed_and_images_come_in_batches(coloured, monkeypatch):
    parts = parts_of_marks(coloured)
    drop = metrics.response_drop(coloured, IMAGES, parts, random_state=3)
    other = metrics.response_drop(coloured, IMAGES, parts, random_state=4)
    assert (drop.random != other.random).any()
    np.testing.assert_allclose(drop.best, other.best, atol=1e-6)
    monkeypatch.setattr(
        "skdpnet.metrics._occlusion._BATCH_BYTES", 5 * 4 * 128 * 128 * 3
    )
    in_batches = metrics.response_drop(coloured, IMAGES, parts, random_state=3)
    np.testing.assert_allclose(in_batches.best, drop.best, atol=1e-6)
    np.testing.assert_allclose(in_batches.random, drop.random, atol=1e-6)
    empty = metrics.response_drop(coloured, IMAGES, np.empty((12, 0), int))
    assert empty.best.shape == empty.before.shape == (12, 0)


@pytest.mark.parametrize("parts", [DPNetTransformer, SoftAssignParts])
def test_real_networks_and_files(photographs, parts, tmp_path):
    paths, y = photographs
    settings = {"max_epochs": 0} if parts is DPNetTransformer else {}
    model = make_pipeline(
        parts(
            image_size=64,
            strides=None,
            region_scales=(0.5,),
            n_parts_per_class=2,
            memory=tmp_path / "maps",
            random_state=0,
            **settings,
        ),
        LinearSVC(random_state=0),
    ).fit(paths, y)
    stored = sorted(tmp_path.rglob("*"))
    drop = metrics.response_drop(model, paths[:4], [[0, 3]] * 4, random_state=0)
    assert drop.best.shape == (4, 2)
    assert np.isfinite(drop.best).all() and np.isfinite(drop.random).all()
    original = best_regions(model[0], paths[:4])
    np.testing.assert_array_equal(drop.before, original.responses[:, [0, 3]])
    # Nothing of covered images is stored in the folder.
    assert sorted(tmp_path.rglob("*")) == stored
    assert model[0].memory == tmp_path / "maps"


def test_invalid_arguments_are_rejected(coloured):
    def drop(parts, model=coloured, X=IMAGES[:2]):
        return metrics.response_drop(model, X, parts)

    with pytest.raises(ValueError, match=r"shape \(2, k\).* got \(3, 1\)"):
        drop([[0], [0], [0]])
    with pytest.raises(ValueError, match=r"got \(2,\)"):
        drop([0, 0])
    with pytest.raises(ValueError, match="whole numbers, got dtype float64"):
        drop([[0.0], [1.0]])
    with pytest.raises(IndexError, match="no part 99"):
        drop([[0], [99]])
    with pytest.raises(NotFittedError):
        drop([[0], [0]], DPNetClassifier())
    X, y, *_ = part_maps(30)
    precomputed = quick(DPNetClassifier, max_epochs=0).fit(X, y)
    with pytest.raises(ValueError, match="precomputed features: fit one on images"):
        drop([[0], [0]], precomputed, X[:2])
