"""Measure the orders that papers of part learners report.

    python -m benchmarks.accuracy.learner_orders --data data/scene15 --memory maps
    python -m benchmarks.accuracy.learner_orders --table

Each order (`learner_orders_methods`) compares some learners on the same images. A
linear SVM follows those that are no classifiers. Its C, and the parameters that a
classifier chooses, are those that are best on a held-out third of the training images;
parts are learned anew on the other two thirds. The choice is made once, with seed 0,
and each seed then fits on all training images. Test images are used once for each fit,
and nothing is chosen on them. A run that was stopped continues where it stopped.

The images of "arrangement" and the maps of "arrangement of planted parts" are made,
anew for each seed, and need no data.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC
from tqdm import tqdm

from benchmarks.accuracy.learner_orders_measures import Fitted
from benchmarks.accuracy.learner_orders_methods import (
    ORDERS,
    Learner,
    Order,
)
from benchmarks.accuracy.learner_orders_table import markdown
from benchmarks.accuracy.methods import MAX_ITER
from benchmarks.accuracy.published_pipelines import C_GRID
from benchmarks.accuracy.span import SpanRotation
from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import MADE, ImageSet, photographs
from benchmarks.records import RESULTS, append_line, has_line, plain, resume
from skdpnet.images.framing import Framing

__all__ = ["Described", "choose", "describe", "main", "measure"]

_HELD_OUT = 1 / 3
# Images whose descriptors are in memory at once, besides those of the training images.
_BATCH = 256


class Described(NamedTuple):
    """The descriptors of a learner, as an SVM sees them.

    Attributes
    ----------
    learner : fitted estimator
    train : ndarray of shape (n, r)
        Of the images that it was fitted on, in the span of their descriptors. They have
        a mean of 0 and a mean square length of 1, as those of parts have, so that C
        means the same for every learner.
    others : ndarray of shape (m, r)
        Of the others.
    seconds, cpu_seconds : float
        Of the fit, to the descriptors of the images that it is of.
    """

    learner: BaseEstimator
    train: NDArray[np.floating]
    others: NDArray[np.floating]
    seconds: float
    cpu_seconds: float


# The descriptors that joined variants share, by learner, seed and number of images.
Known = dict[tuple[str, int, int], Described]


def describe(
    learner: Learner,
    X: np.ndarray,
    y: NDArray[np.int64],
    others: np.ndarray,
    seed: int,
    memory: Any,
) -> Described:
    """Fit a learner, and describe the images of the fit and others.

    Parameters
    ----------
    learner : Learner
        No classifier.
    X : ndarray of n images, or of n paths
    y : int ndarray of shape (n,)
    others : ndarray of m images, or of m paths
    seed : int
    memory : path, or None

    Returns
    -------
    Described
    """
    estimator, rotation = learner.estimator(seed, memory), SpanRotation()
    start, cpu = time.perf_counter(), time.process_time()
    descriptors = estimator.fit_transform(X, y)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    train = rotation.fit_transform(descriptors)
    pieces = [
        rotation.transform(estimator.transform(others[i : i + _BATCH]))
        for i in range(0, len(others), _BATCH)
    ]
    mean = train.mean(axis=0, dtype=np.float64)
    train, rest = train - mean, np.concatenate(pieces) - mean
    length = np.sqrt((train**2).sum(axis=1).mean())
    return Described(estimator, train / length, rest / length, seconds, cpu_seconds)


def choose(
    order: Order, variant: str, data: ImageSet, memory: Any, known: Known
) -> dict:
    """Choose parameters on training images alone.

    Parameters
    ----------
    order : Order
    variant : str
    data : ImageSet
    memory : path, or None
    known : dict
        Of descriptors, which is added to if the order joins them.

    Returns
    -------
    dict
        ``choice``, the first of the best ones; ``accuracies`` of each on the held-out
        third of the training images. Without alternatives nothing is measured.
    """
    rows = np.arange(len(data.train_y))
    fit, held = train_test_split(
        rows, test_size=_HELD_OUT, stratify=data.train_y, random_state=0
    )
    X, y, held_y = data.train[fit], data.train_y[fit], data.train_y[held]
    others, names = data.train[held], order.variants[variant]
    learner = order.learners[names[0]]
    if learner.is_followed_by_svm:
        described = _all_described(order, names, X, y, others, 0, memory, known)
        train, held_out = _side_by_side(described)
        choices: tuple[dict[str, Any], ...] = tuple({"C": C} for C in C_GRID)
        accuracies = [
            _svm(choice["C"], 0).fit(train, y).score(held_out, held_y)
            for choice in choices
        ]
    else:
        choices = learner.choices
        if len(choices) == 1:
            return {"choice": choices[0], "accuracies": []}
        accuracies = [
            learner.estimator(0, memory, choice).fit(X, y).score(others, held_y)
            for choice in choices
        ]
    best = int(np.argmax(accuracies))
    return {"choice": choices[best], "accuracies": list(map(float, accuracies))}


def measure(
    order: Order,
    variant: str,
    choice: dict[str, Any],
    seed: int,
    data: ImageSet,
    memory: Any,
    known: Known,
) -> dict:
    """Fit on all training images, and measure on the test images.

    Parameters
    ----------
    order : Order
    variant : str
    choice : dict
        As from `choose`.
    seed : int
    data : ImageSet
    memory : path, or None
    known : dict
        As in `choose`.

    Returns
    -------
    dict
        ``accuracy``; ``fit_seconds`` and ``fit_cpu_seconds``, with maps from the cache;
        for joined variants the sum over the learners. And what the order is about.
    """
    X, y, names = data.train, data.train_y, order.variants[variant]
    learner = order.learners[names[0]]
    if learner.is_followed_by_svm:
        described = _all_described(order, names, X, y, data.test, seed, memory, known)
        train, test = _side_by_side(described)
        start, cpu = time.perf_counter(), time.process_time()
        svm = _svm(choice["C"], seed).fit(train, y)
        seconds = time.perf_counter() - start + sum(d.seconds for d in described)
        cpu_seconds = time.process_time() - cpu
        cpu_seconds += sum(d.cpu_seconds for d in described)
        accuracy = svm.score(test, data.test_y)
        fitted = Fitted([d.learner for d in described], svm)
    else:
        model = learner.estimator(seed, memory, choice)
        start, cpu = time.perf_counter(), time.process_time()
        model.fit(X, y)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        accuracy = model.score(data.test, data.test_y)
        fitted = Fitted([model], None)
    return {
        "accuracy": float(accuracy),
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu_seconds,
        **order.facts(fitted, data),
    }


def _all_described(
    order: Order,
    names: tuple[str, ...],
    X: np.ndarray,
    y: NDArray[np.int64],
    others: np.ndarray,
    seed: int,
    memory: Any,
    known: Known,
) -> list[Described]:
    """Describe images by several learners, or look up what is known of them."""
    found = []
    for name in names:
        key = (name, seed, len(X))
        if key in known:
            found.append(known[key])
            continue
        described = describe(order.learners[name], X, y, others, seed, memory)
        found.append(described)
        if any(name in joined for joined in order.joined.values()):
            known[key] = described
    return found


def _side_by_side(described: list[Described]) -> tuple[np.ndarray, np.ndarray]:
    """Join descriptors, whose kernels are then summed with equal weights."""
    return (
        np.hstack([each.train for each in described]),
        np.hstack([each.others for each in described]),
    )


def _svm(C: float, seed: int) -> LinearSVC:
    return LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the files of results lack, or print their tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    args = _read_options(arguments)
    if args.table is not None:
        files = args.table or sorted(RESULTS.glob("learner_orders_*.jsonl"))
        print(markdown(files))
        return
    warnings.simplefilter("ignore", ConvergenceWarning)
    keys = [
        {"order": name, "variant": variant, "seed": seed}
        for name in args.orders
        for seed in args.seeds
        for variant in args.variants or ORDERS[name].variants
        if variant in ORDERS[name].variants
    ]
    known: Known = {}
    with tqdm(keys, unit="fit") as bar:
        for last, key in zip([None, *keys], keys, strict=False):
            bar.set_description("{order}, {variant}, seed {seed}".format(**key))
            if last is None or last["order"] != key["order"]:
                known.clear()
            _measure_missing(key, args, known)
            bar.update()


def _measure_missing(
    key: dict[str, Any], args: argparse.Namespace, known: Known
) -> None:
    """Append a measurement to its file of results, unless it is there."""
    order, variant = ORDERS[key["order"]], key["variant"]
    name = args.data.resolve().name if order.images is None else MADE
    path = args.output / f"learner_orders_{name}.jsonl"
    lines = resume(path, _settings)
    if has_line(lines, key):
        return
    tuning = _tuning_in(lines, key)
    if tuning is None:
        tuning = choose(order, variant, _images(order, 0, args), args.memory, known)
    data = _images(order, key["seed"], args)
    line = measure(
        order, variant, tuning["choice"], key["seed"], data, args.memory, known
    )
    now = {"settings": _settings(key), "environment": environment()}
    append_line(path, plain({**key, **line, "tuning": tuning, **now}))


def _images(order: Order, seed: int, args: argparse.Namespace) -> ImageSet:
    if order.images is not None:
        return order.images(seed)
    # Framing matters to annotated parts only, which no order is about.
    return photographs(args.data, Framing(IMAGE_SIZE, FRAMING))


def _settings(line: dict) -> dict:
    order = ORDERS[line["order"]]
    return {"learners": order.settings(line["variant"]), "C_grid": C_GRID}


def _tuning_in(lines: list[dict], key: dict[str, Any]) -> dict | None:
    """Return the choice that earlier lines of a variant were measured with."""
    same = {name: key[name] for name in ("order", "variant")}
    return next((line["tuning"] for line in lines if has_line([line], same)), None)


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.learner_orders",
        description=(
            f"{__doc__.splitlines()[0]} Appends to learner_orders_<data>.jsonl."
        ),
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="class folders in train and test")
    add("--orders", nargs="+", choices=ORDERS, default=list(ORDERS), metavar="NAME")
    add("--variants", nargs="+", metavar="NAME",
        choices=sorted({name for order in ORDERS.values() for name in order.variants}),
        help="only these, of the orders that have them")  # fmt: skip
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="the cache of maps")
    add("--output", type=Path, default=RESULTS, metavar="DIR")
    add("--table", type=Path, nargs="*", metavar="JSONL",
        help="print these results, by default all that are committed")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.table is not None:
        return args
    of_photographs = [name for name in args.orders if ORDERS[name].images is None]
    if of_photographs and args.data is None:
        parser.error(f"name --data, which {of_photographs[0]!r} needs, or --table")
    return args


if __name__ == "__main__":
    main()
