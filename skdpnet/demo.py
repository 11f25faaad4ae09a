"""The demo: four ways to classify made pictures, and where the parts were found."""

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
    best_regions,
    datasets,
    metrics,
)

__all__ = ["run_demo"]

_N_TRAIN, _N_TEST = 320, 160
_IMAGE_SIZE = 320


def run_demo(output: str | Path, *, say: Callable[[str], None] = print) -> None:
    """Compare global and part descriptors on pictures with known parts.

    Parameters
    ----------
    output : str or path
        Folder for the figure, ``best_regions.png``; made where it is missing.
    say : callable, default=print
        Takes the lines of the report; progress bars go to standard error.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    say(f"Drawing {_N_TRAIN} pictures to learn from and {_N_TEST} to test on ...")
    train = datasets.make_part_images(_N_TRAIN, random_state=0)
    test = datasets.make_part_images(_N_TEST, random_state=1)
    names = train.target_names
    y, y_test = names[train.target], names[test.target]

    with tempfile.TemporaryDirectory() as memory:
        common = {"image_size": _IMAGE_SIZE, "memory": memory}
        seconds = -time.perf_counter()
        FeatureMaps(**common, verbose=1).fit_transform(
            np.concatenate([train.images, test.images])
        )
        seconds += time.perf_counter()
        say(f"Feature maps of all {_N_TRAIN + _N_TEST} pictures: {seconds:.0f} s.\n")
        methods = {
            "global descriptor + SVM": _with_svm(GlobalFeatures(**common)),
            "two-stage parts + SVM": _with_svm(
                SoftAssignParts(**common, random_state=0)
            ),
            "DPNetClassifier": DPNetClassifier(**common, random_state=0, verbose=1),
            "DPNetTransformer + SVM": _with_svm(
                DPNetTransformer(**common, random_state=0, verbose=1)
            ),
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
            "\nThe strongest part of each picture points at a part that tells the "
            f"class apart in {found:.0%} of them (a random region: {chance:.0%})."
        )
        figure = output / "best_regions.png"
        _draw(model, test, y_test, figure)
    say(f"Best regions of eight test pictures: {figure}")


def _with_svm(descriptor) -> Pipeline:
    choice = GridSearchCV(LinearSVC(random_state=0), {"C": [0.1, 1, 10]}, cv=3)
    return Pipeline([("descriptor", descriptor), ("svm", choice)])


def _pointing(model: DPNetClassifier, test) -> tuple[float, float]:
    """Pointing game of the strongest part, and of regions drawn at random."""
    descriptor = model.transform(test.images)
    winners = (descriptor @ model.coef_.T + model.intercept_).argmax(axis=1)
    strongest = (model.coef_[winners] * descriptor).argmax(axis=1)
    found = best_regions(model, test.images)
    pictures = np.arange(len(strongest))
    targets = [
        [boxes[part] for part in test.discriminative_parts[label] if part in boxes]
        for label, boxes in zip(test.target, test.boxes, strict=True)
    ]
    random = np.random.default_rng(0)
    regions = np.concatenate([grid.boxes() for grid in model.grids_])
    drawn = regions[random.integers(len(regions), size=len(pictures))]
    size = test.images.shape[1]
    return (
        metrics.pointing_game(found.boxes[pictures, strongest], targets).mean(),
        metrics.pointing_game(drawn * size, targets).mean(),
    )


def _draw(model: DPNetClassifier, test, y_test: np.ndarray, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from skdpnet.display import BestRegionsDisplay

    # The first test picture of each class.
    chosen = [int(np.flatnonzero(test.target == k)[0]) for k in range(8)]
    display = BestRegionsDisplay.from_estimator(
        model, test.images[chosen], y_test[chosen]
    )
    display.plot().figure_.savefig(path, dpi=110)
