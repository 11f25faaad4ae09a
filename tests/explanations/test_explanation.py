"""Where explanations point to: heat maps and boxes, on maps and in images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

from skdpnet import DPNetClassifier, SoftAssignParts, best_regions, explain
from tests.parts.dpnet.made_maps import SETTINGS, two_maps


def cosines(parts, maps, i):
    """Responses (R, P) of the parts of map i to one image's map, in NumPy."""
    whitening, grid = parts.whitenings_[i], parts.grids_[i]
    own = parts.parts_[parts.part_maps_ == i, : whitening.projection.shape[1]]
    out = []
    for top, left, bottom, right in grid.cells:
        x = maps[top:bottom, left:right].mean(axis=(0, 1))
        x = (x / np.linalg.norm(x) - whitening.mean) @ whitening.projection
        out.append(own @ (x / np.linalg.norm(x)))
    return np.array(out)


def heat_in_numpy(parts, maps, contributions, beta, shape):
    """The heat map cell by cell, on the finest of maps that divide one another."""
    heat = np.zeros(shape)
    for i, one in enumerate(maps):
        S = cosines(parts, one.astype(np.float64), i)
        if beta is None:
            weights = (S.max(0) == S) * 1.0
        else:
            weights = np.exp(beta * S) / np.exp(beta * S).sum(0)
        times = shape[0] // one.shape[0]
        own = contributions[parts.part_maps_ == i]
        for r, (top, left, bottom, right) in enumerate(parts.grids_[i].cells):
            n_cells = (bottom - top) * (right - left) * times**2
            heat[top * times : bottom * times, left * times : right * times] += (
                weights[r] @ own / n_cells
            )
    return heat


@pytest.fixture(scope="module", params=["soft", "hard", "two stages"])
def on_two_maps(request):
    X, y, where = two_maps(60)
    if request.param == "two stages":
        parts = SoftAssignParts(**SETTINGS)
        model = make_pipeline(parts, LinearSVC(random_state=0)).fit(X, y)
        return model, model[0], None, X, y
    beta = {"soft": 40.0, "hard": None}[request.param]
    model = DPNetClassifier(**SETTINGS, max_epochs=1, beta=beta).fit(X, y)
    return model, model, beta, X, y


def test_heat_maps_follow_the_formula(on_two_maps):
    model, parts, beta, X, y = on_two_maps
    for i in range(5):
        why = explain(model, X[i], int(y[i]))
        maps = [X[name][i] for name in X.dtype.names]
        assert why.heat_map().shape == (8, 8)
        expected = heat_in_numpy(parts, maps, why.contributions, beta, (8, 8))
        np.testing.assert_allclose(why.heat_map(), expected, atol=1e-4)
        some = [11, 2, 11]
        of_these = np.where(np.isin(np.arange(15), some), why.contributions, 0)
        expected = heat_in_numpy(parts, maps, of_these, beta, (8, 8))
        np.testing.assert_allclose(why.heat_map(some), expected, atol=1e-4)
        one_by_one = [why.heat_map(p) for p in range(15)]
        np.testing.assert_allclose(sum(one_by_one), why.heat_map(), atol=1e-12)
        np.testing.assert_allclose(
            np.sum(one_by_one, axis=(1, 2)), why.contributions, atol=1e-12
        )
        mine = why.part_classes == y[i]
        np.testing.assert_array_equal(
            why.heat_map(mine), why.heat_map(np.flatnonzero(mine))
        )
    assert not why.heat_map([]).any()


def test_what_is_said_of_the_parts_is_what_the_estimator_says(on_two_maps):
    model, parts, beta, X, _ = on_two_maps
    found = best_regions(parts, X[:4])
    for i in range(4):
        why = explain(model, X[i])
        np.testing.assert_array_equal(why.boxes, found.boxes[i])
        np.testing.assert_allclose(why.responses, found.responses[i], atol=1e-6)
        descriptor = parts.transform(X[i : i + 1])[0]
        np.testing.assert_allclose(why.descriptor, descriptor, rtol=1e-5, atol=1e-6)
        assert why.part_names.tolist() == parts.get_feature_names_out().tolist()
        assert why.part_maps.tolist() == parts.part_maps_.tolist()
        assert why.beta == beta
        np.testing.assert_array_equal(why.heat_map_box, [0, 0, 1, 1])


