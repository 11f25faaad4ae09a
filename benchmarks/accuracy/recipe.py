"""Choose settings on training images alone; one line of JSON for each measurement.

    python -m benchmarks.accuracy.recipe --data data/flowers17 --train train val \
        --suite ablation --seeds 0 1 2 --memory maps
    python -m benchmarks.accuracy.recipe --made 400 --set beta=20 n_parts_per_class=10
    python -m benchmarks.accuracy.recipe --table

A third of the images is held out, each class in the same proportion and anew with
each seed. Of one fit of `DPNetClassifier` two things are measured: itself, and a linear
SVM on its descriptor, which is that of `DPNetTransformer`, for each C of a short list.
A line that the output has already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC
from tqdm import tqdm

from benchmarks.accuracy.methods import MAX_ITER, settings_of
from benchmarks.accuracy.recipe_table import markdown
from benchmarks.accuracy.suites import (
    ablation,
    add_weight_options,
    constraints,
    read_changes,
)
from benchmarks.data.extraction import extract, map_shapes
from benchmarks.data.readers import read_class_folders
from benchmarks.records import (
    RESULTS,
    append_line,
    has_line,
    plain,
    read_lines,
    resume,
)
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.datasets import make_part_images

C_GRID = (0.1, 0.3, 1, 3, 10)
_ESTIMATORS = {"parts": DPNetClassifier, "global": GlobalFeatures}
# What chooses the maps; the methods are fitted on given ones.
_OF_MAPS = ("backbone", "image_size", "strides")
# `part_images.py` measures on others.
_MADE_SEED = 0


@dataclass(frozen=True)
class Pool:
    """Images that settings may be chosen on.

    Parameters
    ----------
    name : str
        What the table calls them.
    images : list of str or ndarray of images
    y : int ndarray
        Class of each.
    """

    name: str
    images: list[str] | np.ndarray
    y: NDArray[np.int64]


class Experiment(NamedTuple):
    """A method, ``"parts"`` or ``"global"``, and what is changed of its defaults."""

    method: str
    changes: dict


def defaults(method: str) -> dict:
    """Return the settings that can be changed, with their defaults.

    Parameters
    ----------
    method : {"parts", "global"}

    Returns
    -------
    dict
    """
    estimator = _ESTIMATORS[method]()
    of_maps = {name: getattr(estimator, name) for name in _OF_MAPS}
    return {**of_maps, **settings_of(estimator)}


def experiment(method: str, changes: dict) -> Experiment:
    """Make an experiment of some settings, leaving out those that are the default.

    Parameters
    ----------
    method : {"parts", "global"}
    changes : dict
        Setting -> value.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        Names a setting that there is not.
    """
    own = defaults(method)
    unknown = sorted(set(changes) - set(own))
    if unknown:
        raise ValueError(
            f"the method {method!r} has no setting {unknown[0]!r}; it has "
            f"{', '.join(own)}"
        )
    return Experiment(
        method, {k: v for k, v in changes.items() if plain(v) != plain(own[k])}
    )


def hold_out(
    y: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw which images are learned from and which are held out, a third.

    Parameters
    ----------
    y : int ndarray of shape (n,)
    seed : int

    Returns
    -------
    seen, held : int ndarrays

    Raises
    ------
    ValueError
        If there are too few images of a class, or in all.
    """
    rows = np.arange(len(y))
    seen, held = train_test_split(rows, test_size=1 / 3, stratify=y, random_state=seed)
    return np.sort(seen), np.sort(held)


def measure_once(
    trial: Experiment, maps: np.ndarray, y: NDArray[np.int64], seed: int
) -> dict:
    """Fit on two thirds of the images and measure on the others.

    Parameters
    ----------
    trial : Experiment
    maps : ndarray of feature maps
        Of all images.
    y : int ndarray of shape (n,)
        Their classes.
    seed : int
        Of the split, the method and the SVM.

    Returns
    -------
    dict
        ``classifier``: accuracy of `DPNetClassifier`, None for the global descriptor;
        ``svm``: C -> accuracy of the linear SVM; ``fit_seconds``: of the one fit that
        gives both, without the SVM's.
    """
    given = {k: v for k, v in trial.changes.items() if k not in _OF_MAPS}
    if trial.method == "parts":
        given["random_state"] = seed
    model = _ESTIMATORS[trial.method](backbone="precomputed", **given)
    seen, held = hold_out(y, seed)
    start = time.perf_counter()
    model.fit(maps[seen], y[seen])
    seconds = time.perf_counter() - start
    classifier = None
    if trial.method == "parts":
        classifier = float(model.score(maps[held], y[held]))
    learned, unseen = model.transform(maps[seen]), model.transform(maps[held])
    svm = {}
    for C in C_GRID:
        one = LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        svm[str(C)] = float(one.fit(learned, y[seen]).score(unseen, y[held]))
    return {"classifier": classifier, "svm": svm, "fit_seconds": seconds}


