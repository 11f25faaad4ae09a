"""Heat maps of several images on one scale, by `vmax`."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.display import ExplanationDisplay, HeatMapDisplay
from tests.display.models import colour_images, pipeline

STRONGEST = 0.85
DISPLAYS = [HeatMapDisplay, ExplanationDisplay]


@pytest.fixture(scope="module")
def model():
    return pipeline().fit(*colour_images())


def heat_axes(display):
    return display.ax_ if isinstance(display, HeatMapDisplay) else display.axes_[1]


def opacity(display) -> np.ndarray:
    return np.asarray(heat_axes(display).images[1].get_array())[..., 3]


def bar(display):
    return heat_axes(display).images[1].axes.figure.axes[-1]


def largest(model, image) -> float:
    return float(np.abs(HeatMapDisplay.from_estimator(model, image).heat).max())


@pytest.mark.parametrize("kind", DISPLAYS)
def test_colours_are_shares_of_vmax(model, kind):
    image = colour_images()[0][0]
    display, limit = kind.from_estimator(model, image), largest(model, image)
    own = opacity(display.plot()).copy()
    # The pixels of the smoothed map are not quite at the centres of cells.
    assert own.max() == pytest.approx(STRONGEST, rel=0.01)
    np.testing.assert_allclose(opacity(display.plot(vmax=limit)), own)
    half = opacity(display.plot(vmax=2 * limit))
    np.testing.assert_allclose(half, own / 2)
    # Beyond vmax all values have the strongest colour.
    beyond = opacity(display.plot(vmax=limit / 4))
    np.testing.assert_allclose(beyond, np.minimum(4 * own, STRONGEST))
    assert (beyond == STRONGEST).sum() > (own == own.max()).sum()


def test_images_have_one_scale_and_say_it(model):
    images = colour_images()[0][::5]
    classes = model.classes_[:2]
    explained = [(image, class_) for image in images for class_ in classes]
    displays = [HeatMapDisplay.from_estimator(model, *each) for each in explained]
    limits = [np.abs(display.heat).max() for display in displays]
    vmax = max(limits)
    assert vmax > 1.1 * min(limits)
    for display, limit in zip(displays, limits, strict=True):
        strongest = opacity(display.plot(vmax=vmax)).max() / STRONGEST * vmax
        assert strongest == pytest.approx(limit, rel=0.01)
        assert bar(display).get_ylim() == pytest.approx((-vmax, vmax))


def test_a_pointed_bar_says_that_values_are_beyond_it(model):
    image = colour_images()[0][0]
    limit = largest(model, image)
    display = HeatMapDisplay.from_estimator(model, image)
    for vmax, pointed in ((None, 0), (limit, 0), (2 * limit, 0), (limit / 2, 2)):
        shown = bar(display.plot(vmax=vmax))
        points = [p for p in shown.patches if len(p.get_path().vertices) < 5]
        assert len(points) == pointed


@pytest.mark.parametrize("kind", DISPLAYS)
@pytest.mark.parametrize("vmax", [0, -1.0, np.nan, np.inf, True, "1", [1.0]])
def test_what_is_no_scale_is_refused(model, kind, vmax):
    import matplotlib.pyplot as plt

    display = kind.from_estimator(model, colour_images()[0][0])
    with pytest.raises(ValueError, match="vmax must be a finite number above 0"):
        display.plot(vmax=vmax)
    assert plt.get_fignums() == []
