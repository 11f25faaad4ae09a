"""The comparison's rows and page, with answers and places that are known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skdpnet import DPNetClassifier
from skdpnet.images.collection import as_images
from skdpnet.reporting.compared import Compared, measure
from skdpnet.reporting.comparison import comparison_rows, write_comparison
from tests.display.models import PARAMS, PLACES, Colours, colour_images
from tests.reporting.pages import NAMES, Tree


def method(title, right, **values):
    right = np.array(right, bool)
    return Compared(title, 1.5, ["a"] * len(right), right, **values)


def test_rows_compare_with_the_first_of_the_best():
    rows = comparison_rows(
        [
            method("low", [1, 0, 0, 0]),
            method("best", [1, 1, 1, 0], n_parts=7, in_decision=2.0),
            method("as good", [0, 1, 1, 1]),
        ]
    )
    assert [row["accuracy"] for row in rows] == [0.25, 0.75, 0.75]
    assert [row["is_best"] for row in rows] == [False, True, False]
    assert [row["difference"] for row in rows] == [-0.5, None, 0.0]
    assert rows[1]["difference_interval"] is None
    assert (rows[1]["parts"], rows[1]["parts_in_decision"]) == (7, 2.0)
    assert (rows[0]["parts"], rows[0]["parts_in_decision"]) == (None, None)


@pytest.fixture(scope="module")
def measured():
    X, y = colour_images()
    model = DPNetClassifier(Colours(), **PARAMS, max_epochs=0).fit(X, y)
    wrong = y.copy()
    wrong[0] = y[-1]
    return (
        X,
        wrong,
        measure(
            "colours",
            model,
            as_images(X),
            wrong,
            seconds=3.0,
            has_parts=True,
            shown=[0, 3, 7],
        ),
    )


def test_the_strongest_part_is_where_the_colour_is(measured):
    """Nothing but a square of 32 pixels tells the classes apart."""
    _, y, found = measured
    assert found.right.tolist() == [False] + [True] * (len(y) - 1)
    assert list(found.strongest) == [0, 3, 7]
    for i, strongest in found.strongest.items():
        left, top = PLACES[i % len(PLACES)]
        x0, y0, x1, y1 = strongest.box
        assert x0 < left + 32 and left < x1 and y0 < top + 32 and top < y1
        assert (x1 - x0) * (y1 - y0) < 200 * 128 / 4, "not the whole image"
    assert found.n_parts == 9
    assert 1 <= found.in_decision <= 3, "a class has two parts, and the whole image"


def test_the_page_escapes_names_and_says_where_no_part_speaks(measured, tmp_path):
    X, y, found = measured
    truth = np.array([NAMES[i % len(NAMES)] for i in range(len(y))])
    silent = method(NAMES[0], np.ones(len(y)), n_parts=3, in_decision=0.0)
    silent.strongest.update({0: None, 3: None})
    path = write_comparison(
        tmp_path / "c.html",
        [found, silent, method(NAMES[1], np.zeros(len(y)))],
        as_images(X),
        truth,
        shown=[0, 3],
        names=[NAMES[2]] * len(y),
        title=NAMES[0],
        facts=[(NAMES[0], NAMES[1], NAMES[2])],
        split=NAMES[2],
    )
    html = path.read_text(encoding="utf-8")
    page = Tree(html).root
    assert not list(page.all("script")) and not list(page.all("img"))
    assert page.only("h1").text == NAMES[0]
    first, second = page.all("article", "image")
    assert first.only("h3").text == NAMES[0] and second.only("h3").text == NAMES[3]
    shown, without = first.all("figure", "look")
    assert len(list(shown.all("rect"))) == 2 and not list(without.all("rect"))
    assert "no part speaks for it" in without.text
    assert NAMES[1] in first.only("p", "scores").text, "it has no parts to show"
    assert "image of each of the first 2 of 6 classes" in page.text
    assert len(re.findall("data:image/jpeg", html)) == 2


def test_a_method_without_parts_has_answers_alone(measured):
    X, y, _ = measured

    class Always:
        def predict(self, images):
            return np.full(len(images), y[-1])

    found = measure(
        "always",
        Always(),
        as_images(X),
        y,
        seconds=0.0,
        has_parts=False,
        shown=[0],
    )
    assert found.right.mean() == np.mean(y == y[-1])
    assert found.n_parts is None and found.strongest == {}
