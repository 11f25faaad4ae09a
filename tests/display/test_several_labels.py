"""Figures of models that predict several classes of an image, or none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet import DPNetClassifier
from skdpnet.display import (
    BestRegionsDisplay,
    ClassPartMatrixDisplay,
    ExplanationDisplay,
    HeatMapDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from tests.display.models import COLOURS, PARAMS, PLACES, Colours

KINDS = [(0,), (1,), (2,), (0, 1), (1, 2), ()]


def squares(shift: int) -> tuple[list[Image.Image], np.ndarray, list[dict]]:
    """Images with a square of each of some colours; the colours; and the corners."""
    X, Y, corners = [], [], []
    for i in range(30):
        pixels = np.empty((128, 200, 3), np.uint8)
        pixels[:] = np.linspace(90, 60, 200).astype(np.uint8)[:, None]
        kinds = KINDS[i % len(KINDS)]
        chosen = {}
        for k in kinds:
            left, top = PLACES[(i // len(KINDS) + k + shift) % len(PLACES)]
            pixels[top : top + 32, left : left + 32] = [*COLOURS.values()][k]
            chosen[k] = left, top
        X.append(Image.fromarray(pixels))
        Y.append([int(k in kinds) for k in range(3)])
        corners.append(chosen)
    return X, np.array(Y), corners


@pytest.fixture(scope="module")
def model():
    X, Y, _ = squares(0)
    return DPNetClassifier(Colours(), **PARAMS, max_epochs=10).fit(X, Y)


def test_heat_maps_of_two_classes_of_an_image_peak_at_their_squares(model):
    X, Y, corners = squares(1)
    assert model.score(X, Y) > 0.8
    places = []
    for i in (3, 4, 9, 10):
        for k, (left, top) in corners[i].items():
            why = skdpnet.explain(model, X[i], k)
            # Of the parts alone, because the context has no place.
            heat = why.heat_map(why.part_maps == 0)
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            x0, y0, x1, y1 = why.heat_map_box
            x = x0 + (column + 0.5) / heat.shape[1] * (x1 - x0)
            y = y0 + (row + 0.5) / heat.shape[0] * (y1 - y0)
            places.append(left <= x <= left + 32 and top <= y <= top + 32)
    assert np.mean(places) >= 7 / 8


def test_headlines_say_whether_a_class_is_predicted(model):
    X, _, _ = squares(1)
    both, none = X[3], X[5]
    for image, class_, text in (
        (both, 0, "(predicted)"),
        (both, 1, "(predicted)"),
        (both, 2, "(not predicted)"),
        (none, None, "(not predicted)"),
    ):
        display = HeatMapDisplay.from_estimator(model, image, class_).plot()
        assert text in display.ax_.get_title()
    assert BestRegionsDisplay.from_estimator(model, [both]).titles[0].count("predicted")


def test_each_display_draws_a_class(model):
    X, _, _ = squares(1)
    ExplanationDisplay.from_estimator(model, X[3], 1, against=0).plot()
    PartGalleryDisplay.from_estimator(model, 1, X).plot()
    ParticipationDisplay.from_estimator(model, 1, X).plot()
    assert ClassPartMatrixDisplay.from_estimator(model).weights.shape[0] == 3


def test_what_compares_one_class_refuses(model, tmp_path):
    X, Y, _ = squares(1)
    with pytest.raises(ValueError, match="leave y out"):
        BestRegionsDisplay.from_estimator(model, X[:2], Y[:2])
    with pytest.raises(ValueError, match="predicts no single class"):
        skdpnet.report(model, X, X, Y, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
