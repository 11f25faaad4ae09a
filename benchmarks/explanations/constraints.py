"""Measure what the constraints of DP-Net do to its parts, and what they cost.

    python -m benchmarks.explanations.constraints --data made data/birds27 \
        --memory maps --seeds 0 1 2
    python -m benchmarks.explanations.constraints --table

DP-Net is fitted with each of the eight subsets of its constraints, as in the second
table of the paper, which has the accuracy alone. Here each constraint's own term is
measured too, beside what it is for: parts that differ, that mean something, and that
serve one class (`constraint_measures`). The first rows are the global descriptors of
the network's last map and of the maps that have parts, each with a linear SVM. Each
model is a line of JSON, and models that the file has already are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.accuracy import methods
from benchmarks.accuracy.methods import GLOBAL, GLOBAL_SAME_MAPS, settings_of
from benchmarks.accuracy.suites import add_weight_options
from benchmarks.data.extraction import LAST, PARTS, extract, extractors
from benchmarks.data.readers import Split
from benchmarks.explanations import constraint_measures
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.models import fit_model
from benchmarks.explanations.options import (
    add_image_options,
    changes_from_defaults,
    check_positive,
    read_set,
)
from benchmarks.explanations.table import COLUMNS, markdown
from benchmarks.explanations.trials import DPNET, Trial, pending, trials
from benchmarks.records import RESULTS, append_line, read_lines, resume

__all__ = ["TABLE", "main", "run", "trials_of"]

_GLOBAL_MAPS = {GLOBAL: LAST, GLOBAL_SAME_MAPS: PARTS}

TABLE = {
    "accuracy": COLUMNS["accuracy"],
    "orthogonality": ("⊥, its term ↓", 1, 3),
    "assignment": ("A, its term ↓", 1, 3),
    "specificity": ("CS, its term ↓", 1, 3),
    "redundancy": COLUMNS["redundancy"],
    "twins": ("twins, % ↓", 100, 1),
    "foreign": ("weight on foreign parts, % ↓", 100, 1),
    "zeros": ("of these weights 0, % ↑", 100, 1),
    "flip": COLUMNS["flip"],
    "purity": COLUMNS["purity"],
    "consistency": COLUMNS["consistency"],
    "stability": COLUMNS["stability"],
    "top part": COLUMNS["top part"],
}
_NOTE = (
    "Mean ± standard deviation over the seeds; in brackets the mean of the same "
    "measure by chance, where it has one: of a guess, of random regions, of parts in "
    "random order, or of random parts. ↑: more is better; ↓: less is. Terms: the "
    "constraints without their weights; that of A on 200 training images, that of CS "
    "for the final classifier. Cosines: absolute values, of pairs of different parts "
    "of a map; a twin has one above 0.5. Foreign parts: those of other classes. "
    "Parts that flip a decision: medians over the test images."
)


def run(
    sets: list[ImageSet],
    listed: list[Trial],
    seeds: list[int],
    *,
    n_perturbed: int,
    memory: Path,
    lines: Path,
) -> list[dict]:
    """Measure what the file of lines lacks, and append a line for each model.

    Parameters
    ----------
    sets : list of ImageSet
    listed : list of Trial
        Global descriptors, and DP-Net with subsets of its constraints.
    seeds : list of int
    n_perturbed : int
        Number of test images that noise is added to, for stability.
    memory : Path
        Folder that keeps the feature maps.
    lines : Path
        File of JSON lines.

    Returns
    -------
    list of dict
        All lines of the file.
    """
    measured = resume(lines, _settings_now)
    lacking = pending(measured, sets, seeds, listed, n_perturbed=n_perturbed)
    with tqdm(lacking, unit="model") as bar:
        for data, trial, key in bar:
            bar.set_description(f"{data.name}, {trial.method} {trial.constraints}")
            line = {**key, "settings": _settings_now(key)}
            if trial.method == DPNET:
                line |= _part_model(data, trial, key["seed"], n_perturbed, memory)
            else:
                line |= _global_descriptor(data, trial, key["seed"], memory)
            append_line(lines, line)
    return read_lines(lines)


def _settings_now(line: dict) -> dict:
    if line["method"] == DPNET:
        trial = Trial(line["method"], line["constraints"], line["changes"])
        return settings_of(trial.estimator(line["seed"]))
    return settings_of(methods.methods(line["seed"])[line["method"]].estimator)


def _part_model(
    data: ImageSet, trial: Trial, seed: int, n_perturbed: int, memory: Path
) -> dict:
    """Fit a DP-Net and return its measures and the seconds that both took."""
    framing = {"image_size": data.framing.image_size, "framing": data.framing.name}
    estimator = trial.estimator(seed, **framing, memory=memory)
    start = time.perf_counter()
    model = fit_model(estimator, data, seed)
    fitted = time.perf_counter()
    measures = constraint_measures.measure(
        model, data, n_perturbed=n_perturbed, seed=seed
    )
    return {
        "measures": measures,
        "fit_seconds": fitted - start,
        "measure_seconds": time.perf_counter() - fitted,
    }


def _global_descriptor(data: ImageSet, trial: Trial, seed: int, memory: Path) -> dict:
    """Return the accuracy of a global descriptor, and the chosen C of its SVM."""
    framing = {"image_size": data.framing.image_size, "framing": data.framing.name}
    kinds = extractors(**framing, memory=memory, **trial.changes)
    extractor = kinds[_GLOBAL_MAPS[trial.method]].set_params(verbose=0)
    train, test = (extract(extractor, X) for X in (data.train, data.test))
    split = Split(
        list(data.train), data.train_y, list(data.test), data.test_y, data.names
    )
    listed = methods.methods(seed, data.framing.name)
    estimator = listed[trial.method].estimator
    measured = methods.measure(estimator, train, test, split, seed)
    accuracy = {"value": measured.pop("accuracy"), "chance": 1 / len(data.names)}
    return {"measures": {"accuracy": accuracy}, **measured}


def trials_of(changes: dict, weights: tuple[float, float, float]) -> list[Trial]:
    """Return what is measured.

    Parameters
    ----------
    changes : dict
        Changes from the default settings of `DPNetClassifier`; ``strides`` apply to
        the global descriptor of the same maps too.
    weights : tuple of 3 floats
        Weights of the constraints, in the order of `suites.constraints`.

    Returns
    -------
    list of Trial
        The global descriptors, and DP-Net with each subset of its constraints.
    """
    strides = {k: changes[k] for k in ("strides",) if k in changes}
    return [
        Trial(GLOBAL, "", {}),
        Trial(GLOBAL_SAME_MAPS, "", strides),
        *(trial for trial in trials(changes, weights) if trial.method == DPNET),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table of all lines.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.table:
        lines = read_lines(args.lines)
        if not lines:
            parser.error(f"there are no lines in {args.lines}")
    else:
        if not args.data:
            parser.error("give --data, or --table alone")
        check_positive(parser, args, ("n_train", "n_test", "image_size", "n_perturbed"))
        try:
            listed = trials_of(
                changes_from_defaults(args.set),
                (
                    args.orthogonality_weight,
                    args.assignment_weight,
                    args.specificity_weight,
                ),
            )
            sets = [read_set(name, args) for name in args.data]
        except (OSError, ValueError) as error:
            parser.error(str(error))
        for data in sets:
            methods.check_folds(data)
        with tempfile.TemporaryDirectory() as temporary:
            lines = run(
                sets,
                listed,
                args.seeds,
                n_perturbed=args.n_perturbed,
                memory=args.memory or Path(temporary),
                lines=args.lines,
            )
    print(markdown(lines, TABLE, _NOTE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations.constraints",
        description=__doc__.splitlines()[0],
    )
    add_image_options(parser)
    add_weight_options(parser)
    parser.add_argument(
        "--lines",
        type=Path,
        default=RESULTS / "constraints.jsonl",
        metavar="JSONL",
        help="file with a line per model (default: %(default)s)",
    )
    parser.add_argument(
        "--table", action="store_true", help="only print the table of --lines"
    )
    return parser


if __name__ == "__main__":
    main()