class Marks(nn.Module):
    """Mean red, green and blue, 0 to 1, of patches of 16×16 and of 32×32 pixels."""

    def forward(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        x = x * std + mean
        return nn.functional.avg_pool2d(x, 16), nn.functional.avg_pool2d(x, 32)


RED, GREEN = (230, 20, 20), (20, 230, 20)
PLACES = [(36, 0), (68, 32), (100, 64), (132, 96), (68, 80), (84, 16)]
TURNS = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def draw_image(colour, left, top, orientation):
    """A wide grey image with a coloured square, turned as a camera would store it."""
    pixels = np.full((128, 200, 3), 60, np.uint8)
    pixels[top : top + 32, left : left + 32] = colour
    upright = Image.fromarray(pixels)
    turn = TURNS[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored, exif


@pytest.fixture(scope="module")
def coloured():
    images = [draw_image(c, *p, 1)[0] for c in (RED, GREEN) for p in PLACES]
    y = ["red"] * 6 + ["green"] * 6
    return DPNetClassifier(
        Marks(),
        image_size=128,
        region_scales=(0.25,),
        n_parts_per_class=4,
        n_components=None,
        max_epochs=0,
        random_state=0,
    ).fit(images, y)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("colour, label", [(RED, "red"), (GREEN, "green")])
def test_boxes_and_heat_lie_on_the_mark(coloured, orientation, colour, label, tmp_path):
    left, top = PLACES[1]
    stored, exif = draw_image(colour, left, top, orientation)
    path = tmp_path / "image.png"
    stored.save(path, exif=exif)
    other = {"red": "green", "green": "red"}[label]
    why = explain(coloured, str(path), label).difference(other)
    assert why.predicted == label
    part = int(coloured.parts_[:, colour.index(230)].argmax())
    assert why.contributions[part] > 0
    first, upper, last, lower = why.boxes[part].round().astype(int)
    pixels = np.asarray(stored)
    mark = (pixels == colour).all(-1)
    assert mark[upper:lower, first:last].all()
    assert mark[upper:lower, first:last].size == mark.sum()
    # The square of the image that the network saw, in the file's own pixels.
    wide = pixels.shape[1] > pixels.shape[0]
    square = [36, 0, 164, 128] if wide else [0, 36, 128, 164]
    np.testing.assert_array_equal(why.heat_map_box, square)

    upright = explain(coloured, str(path), label, apply_exif=True)
    np.testing.assert_array_equal(upright.heat_map_box, [36, 0, 164, 128])
    np.testing.assert_array_equal(upright.boxes[part], [left, top, left + 32, top + 32])
    # The heat map lies as the upright image does: 8×8 cells of 16 pixels.
    heat = upright.difference(other).heat_map(part)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert left <= 36 + 16 * column < left + 32
    assert top <= 16 * row < top + 32
    found = best_regions(coloured, [str(path)])
    np.testing.assert_array_equal(why.boxes, found.boxes[0])


def test_a_image_may_come_in_any_form(coloured):
    image = draw_image(RED, *PLACES[2], 1)[0]
    pixels = np.asarray(image)
    expected = explain(coloured, image).contributions
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    objects = np.empty(1, object)
    objects[0] = image
    for given in ([image], pixels, pixels[None], tensor, tensor[None], objects):
        why = explain(coloured, given)
        np.testing.assert_allclose(why.contributions, expected, atol=1e-6)
    # A greyscale image, and a stack of one.
    grey = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(
        explain(coloured, grey[None]).contributions,
        explain(coloured, image.convert("L")).contributions,
    )


def test_one_image_at_a_time(coloured):
    image = draw_image(RED, *PLACES[2], 1)[0]
    with pytest.raises(ValueError, match="takes one image, got 2"):
        explain(coloured, [image, image])
    with pytest.raises(ValueError, match="a missing value"):
        explain(coloured, None)
