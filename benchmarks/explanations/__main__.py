"""Measure the explanations of DP-Net, of two-stage parts and of Grad-CAM.

    python -m benchmarks.explanations --data made data/flowers17 --seeds 0 1 2 \
        --lines explanations.jsonl --memory maps
    python -m benchmarks.explanations --table

DP-Net is measured with each of the eight subsets of its constraints. All models are
fitted on the same images, with the same frozen network; Grad-CAM explains the global
descriptor and its SVM. `measures` describes what is measured. Each model is a line of
JSON, and models that the file has already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from benchmarks.accuracy.methods import (
    C_GRID,
    MAX_ITER,
    N_FOLDS,
    check_folds,
    settings_of,
)
from benchmarks.accuracy.suites import add_weight_options
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.measures import measure
from benchmarks.explanations.models import fit_model, import_grad_cam
from benchmarks.explanations.options import (
    add_image_options,
    changes_from_defaults,
    check_positive,
    read_set,
)
from benchmarks.explanations.table import markdown
from benchmarks.explanations.trials import Trial, pending, trials
from benchmarks.records import RESULTS, append_line, read_lines, resume


def run(
    sets: list[ImageSet],
    listed: list[Trial],
    seeds: list[int],
    *,
    n_perturbed: int,
    n_steps: int,
    memory: Path,
    lines: Path,
) -> list[dict]:
    """Measure what the file of lines lacks, and append a line for each model.

    Parameters
    ----------
    sets : list of ImageSet
    listed : list of Trial
    seeds : list of int
    n_perturbed, n_steps : int
        Parameters of `measure`.
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
    lacking = pending(
        measured, sets, seeds, listed, n_perturbed=n_perturbed, n_steps=n_steps
    )
    with tqdm(lacking, unit="model") as bar:
        for data, trial, key in bar:
            bar.set_description(f"{data.name}, {trial.method} {trial.constraints}")
            seed = key["seed"]
            estimator = trial.estimator(
                seed,
                image_size=data.framing.image_size,
                framing=data.framing.name,
                memory=memory,
            )
            settings = settings_of(estimator)
            start = time.perf_counter()
            model = fit_model(estimator, data, seed)
            fitted = time.perf_counter()
            measures = measure(
                model, data, n_perturbed=n_perturbed, n_steps=n_steps, seed=seed
            )
            line = {
                **key,
                "settings": settings,
                "measures": {k: value._asdict() for k, value in measures.items()},
                "fit_seconds": fitted - start,
                "measure_seconds": time.perf_counter() - fitted,
            }
            append_line(lines, line)
    return read_lines(lines)


def _settings_now(line: dict) -> dict:
    trial = Trial(line["method"], line["constraints"], line["changes"])
    return settings_of(trial.estimator(line["seed"]))


def result_of(lines: list[dict]) -> dict:
    """Return the content of the results file.

    Parameters
    ----------
    lines : list of dict

    Returns
    -------
    dict
        ``rows``: the lines; ``settings``: the defaults of each method, to which the
        changes of a row apply; ``svm``; ``environment``.
    """
    methods = dict.fromkeys(line["method"] for line in lines)
    packages_and_machine = environment()
    packages_and_machine["versions"]["captum"] = version("captum")
    return {
        "settings": {
            name: settings_of(Trial(name, "", {}).estimator(0)) for name in methods
        },
        "svm": {"C_grid": C_GRID, "n_folds": N_FOLDS, "max_iter": MAX_ITER},
        "rows": [{k: line[k] for k in line if k != "settings"} for line in lines],
        "environment": packages_and_machine,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the results and print the table.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if not args.table:
        _check_numbers(parser, args)
        import_grad_cam()
        try:
            listed = trials(
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
            check_folds(data)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            lines = run(
                sets,
                listed,
                args.seeds,
                n_perturbed=args.n_perturbed,
                n_steps=args.n_steps,
                memory=args.memory or Path(temporary),
                lines=args.lines,
            )
        text = json.dumps(result_of(lines), indent=1, ensure_ascii=False)
        args.output.write_text(text + "\n", encoding="utf-8")
    elif not args.output.is_file():
        parser.error(f"there is no file {args.output}")
    print(markdown(json.loads(args.output.read_text(encoding="utf-8"))["rows"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations", description=__doc__.splitlines()[0]
    )
    add_image_options(parser)
    add_weight_options(parser)
    add = parser.add_argument
    add(
        "--n-steps",
        type=int,
        default=10,
        metavar="N",
        help="steps of deletion and insertion (default: %(default)s)",
    )
    add("--lines", type=Path, metavar="JSONL", help="file with a line per model")
    add("--output", type=Path, default=RESULTS / "explanations.json")
    add("--table", action="store_true", help="only print the table of --output")
    return parser


def _check_numbers(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if not args.data or not args.lines:
        parser.error("give --data and --lines, or --table alone")
    check_positive(
        parser, args, ("n_train", "n_test", "image_size", "n_perturbed", "n_steps")
    )


if __name__ == "__main__":
    main()
