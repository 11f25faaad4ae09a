"""The display of prototypes: this region looks like that one."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet import ProtoPNetClassifier
from skdpnet.display import PrototypeDisplay
from tests.display.models import RED, Colours, colour_images, end_to_end, square_image


@pytest.fixture(scope="module")
def model():
    return ProtoPNetClassifier(
        Colours(),
        image_size=128,
        region_scales=(0.25,),
        n_prototypes_per_class=2,
        n_components=None,
        random_state=0,
    ).fit(*colour_images())


def test_a_row_has_a_region_its_prototype_and_its_image(model):
    X, y = colour_images()
    new = square_image((230, 20, 20), (68, 48))
    display = PrototypeDisplay.from_estimator(model, new, X, n_prototypes=2).plot()
    assert display.explanation.predicted == RED
    assert display.axes_.shape == (2, 3)
    for p, source in zip(display.prototypes, display.sources, strict=True):
        i = model.prototype_sources_["image"][p]
        assert_array_equal(source.image.pixels, np.asarray(X[i]))
        left, top, right, bottom = source.box.round().astype(int)
        cut = np.asarray(X[i])[top:bottom, left:right]
        assert_array_equal(source.crop.pixels, cut)
        # No image is turned here, so that upright boxes are those of the table.
        sides = ("left", "top", "right", "bottom")
        assert_allclose(
            source.box, [model.prototype_sources_[side][p] for side in sides]
        )
    strongest = display.explanation.contributions.argmax()
    assert display.prototypes[0] == strongest
    # The red square, and what it looks like, are red.
    for shown in (display.crops[0], display.sources[0].crop):
        red, green, _ = shown.pixels.reshape(-1, 3).mean(axis=0)
        assert red > green + 30


def test_texts_tell_similarity_and_contribution(model):
    X, _ = colour_images()
    display = PrototypeDisplay.from_estimator(model, X[0], X, n_prototypes=1).plot()
    (p,) = display.prototypes
    texts = [text.get_text() for text in display.figure_.findobj(matplotlib.text.Text)]
    row = next(text for text in texts if text.startswith("1  "))
    why = display.explanation
    assert f"similarity {why.descriptor[p]:.2f}" in row
    number = float(row.rsplit("contributes ", 1)[1].replace("−", "-"))
    assert_allclose(number, why.contributions[p], atol=0.06)


def test_a_class_that_nothing_speaks_for_has_no_rows(model):
    X, _ = colour_images()
    display = PrototypeDisplay.from_estimator(model, X[0], X, "blue")
    display.prototypes = display.prototypes[:0]
    display.plot()
    assert display.axes_.shape[0] == 0
    assert "no prototype" in display.image_axes_.get_title()


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"X_train": 3}, ValueError, "only 3 images"),
        ({"n_prototypes": 0}, ValueError, "n_prototypes"),
        ({"n_prototypes": 1.5}, TypeError, "n_prototypes"),
        ({"class_": "mauve"}, ValueError, "mauve"),
    ],
)
def test_what_cannot_be_shown_is_told(model, arguments, error, message):
    X, _ = colour_images()
    given = {"X_train": len(X), **arguments}
    given["X_train"] = X[: given["X_train"]]
    with pytest.raises(error, match=message):
        PrototypeDisplay.from_estimator(model, X[0], **given)


def test_other_parts_have_no_sources():
    X, y = colour_images()
    with pytest.raises(ValueError, match="use ExplanationDisplay"):
        PrototypeDisplay.from_estimator(end_to_end().fit(X, y), X[0], X)
