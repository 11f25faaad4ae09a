"""Measure settings on held-out training images, as lines of JSON.

    python -m benchmarks.accuracy.recipe --data data/flowers17 --train train val \
        --suite ablation --seeds 0 1 2 --memory maps
    python -m benchmarks.accuracy.recipe --made 400 --set beta=20 n_parts_per_class=10
    python -m benchmarks.accuracy.recipe --table

A third of the images is held out, stratified by class and anew with each seed. From
one fit of `DPNetClassifier` two classifiers are measured: its own linear classifier,
and a linear SVM on its descriptor, which is that of `DPNetTransformer`, for each C of a
short list. Measurements that the output file already has are not repeated.
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
from benchmarks.records import RESULTS, append_line, has_line, plain, read_lines, resume
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.datasets import make_part_images

C_GRID = (0.1, 0.3, 1, 3, 10)
_ESTIMATORS = {"parts": DPNetClassifier, "global": GlobalFeatures}
# Parameters of the maps. The methods themselves are fitted on precomputed maps.
_MAP_PARAMETERS = ("backbone", "image_size", "framing", "strides")
# The benchmarks of explanations measure on made images of other seeds.
_MADE_SEED = 0


@dataclass(frozen=True)
class Pool:
    """Images on which settings may be chosen.

    Parameters
    ----------
    name : str
        Name in the table.
    images : list of n str, or ndarray of n images
    y : int ndarray of shape (n,)
        Class of each image.
    """

    name: str
    images: list[str] | np.ndarray
    y: NDArray[np.int64]


class Experiment(NamedTuple):
    """A method, ``"parts"`` or ``"global"``, and the changes from its defaults."""

    method: str
    changes: dict


def defaults(method: str) -> dict:
    """Return the defaults of all settings that can be changed.

    Parameters
    ----------
    method : {"parts", "global"}

    Returns
    -------
    dict
    """
    estimator = _ESTIMATORS[method]()
    map_parameters = {name: getattr(estimator, name) for name in _MAP_PARAMETERS}
    return {**map_parameters, **settings_of(estimator)}


def make_experiment(method: str, changes: dict) -> Experiment:
    """Return an experiment without those changes that are equal to the defaults.

    Parameters
    ----------
    method : {"parts", "global"}
    changes : dict of str to object
        Values by the names of the settings.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If the method lacks one of the settings; the message names it.
    """
    settings = defaults(method)
    unknown = sorted(set(changes) - set(settings))
    if unknown:
        raise ValueError(
            f"the method {method!r} has no setting {unknown[0]!r}; it has "
            f"{', '.join(settings)}"
        )
    return Experiment(
        method, {k: v for k, v in changes.items() if plain(v) != plain(settings[k])}
    )


def hold_out(
    y: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out a third of the images, stratified by class.

    Parameters
    ----------
    y : int ndarray of shape (n,)
        Class of each image.
    seed : int
        Random state of the split.

    Returns
    -------
    fit, held : int ndarrays
        Positions of the images to fit on, and of those held out.

    Raises
    ------
    ValueError
        If there are too few images of a class, or in all.
    """
    rows = np.arange(len(y))
    fit, held = train_test_split(rows, test_size=1 / 3, stratify=y, random_state=seed)
    return np.sort(fit), np.sort(held)


def measure_once(
    trial: Experiment, maps: np.ndarray, y: NDArray[np.int64], seed: int
) -> dict:
    """Fit on two thirds of the images and measure on the third that is held out.

    Parameters
    ----------
    trial : Experiment
    maps : ndarray of shape (n, ...)
        Feature maps of all images.
    y : int ndarray of shape (n,)
        Class of each image.
    seed : int
        Random state of the split, the method and the SVM.

    Returns
    -------
    dict
        ``classifier``: accuracy of `DPNetClassifier`, None for the global descriptor;
        ``svm``: accuracy of the linear SVM by its C; ``fit_seconds``: of the fit of
        the method, without the SVM.
    """
    params = {k: v for k, v in trial.changes.items() if k not in _MAP_PARAMETERS}
    params["framing"] = _map_settings(trial)["framing"]
    if trial.method == "parts":
        params["random_state"] = seed
    model = _ESTIMATORS[trial.method](backbone="precomputed", **params)
    fit, held = hold_out(y, seed)
    start = time.perf_counter()
    model.fit(maps[fit], y[fit])
    seconds = time.perf_counter() - start
    classifier = None
    if trial.method == "parts":
        classifier = float(model.score(maps[held], y[held]))
    X_fit, X_held = model.transform(maps[fit]), model.transform(maps[held])
    accuracies = {}
    for C in C_GRID:
        svm = LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        accuracies[str(C)] = float(svm.fit(X_fit, y[fit]).score(X_held, y[held]))
    return {"classifier": classifier, "svm": accuracies, "fit_seconds": seconds}


def run(
    pool: Pool,
    trials: list[Experiment],
    seeds: list[int],
    memory: Path,
    output: Path,
) -> None:
    """Measure what the output file lacks, and append a line for each measurement.

    Parameters
    ----------
    pool : Pool
    trials : list of Experiment
    seeds : list of int
    memory : Path
        Folder that keeps the feature maps.
    output : Path
        File of JSON lines.
    """
    lines = resume(output, _settings_now)
    pending = []
    for trial in trials:
        for seed in seeds:
            if not has_line(lines, _key(pool, trial, seed)):
                pending.append((trial, seed))
    # Grouped by their maps, so that only one set of maps is in RAM at a time.
    pending.sort(key=lambda pair: json.dumps(_map_settings(pair[0])))
    with tqdm(total=len(pending), unit="fit") as bar:
        for params, group in groupby(pending, lambda pair: _map_settings(pair[0])):
            maps = extract(FeatureMaps(**params, memory=memory, verbose=1), pool.images)
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
    return {name: settings[name] for name in _MAP_PARAMETERS}


def _settings_now(line: dict) -> dict:
    return {**defaults(line["method"]), **line["changes"]}


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table of all measurements of the output file.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
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
    add("--data", type=Path, metavar="DIR", help="the data set's folder")
    add(
        "--train",
        nargs="+",
        metavar="SUB",
        help="folders in DIR with class folders of training images",
    )
    add(
        "--made",
        type=int,
        metavar="N",
        help="instead of --data: N images of make_part_images",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="changes from the default settings of DPNetClassifier, and of backbone, "
        "image_size, framing and strides of the maps; values are Python literals",
    )
    add(
        "--method",
        choices=tuple(_ESTIMATORS),
        help="DP-Net's parts, or the global descriptor (default: parts)",
    )
    add("--suite", choices=("ablation", "constraints"), help="a list of settings")
    add_weight_options(parser)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--output", type=Path, default=RESULTS / "recipe.jsonl")
    add("--table", action="store_true", help="measure nothing, only print the table")
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
        return [make_experiment(args.method or "parts", changes)]
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
        trial = make_experiment(method, changes)
        # Changes that are equal to the defaults make an experiment twice.
        if trial not in trials:
            trials.append(trial)
    return trials


if __name__ == "__main__":
    main()
