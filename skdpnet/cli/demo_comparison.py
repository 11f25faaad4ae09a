"""The demo: four ways to classify made images, and which parts decided."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    FeatureMaps,
    GlobalFeatures,
    SoftAssignParts,
    datasets,
    explain_each,
    metrics,
    report,
)

__all__ = ["run_demo"]

_TITLE = "Made birds: which parts decide"
_N_TRAIN, _N_TEST = 400, 160
_IMAGE_SIZE = 320
# Beaks and crests are a few cells of the finer map; a few hundred images of one kind
# bear faster learning of fewer parts than photographs do; and the assignment penalty
# makes parts lie on what differs (docs/explanations.md).
_STRIDES = (16,)
_LEARNING = {
    "n_parts_per_class": 6,
    "assignment_weight": 1,
    "ridge": 0.01,
    "lr": 0.01,
    "max_epochs": 20,
}


def run_demo(output: str | Path, *, say: Callable[[str], None] = print) -> None:
    """Compare global and part descriptors on images with known parts.

    Parameters
    ----------
    output : str or path
        Folder for the figure, ``best_regions.png``, and the page, ``report.html``;
        made where it is missing.
    say : callable, default=print
        Takes the lines of the report; progress bars go to standard error.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    say(f"Drawing {_N_TRAIN} images to learn from and {_N_TEST} to test on ...")
    draw = {"image_size": _IMAGE_SIZE}
    train = datasets.make_part_images(_N_TRAIN, random_state=0, **draw)
    test = datasets.make_part_images(_N_TEST, random_state=1, **draw)
    names = train.target_names
    y, y_test = names[train.target], names[test.target]

    with tempfile.TemporaryDirectory() as memory:
        common = {"image_size": _IMAGE_SIZE, "memory": memory}
        seconds = -time.perf_counter()
        for strides in (None, _STRIDES):
            FeatureMaps(strides=strides, **common, verbose=1).fit_transform(
                np.concatenate([train.images, test.images])
            )
        seconds += time.perf_counter()
        say(f"Feature maps of all {_N_TRAIN + _N_TEST} images: {seconds:.0f} s.\n")
        parts = {**common, "strides": _STRIDES, "random_state": 0}
        learned = {**parts, **_LEARNING, "verbose": 1}
        methods = {
            "global descriptor + SVM": _with_svm(GlobalFeatures(**common)),
            "two-stage parts + SVM": _with_svm(SoftAssignParts(**parts)),
            "DPNetClassifier": DPNetClassifier(**learned),
            "DPNetTransformer + SVM": _with_svm(DPNetTransformer(**learned)),
        }
        rows = []
        for name, method in methods.items():
            seconds = -time.perf_counter()
            method.fit(train.images, y)
            seconds += time.perf_counter()
            rows.append((name, 100 * method.score(test.images, y_test), seconds))
        say("\n| method | accuracy, % | fit from maps, s |")
        say("| --- | ---: | ---: |")
        for name, accuracy, seconds in rows:
            say(f"| {name} | {accuracy:.1f} | {seconds:.1f} |")

        model = methods["DPNetClassifier"]
        found, chance = _pointing(model, test)
        say(
            "\nThe strongest part of each image points at a part that tells the "
            f"class apart in {found:.0%} of them (a random region: {chance:.0%}).\n"
        )
        figure, page = output / "best_regions.png", output / "report.html"
        _draw(model, test, y_test, figure)
        report(model, train.images, test.images, y_test, page, title=_TITLE)
    say(f"Best regions of eight test images: {figure}")
    say(f"Every class, its parts, and the test images explained: {page}")


def _with_svm(descriptor) -> Pipeline:
    choice = GridSearchCV(LinearSVC(random_state=0), {"C": [0.1, 1, 10]}, cv=3)
    return Pipeline([("descriptor", descriptor), ("svm", choice)])


def _pointing(model: DPNetClassifier, test) -> tuple[float, float]:
    """Pointing game of the strongest part, and of regions drawn at random."""
    strongest = [
        # Where no part that is present speaks for the class: a point in no box.
        why.boxes[top[0]] if len(top := why.top_parts(1)) else [-1] * 4
        for why in explain_each(model, test.images)
    ]
    drawn = metrics.random_regions(model.grids_, len(strongest), 1, random_state=0)[
        :, 0
    ]
    targets, size = test.discriminative_boxes, test.images.shape[1]
    return (
        metrics.pointing_game(strongest, targets).mean(),
        metrics.pointing_game(drawn * size, targets).mean(),
    )


def _draw(model: DPNetClassifier, test, y_test: np.ndarray, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from skdpnet.display import BestRegionsDisplay

    # The first test image of each class.
    chosen = [int(np.flatnonzero(test.target == k)[0]) for k in range(8)]
    display = BestRegionsDisplay.from_estimator(
        model, test.images[chosen], y_test[chosen]
    )
    display.plot().figure_.savefig(path, dpi=110)
