"""Measure published pipelines on scene15, or on other class folders.

    python -m benchmarks.accuracy.published_pipelines --data data/scene15 --memory maps
    python -m benchmarks.accuracy.published_pipelines --table

For each pipeline (`published_methods`) and split, the encoder is fitted on the training
images. A one-against-rest SVM decides, by kernels between training images and between
test and training images: no encoding is in memory but those of the training images and
a batch of others. Its C is chosen by stratified cross-validation on the kernel of the
training images; no encoder is learned from labels, so that one serves all folds.
Nothing is chosen on test images.

The split ``fixed`` is that of the folders ``train`` and ``test``. The others, which are
named by the number that they are drawn with, have as many training images a class as
`--n-per-class`, drawn from both folders, as is usual for this set; all other images are
test images. A run that was stopped continues where it stopped.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from tqdm import tqdm

from benchmarks.accuracy.methods import N_FOLDS, check_folds
from benchmarks.accuracy.published_methods import (
    FRAMING,
    IMAGE_SIZE,
    PIPELINES,
    Pipeline,
)
from benchmarks.accuracy.table import spread
from benchmarks.data.readers import Split, draw_split, read_folders
from benchmarks.environment import environment
from benchmarks.records import RESULTS, append_line, has_line, read_lines, resume
from benchmarks.speed.timing import in_fresh_process, status_bytes

__all__ = ["C_GRID", "FIXED", "Kernels", "choose", "kernels", "main", "markdown"]

C_GRID = (0.1, 0.3, 1, 3, 10, 30, 100)
FIXED = "fixed"
# Test images whose encodings are in memory at once.
_BATCH = 256


class Kernels(NamedTuple):
    """What an SVM needs of a split, and what it cost.

    Attributes
    ----------
    train : ndarray of shape (n, n)
        Kernel between training images.
    test : ndarray of shape (m, n)
        Kernel between test images and training images.
    length : int
        Numbers of an encoding.
    fit_seconds : float
        Of the vocabulary.
    image_seconds : float
        Of the encoding of an image; the maps are in the memory.
    """

    train: NDArray[np.floating]
    test: NDArray[np.floating]
    length: int
    fit_seconds: float
    image_seconds: float


def kernels(
    pipeline: Pipeline, split: Split, seed: int, extraction: dict[str, Any]
) -> Kernels:
    """Fit the encoder on the training images, and compare all images with these.

    Parameters
    ----------
    pipeline : Pipeline
    split : Split
    seed : int
        Random state of the encoder.
    extraction : dict
        Parameters of the maps.

    Returns
    -------
    Kernels
    """
    encoder = pipeline.estimator(seed, **extraction)
    start = time.perf_counter()
    encoder.fit(split.train_paths)
    fitted = time.perf_counter()
    train = encoder.transform(split.train_paths)
    image_seconds = (time.perf_counter() - fitted) / len(train)
    rows = [
        pipeline.kernel(encoder.transform(split.test_paths[i : i + _BATCH]), train)
        for i in range(0, len(split.test_paths), _BATCH)
    ]
    return Kernels(
        pipeline.kernel(train, train),
        np.concatenate(rows),
        train.shape[1],
        fitted - start,
        image_seconds,
    )


def choose(
    kernel: NDArray[np.floating], y: NDArray[np.int64], seed: int
) -> tuple[OneVsRestClassifier, float]:
    """Choose the C of the SVM by cross-validation on training images.

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
        Between training images.
    y : int ndarray of shape (n,)
    seed : int
        Random state of the folds.

    Returns
    -------
    svm : OneVsRestClassifier
        Unfitted, with the best C, or the smallest of equally good ones.
    accuracy : float
        Its accuracy on held-out images, as the mean over the folds.
    """
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    svms = [OneVsRestClassifier(SVC(C=C, kernel="precomputed")) for C in C_GRID]
    means = [cross_val_score(svm, kernel, y, cv=folds).mean() for svm in svms]
    best = int(np.argmax(means))
    return svms[best], float(means[best])


def measure(
    pipeline: Pipeline, split: Split, seed: int, extraction: dict[str, Any]
) -> dict:
    """Measure a pipeline on a split.

    Parameters
    ----------
    pipeline : Pipeline
    split : Split
    seed : int
        Random state of the encoder and of the folds.
    extraction : dict
        Parameters of the maps.

    Returns
    -------
    dict
        ``accuracy``; ``class_accuracy``, the mean over the classes, which is what the
        sources print; ``C`` and ``cv_accuracy``, the best C and its accuracy in the
        cross-validation; ``length``, ``fit_seconds`` and ``image_seconds`` of
        `Kernels`; ``peak_bytes``, the most memory of the process.
    """
    computed = kernels(pipeline, split, seed, extraction)
    svm, cv_accuracy = choose(computed.train, split.train_y, seed)
    predicted = svm.fit(computed.train, split.train_y).predict(computed.test)
    return {
        "accuracy": float((predicted == split.test_y).mean()),
        "class_accuracy": float(balanced_accuracy_score(split.test_y, predicted)),
        "C": svm.estimator.C,
        "cv_accuracy": cv_accuracy,
        "length": computed.length,
        "fit_seconds": computed.fit_seconds,
        "image_seconds": computed.image_seconds,
        "peak_bytes": status_bytes("VmHWM"),
    }


def markdown(lines: list[dict]) -> str:
    """Return measurements as a Markdown table.

    Parameters
    ----------
    lines : list of dict

    Returns
    -------
    str
        For each pipeline and image size the mean over the classes of their accuracies,
        as mean and standard deviation over the random splits, beside the published
        figure. Times are medians.
    """
    rows = [
        "| pipeline | published, % | random splits, % | splits | fixed split, % "
        "| fixed split, all images, % | length | fit, s | an image, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    sizes = dict.fromkeys(line["image_size"] for line in lines)
    for name, size in product(PIPELINES, sizes):
        key = {"pipeline": name, "image_size": size}
        runs = [line for line in lines if has_line([line], key)]
        if not runs:
            continue
        drawn = [run["class_accuracy"] for run in runs if run["split"] != FIXED]
        fixed = [run for run in runs if run["split"] == FIXED]
        of_fixed = [
            spread([run[key] for run in fixed]) if fixed else "–"
            for key in ("class_accuracy", "accuracy")
        ]
        seconds = [
            statistics.median(run[key] for run in runs)
            for key in ("fit_seconds", "image_seconds")
        ]
        shown = name if size == IMAGE_SIZE else f"{name}, {size} px"
        rows.append(
            f"| {shown} | {PIPELINES[name].published} "
            f"| {spread(drawn) if drawn else '–'} | {len(drawn)} "
            f"| {' | '.join(of_fixed)} | {runs[0]['length']:,} "
            f"| {seconds[0]:.0f} | {1000 * seconds[1]:.0f} |"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the file of results lacks, or print its table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    args = _read_options(arguments)
    if args.table:
        print(markdown(read_lines(args.table)))
        return
    folders = read_folders(args.data, "train", "test")
    check_folds(folders)
    path = args.output / f"published_{args.data.resolve().name}.jsonl"
    maps = {"image_size": args.image_size, "framing": FRAMING}
    lines = resume(path, lambda line: _settings(line["pipeline"]))
    keys = [
        {"pipeline": name, "split": split, **maps}
        for name in args.pipelines
        for split in args.splits
    ]
    with tqdm([key for key in keys if not has_line(lines, key)], unit="fit") as bar:
        for key in bar:
            bar.set_description(f"{key['pipeline']}, split {key['split']}")
            split, seed = folders, 0
            if key["split"] != FIXED:
                seed = int(key["split"])
                split = draw_split(folders, args.n_per_class, seed)
            extraction = {**maps, "memory": args.memory}
            pipeline = PIPELINES[key["pipeline"]]
            line = in_fresh_process(measure, pipeline, split, seed, extraction)
            settings = {"settings": _settings(key["pipeline"])}
            append_line(path, {**key, **line, **settings, "environment": environment()})


def _settings(name: str) -> dict:
    return {**PIPELINES[name].settings(), "C_grid": C_GRID, "n_folds": N_FOLDS}


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.published_pipelines",
        description=(
            "Measure published pipelines on class folders in DIR/train and DIR/test. "
            "Appends to published_<data>.jsonl."
        ),
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of train and test")
    add("--pipelines", nargs="+", choices=PIPELINES, default=list(PIPELINES),
        metavar="NAME")  # fmt: skip
    add("--splits", nargs="+", metavar="SPLIT", default=[FIXED, *"01234"],
        help="'fixed', and numbers of random splits")  # fmt: skip
    add("--n-per-class", type=int, default=100, metavar="N",
        help="training images a class of random splits")  # fmt: skip
    add("--image-size", type=int, default=IMAGE_SIZE, metavar="N",
        help="short side in pixels")  # fmt: skip
    add("--memory", metavar="DIR", help="folder that keeps the maps of dense SIFT")
    add("--output", type=Path, default=RESULTS, metavar="DIR")
    add("--table", type=Path, nargs="?", metavar="JSONL",
        const=RESULTS / "published_scene15.jsonl",
        help="print these results")  # fmt: skip
    args = parser.parse_args(arguments)
    if not args.table and not args.data:
        parser.error("name --data, or --table")
    for split in args.splits:
        if split != FIXED and not split.isdecimal():
            parser.error(f"a split is {FIXED!r} or a number, got {split!r}")
    return args


if __name__ == "__main__":
    main()
