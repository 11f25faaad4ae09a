"""``demo``: four methods on synthetic images, and which parts decided."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skdpnet
from skdpnet.cli.io import draw_without_screen, save_figure, shows_progress
from skdpnet.cli.options import add_command
from skdpnet.storage.temporary_files import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Bunch

__all__ = ["add_parser"]

_DETAILS = """\
Draws birds whose classes differ in beak, crest, wing or tail alone, and prints
the accuracy of four methods on them. This takes a minute or two on two cores.
The folder then holds best_regions.png, a figure of test images with their
strongest parts, and report.html, a page with all classes and their parts.
"""
_EXAMPLES = """\
demo
demo -o birds
"""
_TITLE = "Synthetic birds: which parts decide"
_N_TRAIN, _N_TEST = 400, 160
_IMAGE_SIZE = 320
# These settings differ from the defaults, which are meant for photographs. The images
# are square, so that the network sees all of them in a crop. Beaks and crests fill only
# a few cells of the finer feature map, and bodies and wings more: windows have three
# sizes. Parts of so few and similar images can be fewer and learned faster. The
# assignment penalty moves parts to what differs between the classes
# (docs/explanations.md).
_STRIDES = (16,)
_LEARNING: dict[str, Any] = {
    "region_scales": (0.15, 0.3, 0.45),
    "n_parts_per_class": 6,
    "assignment_weight": 1,
    "ridge": 0.01,
    "lr": 0.01,
    "max_epochs": 20,
}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands,
        "demo",
        "compare global and part descriptors on synthetic images",
        _DETAILS,
        _EXAMPLES,
    )
    parser.add_argument(
        "-o",
        "--output",
        default="demo-output",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder for the figure and the page (default: demo-output)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    import numpy as np

    draw_without_screen()
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    print(f"Drawing {_N_TRAIN} training images and {_N_TEST} test images ...")
    train, test = (
        skdpnet.datasets.make_part_images(
            n, image_size=_IMAGE_SIZE, random_state=random_state
        )
        for n, random_state in ((_N_TRAIN, 0), (_N_TEST, 1))
    )
    y, y_test = (data.target_names[data.target] for data in (train, test))

    verbose = int(shows_progress(args))
    with temporary_folder() as memory:
        common = {"image_size": _IMAGE_SIZE, "framing": "crop", "memory": memory}
        start = time.perf_counter()
        for strides in (None, _STRIDES):
            skdpnet.FeatureMaps(
                strides=strides, verbose=verbose, **common
            ).fit_transform(np.concatenate([train.images, test.images]))
        seconds = time.perf_counter() - start
        print(f"Feature maps of all {_N_TRAIN + _N_TEST} images: {seconds:.0f} s.\n")

        rows = []
        methods = _methods(common, verbose)
        for name, method in methods.items():
            start = time.perf_counter()
            method.fit(train.images, y)
            seconds = time.perf_counter() - start
            rows.append((name, 100 * method.score(test.images, y_test), seconds))
        print("\n| method | accuracy, % | fit from maps, s |")
        print("| --- | ---: | ---: |")
        for name, accuracy, seconds in rows:
            print(f"| {name} | {accuracy:.1f} | {seconds:.1f} |")

        model = methods["DPNetClassifier"]
        score, chance = _pointing_game(model, test)
        print(
            "\nThe strongest part of an image points at a part that distinguishes its "
            f"class in {score:.0%} of the images (a random region: {chance:.0%}).\n"
        )
        figure, page = output / "best_regions.png", output / "report.html"
        _draw_best_regions(model, test, y_test, figure)
        skdpnet.report(model, train.images, test.images, y_test, page, title=_TITLE)
    print(f"Best regions of eight test images: {figure}")
    print(f"All classes with their parts, and explanations of test images: {page}")


def _methods(common: dict[str, Any], verbose: int) -> dict[str, Any]:
    """Make the four methods, with the parameters that all of them have in common."""
    from skdpnet import DPNetClassifier, DPNetTransformer

    parts = {**common, "strides": _STRIDES, "random_state": 0}
    learned = {**parts, **_LEARNING, "verbose": verbose}
    return {
        "global descriptor + SVM": _with_svm(skdpnet.GlobalFeatures(**common)),
        "two-stage parts + SVM": _with_svm(skdpnet.SoftAssignParts(**parts)),
        "DPNetClassifier": DPNetClassifier(**learned),
        "DPNetTransformer + SVM": _with_svm(DPNetTransformer(**learned)),
    }


def _with_svm(descriptor: Any) -> Pipeline:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.svm import LinearSVC

    svm = GridSearchCV(LinearSVC(random_state=0), {"C": [0.1, 1, 10]}, cv=3)
    return Pipeline([("descriptor", descriptor), ("svm", svm)])


def _pointing_game(model: Any, test: Bunch) -> tuple[float, float]:
    """Return the scores of the strongest parts and of random regions."""
    import numpy as np

    from skdpnet.metrics import pointing_game, random_regions

    grids = model.grids_
    has_places = np.array([grid.n_regions > 1 for grid in grids])
    boxes = []
    for explanation in skdpnet.explain_each(model, test.images):
        top = explanation.top_parts()
        # The whole image, as a part, points at nothing.
        top = top[has_places[explanation.part_maps[top]]]
        # If no other part that is present speaks for the class, the box lies outside
        # the image, so that it points at nothing.
        boxes.append(explanation.boxes[top[0]] if len(top) else [-1] * 4)
    grids = [grid for grid in grids if grid.n_regions > 1]
    drawn = random_regions(grids, len(boxes), 1, random_state=0)[:, 0]
    targets, size = test.discriminative_boxes, test.images.shape[1]
    return (
        pointing_game(boxes, targets).mean(),
        pointing_game(drawn * size, targets).mean(),
    )


def _draw_best_regions(model: Any, test: Bunch, y_test: np.ndarray, path: Path) -> None:
    """Draw the first test image of each class with its strongest parts."""
    import numpy as np

    from skdpnet.display import BestRegionsDisplay

    _, first = np.unique(test.target, return_index=True)
    display = BestRegionsDisplay.from_estimator(
        model, test.images[first], y_test[first]
    )
    save_figure(display.plot().figure_, path, dpi=110)