def run(
    pool: Pool,
    trials: list[Experiment],
    seeds: list[int],
    memory: Path,
    output: Path,
) -> None:
    """Measure what the output does not have yet, adding line by line.

    Parameters
    ----------
    pool : Pool
    trials : list of Experiment
    seeds : list of int
    memory : Path
        Folder that keeps the maps.
    output : Path
        File of JSON lines.
    """
    lines = resume(output, _settings_now)
    pending = []
    for trial in trials:
        for seed in seeds:
            if not has_line(lines, _key(pool, trial, seed)):
                pending.append((trial, seed))
    # Those of the same maps side by side, so that one set is held at a time.
    pending.sort(key=lambda one: json.dumps(_map_settings(one[0])))
    with tqdm(total=len(pending), unit="fit") as bar:
        for of_maps, group in groupby(pending, lambda one: _map_settings(one[0])):
            maps = extract(
                FeatureMaps(**of_maps, memory=memory, verbose=1), pool.images
            )
            for trial, seed in group:
                bar.set_description(f"{trial.method} {trial.changes}, seed {seed}")
                try:
                    measured = measure_once(trial, maps, pool.y, seed)
                except ValueError as error:
                    raise SystemExit(f"error: {trial.changes}: {error}") from error
                line = {
                    **_key(pool, trial, seed),
                    "settings": {**defaults(trial.method), **trial.changes},
                    "maps": map_shapes(maps),
                    **measured,
                }
                append_line(output, line)
                bar.update()


def _key(pool: Pool, trial: Experiment, seed: int) -> dict:
    return {"data": pool.name, "seed": seed, **trial._asdict()}


def _map_settings(trial: Experiment) -> dict:
    settings = {**defaults(trial.method), **trial.changes}
    return {name: settings[name] for name in _OF_MAPS}


def _settings_now(line: dict) -> dict:
    return {**defaults(line["method"]), **line["changes"]}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table of all lines of the output.

    Parameters
    ----------
    arguments : list of str, optional
        Command line; default: that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if not args.table:
        try:
            trials, pool = _trials(args), _pool(args)
            for seed in args.seeds:
                hold_out(pool.y, seed)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        with tempfile.TemporaryDirectory() as temporary:
            memory = args.memory or Path(temporary)
            run(pool, trials, args.seeds, memory, args.output)
    lines = read_lines(args.output)
    if not lines:
        parser.error(f"{args.output} holds no measurements")
    print(markdown(lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.recipe", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="holds the folders of --train")
    add(
        "--train",
        nargs="+",
        metavar="SUB",
        help="folders in DIR with training class folders, taken together",
    )
    add("--made", type=int, metavar="N", help="N images of make_part_images instead")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of DPNetClassifier that are changed from their defaults, as "
        "Python writes them, with backbone, image_size and strides of the maps",
    )
    add(
        "--method",
        choices=tuple(_ESTIMATORS),
        help="parts of DP-Net, or the global descriptor (default: parts)",
    )
    add("--suite", choices=("ablation", "constraints"), help="a list of settings")
    add_weight_options(parser)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="keeps the feature maps")
    add("--output", type=Path, default=RESULTS / "recipe.jsonl")
    add("--table", action="store_true", help="measure nothing, print the table")
    return parser


def _pool(args: argparse.Namespace) -> Pool:
    if (args.data is None) == (args.made is None) or (args.data is None) != (
        args.train is None
    ):
        raise ValueError("give --data with --train, or --made alone")
    if args.made is not None:
        made = make_part_images(args.made, random_state=_MADE_SEED)
        return Pool(f"made{args.made}", made.images, made.target)
    paths, y = read_class_folders(args.data, args.train)
    return Pool(f"{args.data.resolve().name}/{'+'.join(args.train)}", paths, y)


def _trials(args: argparse.Namespace) -> list[Experiment]:
    if args.suite is None:
        changes = dict(read_changes(args.set))
        return [experiment(args.method or "parts", changes)]
    if args.set or args.method:
        raise ValueError(f"--suite {args.suite} has its own --set and --method")
    if args.suite == "ablation":
        listed = ablation()
    else:
        weights = args.orthogonality_weight, args.assignment_weight
        settings = constraints(*weights, args.specificity_weight)
        listed = [("parts", changes) for changes in settings.values()]
    trials: list[Experiment] = []
    for method, changes in listed:
        trial = experiment(method, changes)
        # Of a suite's changes some may be the defaults.
        if trial not in trials:
            trials.append(trial)
    return trials


if __name__ == "__main__":
    main()
