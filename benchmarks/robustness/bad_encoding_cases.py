"""Inputs of encodings of local descriptors for the table of bad inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import skdpnet
from benchmarks.robustness.bad_image_cases import Case, images_and_labels
from skdpnet.backbones import DenseSIFT
from skdpnet.encodings import intersection_kernel

__all__ = ["encoding_cases"]

NAMES = ("BagOfWords", "LLC", "VLAD", "FisherVector")
_PYRAMID = ((1, 1), (2, 2))
_SETTINGS = {"image_size": 64, "n_words": 8, "random_state": 0, "pyramid": _PYRAMID}
_OWN = {
    "BagOfWords": (("feature_map", "hellinger"), ("level_weights", "lazebnik")),
    "LLC": (("n_neighbors", 0), ("regularisation", 0)),
    "VLAD": (("power", 2),),
    "FisherVector": (("power", 0),),
}


def encoding_cases() -> Iterator[Case]:
    """Yield bad inputs of each encoding.

    Yields
    ------
    Case
    """
    images, _ = images_and_labels()
    for name in NAMES:
        yield from _cases(name, images)
    kind = "intersection_kernel"
    for given, X in (
        ("entries below 0", [[0.5, -0.5]]),
        ("histograms with NaN", [[0.5, np.nan]]),
        ("one histogram that is no row", [0.5, 0.5]),
    ):
        yield Case(kind, given, lambda X=X: intersection_kernel(X))
    yield Case(
        kind,
        "histograms of other lengths",
        lambda: intersection_kernel([[0.5, 0.5]], [[1.0]]),
    )


def _cases(name: str, images: np.ndarray) -> Iterator[Case]:
    def case(given: str, act) -> Case:
        return Case(name, given, act)

    def fit(X=images, **settings):
        estimator = getattr(skdpnet, name)
        return estimator(**{**_SETTINGS, **settings}).fit_transform(X)

    for setting, value in (
        ("n_words", 0),
        ("n_components", 1.5),
        ("n_samples", 0),
        ("pyramid", ((1, 1, 1),)),
        ("pyramid", ((40, 40),)),
        *_OWN[name],
    ):
        yield case(f"{setting}={value!r}", lambda s=setting, v=value: fit(**{s: v}))
    grey = np.full((3, 64, 64, 3), 128, np.uint8)
    yield case("images of one colour", lambda: fit(grey))
    yield case("images of 3 × 5 pixels", lambda: fit([images[0, 30:33, 30:35]] * 3))
    yield case(
        "images smaller than a step of the descriptors",
        lambda: fit(backbone=DenseSIFT(step=100)),
    )
    yield case("one image", lambda: fit(images[:1]))
    yield case("no image", lambda: fit(images[:0]))
    broken = [*images[:6], "missing.png", images[7]]
    yield case("a file that is missing", lambda: fit(broken))
    maps = np.random.default_rng(0).random((1, 2, 2, 4))
    yield case(
        "fewer descriptors than words",
        lambda: fit(maps, backbone="precomputed", n_words=50),
    )
    yield case(
        "maps with NaN",
        lambda: fit(np.full((8, 3, 3, 4), np.nan), backbone="precomputed"),
    )
    yield case(
        "features, which have no place, and a pyramid",
        lambda: fit(np.ones((8, 4)), backbone="precomputed"),
    )
    yield case(
        "maps of another shape than in the fit",
        lambda: (
            getattr(skdpnet, name)("precomputed", n_words=2)
            .fit(np.random.default_rng(0).random((8, 3, 3, 4)))
            .transform(np.ones((2, 4, 3, 4)))
        ),
    )
    yield case(
        "transform before fit",
        lambda: getattr(skdpnet, name)("precomputed").transform(np.ones((2, 4))),
    )
