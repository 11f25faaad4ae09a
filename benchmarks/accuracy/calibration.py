"""Measure how well the probabilities of DP-Net agree with its accuracy.

    python -m benchmarks.accuracy.calibration --data data/flowers17 \
        --train train --test test --seeds 0 1 2 --memory maps
    python -m benchmarks.accuracy.calibration --data data/scene15 --per-class 10
    python -m benchmarks.accuracy.calibration --table --figure reliability.png

`DPNetClassifier` with its defaults is compared with a linear SVM on the global
descriptor of the same maps, whose C is chosen by cross-validation on the training
images and whose scores `CalibratedClassifierCV` turns into probabilities. With
`--wrapped`, the latter is put around `DPNetClassifier` too. Each measurement is a line
of JSON, and those that the file already has are not repeated. Nothing is chosen on test
images, and `--held-out` leaves them alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import FunctionTransformer
from tqdm import tqdm

from benchmarks.accuracy.calibration_figure import draw
from benchmarks.accuracy.calibration_measures import measure_probabilities
from benchmarks.accuracy.calibration_table import markdown
from benchmarks.accuracy.methods import (
    C_GRID,
    DPNET,
    GLOBAL_SAME_MAPS,
    N_FOLDS,
    choose_svm,
    settings_of,
)
from benchmarks.accuracy.recipe import hold_out
from benchmarks.data.extraction import PARTS, extract, extractors
from benchmarks.data.readers import Split, read_cub, read_folders
from benchmarks.records import RESULTS, append_line, has_line, read_lines, resume
from skdpnet import DPNetClassifier, GlobalFeatures

__all__ = ["DPNET_WRAPPED", "SVM_WRAPPED", "Images", "draw_images", "main", "measure"]

SVM_WRAPPED = f"{GLOBAL_SAME_MAPS}, CalibratedClassifierCV"
DPNET_WRAPPED = f"{DPNET}, CalibratedClassifierCV"
# Temperature scaling came with scikit-learn 1.8.
_VERSION = tuple(int(number) for number in sklearn.__version__.split(".")[:2])
_CALIBRATION = {
    "calibration": "temperature" if _VERSION >= (1, 8) else "sigmoid",
    "calibration_folds": 5,
}


class Images(NamedTuple):
    """What a method is fitted and measured on.

    Attributes
    ----------
    train, test : ndarrays of shape (n, ...) and (m, ...)
        Feature maps.
    train_y, test_y : int ndarrays of shape (n,) and (m,)
        Class of each image.
    """

    train: np.ndarray
    train_y: NDArray[np.int64]
    test: np.ndarray
    test_y: NDArray[np.int64]


def draw_images(
    y: NDArray[np.int64], seed: int, per_class: int | None, held_out: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the training images that are used with a seed.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        Class of each training image.
    seed : int
        Random state of what is drawn.
    per_class : int or None
        How many images of each class are drawn to fit on; None: all.
    held_out : bool
        Whether a third of the images is held out before.

    Returns
    -------
    fit, held : int ndarrays
        Positions of the images to fit on, and of those held out.

    Raises
    ------
    ValueError
        If a class has too few images.
    """
    rows, held = np.arange(len(y)), np.arange(0)
    if held_out:
        rows, held = hold_out(y, seed)
    if per_class is not None:
        random = np.random.default_rng(seed)
        drawn = []
        for label in np.unique(y):
            of_class = rows[y[rows] == label]
            if len(of_class) < per_class:
                raise ValueError(
                    f"--per-class {per_class}: a class has {len(of_class)} images"
                )
            drawn.append(random.choice(of_class, per_class, replace=False))
        rows = np.sort(np.concatenate(drawn))
    fewest, needed = np.bincount(y[rows]).min(), _CALIBRATION["calibration_folds"]
    if fewest < needed:
        raise ValueError(
            f"the folds of the calibration need {needed} training images of each "
            f"class; a class has {fewest}"
        )
    return rows, held


def measure(method: str, images: Images, seed: int) -> dict:
    """Fit a method, and measure its probabilities.

    Parameters
    ----------
    method : str
        `DPNET`, `DPNET_WRAPPED` or `SVM_WRAPPED`.
    images : Images
    seed : int
        Random state of the method and its folds.

    Returns
    -------
    dict
        What `measure_probabilities` returns; ``fit_seconds``, from the maps to the
        fitted method, including the choice of C; for the SVM its ``C``.
    """
    train, test = images.train, images.test
    choice = {}
    start = time.perf_counter()
    if method == SVM_WRAPPED:
        pooling = GlobalFeatures("precomputed")
        train, test = pooling.fit_transform(train), pooling.transform(test)
        svm, _ = choose_svm(FunctionTransformer(), train, images.train_y, seed)
        model, choice = _calibrated(svm, seed), {"C": svm.C}
    else:
        model = DPNetClassifier(backbone="precomputed", random_state=seed)
        if method == DPNET_WRAPPED:
            model = _calibrated(model, seed)
    model.fit(train, images.train_y)
    seconds = time.perf_counter() - start
    measured = measure_probabilities(model.predict_proba(test), images.test_y)
    return {**measured, "fit_seconds": seconds, **choice}


