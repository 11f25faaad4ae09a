"""Compare part learners and prototype networks as heads on one cache of maps.

    python -m benchmarks.accuracy.heads --data data/birds27 --memory maps

Each method chooses one of four configurations (`heads_methods`) on training images:
each is fitted on two thirds of them, and the one that classifies the other third best
is fitted on all, with each seed. Test images are used once for each fit, and nothing is
chosen on them. A run that was stopped continues where it stopped.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks.accuracy.heads_measures import decisions, meaning, parts_of_decisions
from benchmarks.accuracy.heads_methods import HEADS, N_PER_CLASS, Head
from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import ImageSet, photographs
from benchmarks.records import RESULTS, append_line, has_line, read_lines
from skdpnet.images.framing import Framing

__all__ = ["choose", "main", "measure", "pending"]

_HELD_OUT = 1 / 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the file of results lacks.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    args = _parser().parse_args(arguments)
    data = photographs(args.data, Framing(args.image_size, FRAMING))
    path = args.output / f"heads_{data.name}_{args.image_size}.jsonl"
    args.output.mkdir(parents=True, exist_ok=True)
    maps = {"image_size": args.image_size, "framing": FRAMING, "memory": args.memory}
    warnings.simplefilter("ignore", ConvergenceWarning)
    chosen: dict[str, dict] = {}
    todo = pending(read_lines(path), args.methods, args.seeds, args.curve)
    with tqdm(todo, unit="fit") as bar:
        for key in bar:
            bar.set_description(f"{key['method']}, seed {key['seed']}")
            head = HEADS[key["method"]]
            if key["method"] not in chosen:
                known = _choice_in(read_lines(path), key["method"])
                chosen[key["method"]] = known or choose(head, data, maps)
            line = measure(
                head,
                chosen[key["method"]]["configuration"],
                data,
                maps,
                **{name: key[name] for name in ("seed", "n_per_class")},
                n_perturbed=args.perturbed,
                n_steps=args.steps if key["seed"] == args.seeds[0] else 0,
            )
            tuning = {"tuning": chosen[key["method"]], "environment": environment()}
            append_line(path, {**key, **line, **tuning})


def pending(
    lines: list[dict], methods: Sequence[str], seeds: Sequence[int], curve: list[int]
) -> list[dict[str, Any]]:
    """Return what is to be measured, and is not among the lines.

    Parameters
    ----------
    lines : list of dict
    methods : sequence of str
        Names in `HEADS`.
    seeds : sequence of int
    curve : list of int
        Other numbers of parts of a class, which are measured with the first seed.

    Returns
    -------
    list of dict
        ``method``, ``seed`` and ``n_per_class``, None for methods without it.
    """
    keys = []
    for name in methods:
        has_number = HEADS[name].number is not None
        usual = N_PER_CLASS if has_number else None
        keys += [{"method": name, "seed": seed, "n_per_class": usual} for seed in seeds]
        if has_number:
            keys += [
                {"method": name, "seed": seeds[0], "n_per_class": n}
                for n in curve
                if n != usual
            ]
    return [key for key in keys if not has_line(lines, key)]


def choose(head: Head, data: ImageSet, maps: dict[str, Any]) -> dict:
    """Choose a configuration on training images alone.

    Parameters
    ----------
    head : Head
    data : ImageSet
    maps : dict
        Parameters of the maps.

    Returns
    -------
    dict
        ``configuration``, the first of the best ones; ``accuracies`` on the held-out
        third of the training images, of each; ``seconds`` of all these fits.
    """
    rows = np.arange(len(data.train_y))
    fit, held = train_test_split(
        rows, test_size=_HELD_OUT, stratify=data.train_y, random_state=0
    )
    start, accuracies = time.perf_counter(), []
    for configuration in head.configurations:
        model = head.estimator(configuration, 0, **maps)
        model.fit(data.train[fit], data.train_y[fit])
        accuracies.append(model.score(data.train[held], data.train_y[held]))
    return {
        "configuration": head.configurations[int(np.argmax(accuracies))],
        "accuracies": accuracies,
        "seconds": time.perf_counter() - start,
    }


def measure(
    head: Head,
    configuration: dict[str, Any],
    data: ImageSet,
    maps: dict[str, Any],
    *,
    seed: int,
    n_per_class: int | None,
    n_perturbed: int,
    n_steps: int,
) -> dict:
    """Fit a head on all training images, and measure it on the test images.

    Parameters
    ----------
    head : Head
    configuration : dict
    data : ImageSet
    maps : dict
        Parameters of the maps.
    seed : int
    n_per_class : int or None
    n_perturbed, n_steps : int
        Parameters of `heads_measures.meaning`. It measures models with the usual number
        of parts.

    Returns
    -------
    dict
        ``fit_seconds`` and ``fit_cpu_seconds``, with maps from the cache, which
        `choose` has filled; and what `heads_measures` finds: what parts mean is
        measured where annotations are.
    """
    model = head.estimator(configuration, seed, n_per_class or N_PER_CLASS, **maps)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(data.train, data.train_y)
    line = {
        "fit_seconds": time.perf_counter() - start,
        "fit_cpu_seconds": time.process_time() - cpu,
        **decisions(model, data),
    }
    if head.has_parts:
        line |= parts_of_decisions(model, data)
        if data.truths is not None and n_per_class in (None, N_PER_CLASS):
            line |= meaning(model, data, seed, n_perturbed, n_steps)
    return line


def _choice_in(lines: list[dict], method: str) -> dict | None:
    """Return the choice that earlier lines of a method were measured with."""
    return next((line["tuning"] for line in lines if line["method"] == method), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.heads", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DIR", help="class folders in "
        "train and test, or CUB-200-2011 as its owners ship it")  # fmt: skip
    add("--image-size", type=int, default=IMAGE_SIZE, metavar="N")
    add("--methods", nargs="+", choices=HEADS, default=list(HEADS), metavar="NAME")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    add("--curve", nargs="*", type=int, default=[5, 20], metavar="N",
        help="numbers of parts of a class besides 10, with the first seed")  # fmt: skip
    add("--perturbed", type=int, default=24, metavar="N")
    add("--steps", type=int, default=6, metavar="N")
    add("--memory", required=True, type=Path, metavar="DIR", help="the cache of maps")
    add("--output", type=Path, default=RESULTS, metavar="DIR")
    return parser


if __name__ == "__main__":
    main()
