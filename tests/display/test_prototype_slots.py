"""The display of a class's slots."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from skdpnet import ProtoPNetClassifier, ProtoPoolClassifier
from skdpnet.display import PrototypeSlotsDisplay
from tests.display.models import RED, Colours, colour_images

PARAMS = {
    "image_size": 128,
    "region_scales": (0.25,),
    "n_components": None,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def model():
    # Six prototypes for nine slots: some are in several.
    pool = ProtoPoolClassifier(Colours(), **PARAMS, n_prototypes=6, n_slots=3)
    return pool.fit(*colour_images())


def test_all_slots_of_the_class_are_shown_once(model):
    X, _ = colour_images()
    for c, label in enumerate(model.classes_):
        display = PrototypeSlotsDisplay.from_estimator(model, label, X)
        assert sorted(sum(display.slots, [])) == [0, 1, 2]
        for p, slots in zip(display.prototypes, display.slots, strict=True):
            assert set(model.slots_[c, slots]) == {p}
        assert (np.diff(display.weights) <= 0).all()
        # The score of an image is the sum of what the class's prototypes add.
        assert display.weights.tolist() == model.coef_[c, display.prototypes].tolist()


def test_other_classes_that_share_a_prototype_are_named(model):
    X, _ = colour_images()
    displays = {
        label: PrototypeSlotsDisplay.from_estimator(model, label, X)
        for label in model.classes_
    }
    for label, display in displays.items():
        for p, shared in zip(display.prototypes, display.shared_with, strict=True):
            holders = [o for o in displays if p in displays[o].prototypes]
            assert [*shared, label] == [*(o for o in holders if o != label), label]


def test_a_region_is_cut_out_of_its_training_image(model):
    X, _ = colour_images()
    display = PrototypeSlotsDisplay.from_estimator(model, RED, X).plot()
    assert display.axes_.shape == (len(display.prototypes), 2)
    for p, source in zip(display.prototypes, display.sources, strict=True):
        image = np.asarray(X[model.prototype_sources_["image"][p]])
        left, top, right, bottom = source.box.round().astype(int)
        assert (source.crop.pixels == image[top:bottom, left:right]).all()
    titles = [text.get_text() for text in display.figure_.findobj(Text)]
    assert any(title.startswith("The 3 slots hold") for title in titles)


def test_what_cannot_be_shown_is_told(model):
    X, y = colour_images()
    with pytest.raises(ValueError, match="mauve"):
        PrototypeSlotsDisplay.from_estimator(model, "mauve", X)
    with pytest.raises(ValueError, match="only 1 image"):
        PrototypeSlotsDisplay.from_estimator(model, RED, X[:1])
    other = ProtoPNetClassifier(Colours(), **PARAMS, n_prototypes_per_class=1)
    with pytest.raises(ValueError, match="fit a ProtoPoolClassifier"):
        PrototypeSlotsDisplay.from_estimator(other.fit(X, y), RED, X)
    maps = np.random.RandomState(0).rand(15, 4, 4, 3)
    given = ProtoPoolClassifier("precomputed", n_prototypes=3, n_slots=1)
    with pytest.raises(ValueError, match="which has none"):
        PrototypeSlotsDisplay.from_estimator(given.fit(maps, y), RED, maps)
