"""Best regions, on maps and in the pixels of images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdpnet import DPNetClassifier, best_regions, part_gallery
from tests.explanations.marked_images import GREEN, RED, TURNS, MeanColours, draw_image
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import part_maps, quick


def test_the_best_region_has_the_cell_with_the_direction_of_the_class():
    X, y, where = part_maps(150)
    model = quick(DPNetClassifier).fit(X, y)
    regions = best_regions(model, X)
    contributions = model.coef_[y] * model.transform(X)
    strongest = contributions.argmax(1)
    boxes = regions.boxes[np.arange(len(X)), strongest] * np.tile([6, 5], 2)
    centre = where[:, ::-1] + 0.5
    inside = (boxes[:, :2] < centre).all(1) & (centre < boxes[:, 2:]).all(1)
    assert inside.mean() > 0.95


def test_responses_and_regions_are_the_maximum_and_its_argument():
    X, y, _ = part_maps(20)
    model = quick(DPNetClassifier, max_epochs=1, foreground=None, context=False)
    model.fit(X, y)
    regions, expected = best_regions(model, X), cosines(model, X)
    np.testing.assert_allclose(regions.responses, expected.max(axis=1), atol=1e-4)
    np.testing.assert_array_equal(regions.regions, expected.argmax(axis=1))


def test_parts_that_respond_negatively_are_found_in_the_image_too():
    X, y, _ = part_maps(60)
    rows, columns = X.shape[1:3]
    canvas = np.zeros((len(X), 2 * rows, 2 * columns, X.shape[3]), X.dtype)
    canvas[:, :rows, :columns] = X
    model = quick(DPNetClassifier, region_scales=(0.1,), context=False)
    model.fit(canvas, y)
    # All cells of an image have one direction, the opposite of some parts.
    canvas[:, :rows, :columns] = X[:, :1, :1]
    regions = best_regions(model, canvas)
    assert (regions.responses < 0).any()
    assert (regions.boxes[..., :2] < 0.5).all()
    for part in (0, len(model.parts_) - 1):
        gallery = part_gallery(model, part, canvas, n=len(X))
        assert (gallery.boxes[:, :2] < 0.5).all()


def test_parts_are_those_of_the_first_step_of_a_pipeline():
    X, y, _ = part_maps(20)
    model = make_pipeline(quick(DPNetClassifier, max_epochs=1)).fit(X, y)
    regions, expected = best_regions(model, X), best_regions(model[0], X)
    np.testing.assert_array_equal(regions.boxes, expected.boxes)
    with pytest.raises(ValueError, match="StandardScaler has no parts"):
        best_regions(StandardScaler(), X)


def save_image(colour, left, top, orientation, tmp_path):
    """Save a marked image, and return its path and its stored pixels."""
    stored, exif = draw_image(colour, left, top, orientation)
    path = tmp_path / f"{colour}_{left}_{top}_{orientation}.png"
    stored.save(path, exif=exif)
    return str(path), np.asarray(stored)


@pytest.mark.parametrize("orientation", TURNS)
def test_boxes_are_in_the_pixels_of_the_stored_image(orientation, tmp_path):
    places = [(40, 0), (70, 32), (100, 64), (120, 90), (60, 80), (90, 10)]
    saved = [
        save_image(colour, *place, orientation, tmp_path)
        for colour in (RED, GREEN)
        for place in places
    ]
    paths, stored = zip(*saved, strict=True)
    y = ["red"] * 6 + ["green"] * 6
    model = DPNetClassifier(
        MeanColours(16),
        image_size=128,
        region_scales=(0.25,),
        n_parts_per_class=2,
        n_components=None,
        annealed_share=0,
        foreground=None,
        beta=None,
        context=False,
        max_epochs=0,
        random_state=0,
    ).fit(list(paths), y)
    channels = model.parts_.argmax(axis=1)
    red, green = (int(model.parts_[:, channel].argmax()) for channel in (0, 1))
    assert (channels[red], channels[green]) == (0, 1)
    regions = best_regions(model, list(paths))
    upright = best_regions(model, list(paths), apply_exif=True)
    for i, (pixels, label) in enumerate(zip(stored, y, strict=True)):
        part, colour = (red, RED) if label == "red" else (green, GREEN)
        left, top, right, bottom = regions.boxes[i, part].round().astype(int)
        inside = (pixels[top:bottom, left:right] == colour).all(-1)
        assert inside.mean() > 5 * (pixels == colour).all(-1).mean()
        if orientation == 1:
            np.testing.assert_array_equal(regions.boxes[i], upright.boxes[i])
