"""Pages of comparisons and of trees on the screen of a telephone."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.images.collection import as_images
from skdpnet.reporting.compared import Compared, Strongest
from skdpnet.reporting.comparison import write_comparison
from tests.reporting.browser import find, resize, start_browser
from tests.reporting.pages import NAMES, coloured
from tests.reporting.test_tree_paths import report_of, tree


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A browser of 390 pixels."""
    browser = start_browser(tmp_path_factory.mktemp("profile"))
    resize(browser, 390)
    yield browser
    browser.quit()


def width_of(browser, path):
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    return browser.execute_script("return document.documentElement.scrollWidth")


def test_a_comparison_fits(narrow, tmp_path):
    X, _ = coloured(6)
    images, y = as_images(X), np.array(NAMES)
    methods = [
        Compared(
            f"a method with a long name, number {number}",
            seconds=1234.5,
            predicted=NAMES,
            right=np.ones(6, bool),
            n_parts=4000,
            in_decision=12.5,
            strongest={i: Strongest(name, np.array([8, 8, 40, 40.0])) for i in (0, 4)},
        )
        for number, name in enumerate(NAMES)
    ]
    path = write_comparison(
        tmp_path / "c.html",
        methods,
        images,
        y,
        shown=[0, 4],
        names=NAMES,
        title=NAMES[4],
        facts=[("Classes", "6", NAMES[4])],
        split=NAMES[4],
    )
    assert width_of(narrow, path) <= 390
    first = find(narrow, ".look .view").rect
    assert 100 < first["width"] < 390 and 50 < first["height"] < first["width"]


def test_the_path_of_a_tree_fits(narrow, tmp_path):
    assert width_of(narrow, report_of(tmp_path, tree()).path) <= 390
    step = find(narrow, ".path li").rect
    assert 200 < step["width"] < 390
