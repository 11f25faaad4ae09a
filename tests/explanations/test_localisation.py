"""Best regions: the strongest region, in the image's own pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdpnet import DPNetClassifier, best_regions
from tests.parts.dpnet.made_maps import part_maps, quick


def test_the_best_region_is_where_the_class_s_cell_was_put():
    X, y, where = part_maps(150)
    model = quick(DPNetClassifier).fit(X, y)
    found = best_regions(model, X)
    weight = model.coef_[y]  # the parts that speak most for each image's class
    contribution = weight * model.transform(X)
    strongest = contribution.argmax(1)
    boxes = found.boxes[np.arange(len(X)), strongest] * np.tile([6, 5], 2)
    centre = where[:, ::-1] + 0.5
    inside = (boxes[:, :2] < centre).all(1) & (centre < boxes[:, 2:]).all(1)
    assert inside.mean() > 0.95


def test_responses_and_regions_are_the_maximum_and_its_argument():
    X, y, _ = part_maps(20)
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    found = best_regions(model, X)
    (w,), (grid,) = model.whitenings_, model.grids_
    for n, one in enumerate(X.astype(np.float64)):
        cosines = []
        for top, left, bottom, right in grid.cells:
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            x = (x / np.linalg.norm(x) - w.mean) @ w.projection
            cosines.append(model.parts_ @ (x / np.linalg.norm(x)))
        np.testing.assert_allclose(found.responses[n], np.max(cosines, 0), atol=1e-4)
        np.testing.assert_array_equal(found.regions[n], np.argmax(cosines, 0))


def test_parts_are_found_in_a_pipeline_and_missed_elsewhere():
    X, y, _ = part_maps(20)
    model = make_pipeline(quick(DPNetClassifier, max_epochs=1)).fit(X, y)
    found, own = best_regions(model, X), best_regions(model[0], X)
    np.testing.assert_array_equal(found.boxes, own.boxes)
    with pytest.raises(ValueError, match="StandardScaler has no parts"):
        best_regions(StandardScaler(), X)


class Colours(nn.Module):
    """Mean red, green and blue, 0 to 1, of patches of 16×16 pixels."""

    def forward(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        return nn.functional.avg_pool2d(x * std + mean, 16)


def _image(colour, left, top, orientation, tmp_path):
    """A wide grey image with a coloured square, turned as a camera would store it."""
    pixels = np.full((128, 200, 3), 60, np.uint8)
    pixels[top : top + 32, left : left + 32] = colour
    upright = Image.fromarray(pixels)
    stored = {
        1: upright,
        3: upright.transpose(Image.Transpose.ROTATE_180),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"{colour}_{left}_{top}_{orientation}.png"
    stored.save(path, exif=exif)
    return str(path), np.asarray(stored)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_are_in_the_pixels_of_the_stored_file(orientation, tmp_path):
    red, green = (230, 20, 20), (20, 230, 20)
    places = [(40, 0), (70, 32), (100, 64), (120, 90), (60, 80), (90, 10)]
    made = [
        _image(colour, *place, orientation, tmp_path)
        for colour in (red, green)
        for place in places
    ]
    paths, stored = zip(*made, strict=True)
    y = ["red"] * 6 + ["green"] * 6
    model = DPNetClassifier(
        Colours(),
        image_size=128,
        region_scales=(0.25,),
        n_parts_per_class=2,
        n_components=None,
        beta=None,
        max_epochs=0,
        random_state=0,
    ).fit(list(paths), y)
    channel = model.parts_.argmax(1)
    part = {"red": int(np.argmax(model.parts_[:, 0])), "green": None}
    part["green"] = int(np.argmax(model.parts_[:, 1]))
    assert channel[part["red"]] == 0
    assert channel[part["green"]] == 1
    found = best_regions(model, list(paths))
    upright = best_regions(model, list(paths), apply_exif=True)
    for i, (pixels, label) in enumerate(zip(stored, y, strict=True)):
        left, top, right, bottom = found.boxes[i, part[label]].round().astype(int)
        colour = red if label == "red" else green
        inside = (pixels[top:bottom, left:right] == colour).all(-1)
        assert inside.mean() > 5 * (pixels == colour).all(-1).mean()
        if orientation == 1:
            np.testing.assert_array_equal(found.boxes[i], upright.boxes[i])
