"""Inputs of prototype networks for the table of bad inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import skdpnet
from benchmarks.robustness.bad_image_cases import SETTINGS, Case, images_and_labels
from skdpnet.display import PrototypeDisplay

__all__ = ["prototype_cases"]

NAMES = [
    name for name, module in skdpnet.ESTIMATORS.items() if ".prototypes." in module
]
# Those of all of them, of models that are fitted in a moment.
_SHARED = {
    name: value for name, value in SETTINGS.items() if name != "n_parts_per_class"
}


def prototype_cases() -> Iterator[Case]:
    """Return bad inputs of each prototype network.

    Yields
    ------
    Case
    """
    images, labels = images_and_labels()
    for name in NAMES:
        yield from _cases(name, images, labels)


def _cases(name: str, images: np.ndarray, labels: np.ndarray) -> Iterator[Case]:
    def case(given: str, act) -> Case:
        return Case(name, given, act)

    def fit(X=images, y=labels, **settings):
        return _estimator(name, **settings).fit(X, y)

    for setting, value in (
        ("max_epochs", -1),
        ("lr", float("nan")),
        ("n_components", 0),
        ("batch_size", 1.5),
        ("region_scales", (2.0,)),
        ("device", "cuda:99"),
    ):
        yield case(f"{setting}={value!r}", lambda s=setting, v=value: fit(**{s: v}))
    yield case("a single class", lambda: fit(y=["a"] * len(labels)))
    yield case("None among the labels", lambda: fit(y=[*labels[:-1], None]))
    yield case("one label too few", lambda: fit(y=labels[:-1]))
    yield case("two images in all", lambda: fit(images[3:5], labels[3:5]))
    yield case("equal images in both classes", lambda: fit(images[[0] * 8], labels))
    broken = [*images[:6], "missing.png", images[7]]
    yield case("a file that is missing", lambda: fit(broken))
    yield case(
        "negative weights of images",
        lambda: _estimator(name).fit(images, labels, sample_weight=-np.ones(8)),
    )
    yield case(
        "maps with NaN",
        lambda: fit(np.full((8, 3, 3, 4), np.nan), backbone="precomputed"),
    )
    yield case(
        "maps of another shape than in the fit",
        lambda: fit(np.ones((8, 3, 3, 4)), backbone="precomputed").predict(
            np.ones((2, 4, 3, 4))
        ),
    )
    yield case("predict before fit", lambda: _estimator(name).predict(images))
    yield case(
        "too few training images for the display",
        lambda: PrototypeDisplay.from_estimator(fit(), images[0], images[:1]),
    )
    yield case("a file whose table of sources is damaged", lambda: _damaged(fit()))


def _estimator(name: str, **settings: object):
    return getattr(skdpnet, name)(**{**_SHARED, **settings})


def _damaged(model) -> object:
    """Save a model with a source that is no number, and load it."""
    path = Path("sources.skdpnet")
    model.prototype_sources_["left"][0] = np.nan
    model.save(path)
    return skdpnet.load(path)
