"""Figures of a regressor speak of predictions, and those of classes refuse."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet import DPNetRegressor
from skdpnet.display import (
    BestRegionsDisplay,
    ClassPartMatrixDisplay,
    ExplanationDisplay,
    HeatMapDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from tests.display.models import PLACES, Colours

SETTINGS = {
    "image_size": 128,
    "region_scales": (0.25,),
    "n_bins": 2,
    "n_parts_per_bin": 2,
    "n_components": None,
    "context": False,
    "max_epochs": 10,
    "random_state": 0,
}


def shaded(shift: int) -> tuple[list[Image.Image], np.ndarray, list]:
    """Images with a square from blue (0) to red (1), and its upper left corner."""
    X, y, corners = [], np.tile(np.linspace(0, 1, 10), 3), []
    for i, share in enumerate(y):
        pixels = np.empty((128, 200, 3), np.uint8)
        pixels[:] = np.linspace(90, 60, 200).astype(np.uint8)[:, None]
        left, top = PLACES[(i + i // 10 + shift) % len(PLACES)]
        colour = (20 + 210 * share, 20, 20 + 210 * (1 - share))
        pixels[top : top + 32, left : left + 32] = np.array(colour).astype(np.uint8)
        X.append(Image.fromarray(pixels))
        corners.append((left, top))
    return X, y, corners


@pytest.fixture(scope="module")
def model():
    X, y, _ = shaded(0)
    return DPNetRegressor(Colours(), **SETTINGS).fit(X, y)


@pytest.fixture(scope="module")
def two_targets():
    X, y, _ = shaded(0)
    return DPNetRegressor(Colours(), **SETTINGS).fit(X, np.stack([y, 5 - y], axis=1))


def test_heat_maps_of_predictions_peak_at_the_square(model):
    X, y, corners = shaded(1)
    assert model.score(X, y) > 0.9
    hits = []
    for i in np.flatnonzero(y > 0.7):
        why = skdpnet.explain(model, X[i])
        heat = why.heat_map()
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        x0, y0, x1, y1 = why.heat_map_box
        x = x0 + (column + 0.5) / heat.shape[1] * (x1 - x0)
        y_ = y0 + (row + 0.5) / heat.shape[0] * (y1 - y0)
        left, top = corners[i]
        hits.append(left <= x <= left + 32 and top <= y_ <= top + 32)
    assert np.mean(hits) >= 7 / 9


def texts(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_figures_say_prediction_and_not_score(model, two_targets):
    X, _, _ = shaded(1)
    image = X[9]
    for display in (
        ExplanationDisplay.from_estimator(model, image).plot(),
        HeatMapDisplay.from_estimator(model, image).plot(),
        BestRegionsDisplay.from_estimator(model, X[:2]).plot(),
        ParticipationDisplay.from_estimator(model, 0, X).plot(),
    ):
        written = texts(display.figure_)
        assert "prediction" in written and "score" not in written
        assert "speaks" not in written and "predicted" not in written
    display = ExplanationDisplay.from_estimator(two_targets, image, 1).plot()
    assert "target 1, prediction" in texts(display.figure_)
    assert "target 1" in texts(
        PartGalleryDisplay.from_estimator(two_targets, 1, X).plot().figure_
    )


def test_what_compares_classes_refuses(model, two_targets, tmp_path):
    X, y, _ = shaded(1)
    with pytest.raises(ValueError, match="a regressor has no classes"):
        ClassPartMatrixDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="leave y out"):
        BestRegionsDisplay.from_estimator(model, X[:2], y[:2])
    with pytest.raises(ValueError, match="predicts no single class"):
        skdpnet.report(model, X, X, y, tmp_path / "page.html")
    with pytest.raises(ValueError, match="difference of two targets"):
        ExplanationDisplay.from_estimator(two_targets, X[0], 0, against=1)
