"""What the display draws: the picture as it is, boxes where the parts were found."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas
import pytest
from PIL import Image

from skdpnet import DPNetClassifier, best_regions
from skdpnet.display import BestRegionsDisplay

matplotlib.use("agg")


@pytest.fixture(scope="module")
def model(photographs, tmp_path_factory):
    paths, y = photographs
    return DPNetClassifier(
        image_size=96,
        region_scales=(0.3, 0.6),
        n_parts_per_class=3,
        max_epochs=2,
        memory=tmp_path_factory.mktemp("maps"),
        random_state=0,
    ).fit(paths, y)


@pytest.fixture
def display(model, photographs):
    import matplotlib.pyplot as plt

    paths, y = photographs
    yield BestRegionsDisplay.from_estimator(model, paths[:5], y[:5], n_parts=2).plot()
    plt.close("all")


def test_contributions_and_boxes_are_those_of_the_strongest_parts(
    display, model, photographs
):
    paths, _ = photographs
    b = model.transform(paths[:5])
    logits = b @ model.coef_.T + model.intercept_
    boxes = best_regions(model, paths[:5]).boxes
    for i in range(5):
        added = model.coef_[logits[i].argmax()] * b[i]
        top = np.argsort(added)[::-1][:2]
        top = top[added[top] > 0]
        np.testing.assert_allclose(display.contributions[i], added[top])
        np.testing.assert_array_equal(display.boxes[i], boxes[i, top])


def test_pictures_are_drawn_whole_and_undistorted(display, photographs):
    for axes, path in zip(display.axes_.flat, photographs[0], strict=False):
        if not axes.images:
            continue
        with Image.open(path) as picture:
            np.testing.assert_array_equal(axes.images[0].get_array(), picture)
        assert axes.get_aspect() == 1


def test_a_wrong_prediction_says_what_it_is(model, photographs):
    paths, y = photographs
    wrong = ["coffee" if label == "cat" else "cat" for label in model.predict(paths)]
    made = BestRegionsDisplay.from_estimator(model, paths, wrong)
    assert all("(is " in title for title in made.titles)
    series = pandas.Series(wrong, index=range(len(wrong))[::-1])
    by_place = BestRegionsDisplay.from_estimator(model, paths, series)
    assert by_place.titles == made.titles
    right = BestRegionsDisplay.from_estimator(model, paths, model.predict(paths))
    assert not any("(is " in title for title in right.titles)
    assert len(y) == len(right.titles)