def _calibrated(classifier: BaseEstimator, seed: int) -> CalibratedClassifierCV:
    n_folds = _CALIBRATION["calibration_folds"]
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(
        classifier, method=_CALIBRATION["calibration"], cv=folds
    )


def settings(method: str) -> dict:
    """Return the settings that a method is measured with.

    Parameters
    ----------
    method : str
        As in `measure`.

    Returns
    -------
    dict
    """
    if method == SVM_WRAPPED:
        return {"C_grid": C_GRID, "n_folds": N_FOLDS, **_CALIBRATION}
    wrapped = _CALIBRATION if method == DPNET_WRAPPED else {}
    return {**settings_of(DPNetClassifier()), **wrapped}


def run(args: argparse.Namespace, split: Split, memory: Path) -> None:
    """Measure what the output file lacks, and append a line for each measurement.

    Parameters
    ----------
    args : Namespace
        The command line.
    split : Split
    memory : Path
        Folder that keeps the feature maps.
    """
    lines = resume(args.lines, lambda line: settings(line["method"]))
    methods = [DPNET, *([DPNET_WRAPPED] if args.wrapped else []), SVM_WRAPPED]
    pending = []
    for seed in args.seeds:
        for method in methods:
            key = {
                "data": args.data.resolve().name,
                "split": _note(args),
                "per_class": args.per_class,
                "image_size": args.image_size,
                "seed": seed,
                "method": method,
            }
            if not has_line(lines, key):
                pending.append(key)
    if not pending:
        return
    extractor = extractors(image_size=args.image_size, memory=memory)[PARTS]
    maps = extract(extractor, split.train_paths)
    test = None if args.held_out else extract(extractor, split.test_paths)
    for key in tqdm(pending, unit="fit"):
        images = _images(maps, test, split, key, args.held_out)
        line = {
            **key,
            "settings": settings(key["method"]),
            "n_train": len(images.train_y),
            "n_test": len(images.test_y),
            "n_classes": len(split.names),
            **measure(key["method"], images, key["seed"]),
        }
        append_line(args.lines, line)


def _images(
    maps: np.ndarray, test: np.ndarray | None, split: Split, key: dict, held_out: bool
) -> Images:
    y = split.train_y
    fit, held = draw_images(y, key["seed"], key["per_class"], held_out)
    # All of the maps are used as they are: they may be larger than the memory.
    train = maps if len(fit) == len(maps) else maps[fit]
    if test is None:
        return Images(train, y[fit], maps[held], y[held])
    return Images(train, y[fit], test, split.test_y)


def _note(args: argparse.Namespace) -> str:
    """Return the kind of split in words."""
    cub = _is_cub(args.data)
    if args.held_out:
        images = "the owners' training images" if cub else f"folder {args.train}"
        return f"a third of {images} held out, drawn anew with each seed"
    return "the owners' split" if cub else f"folders {args.train} and {args.test}"


def _is_cub(data: Path) -> bool:
    return (data / "images.txt").is_file()


def main(arguments: list[str] | None = None) -> None:
    """Measure; print the tables of all measurements of the file, and draw the figure.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.data is not None and not args.table:
        try:
            if _is_cub(args.data):
                split = read_cub(args.data)
            else:
                split = read_folders(args.data, args.train, args.test)
            for seed in args.seeds:
                draw_images(split.train_y, seed, args.per_class, args.held_out)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        with tempfile.TemporaryDirectory() as temporary:
            run(args, split, args.memory or Path(temporary))
    elif args.data is None and not args.table and args.figure is None:
        parser.error("name --data, --table or --figure")
    lines: Sequence[dict] = read_lines(args.lines)
    if not lines:
        parser.error(f"{args.lines} holds no measurements")
    print(markdown(lines))
    if args.figure is not None:
        draw(lines, DPNET, args.figure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.calibration",
        description=__doc__.splitlines()[0],
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the data set: with class folders, or CUB-200-2011 as its "
        "owners ship it, with their split",
    )
    add("--train", metavar="SUB", default="train", help="training class folders in DIR")
    add("--test", metavar="SUB", default="test", help="test class folders in DIR")
    add(
        "--held-out",
        action="store_true",
        help="measure on a third of the training images instead of the test images",
    )
    add(
        "--per-class",
        type=int,
        metavar="N",
        help="fit on N training images of each class, drawn anew with each seed",
    )
    add(
        "--wrapped",
        action="store_true",
        help="measure CalibratedClassifierCV around DPNetClassifier too",
    )
    add("--image-size", type=int, default=224, metavar="N", help="side in pixels")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--lines", type=Path, default=RESULTS / "calibration.jsonl", metavar="JSONL")
    add("--table", action="store_true", help="measure nothing, only print the tables")
    add("--figure", type=Path, metavar="PNG", help="draw reliability diagrams")
    return parser


if __name__ == "__main__":
    main()
