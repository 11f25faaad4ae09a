"""Measure what the weight of each penalty does to its own term and to the accuracy.

    python -m benchmarks.accuracy.penalty_weights --data data/flowers17 \
        --train train --held val --parts 6 20 120 --memory maps
    python -m benchmarks.accuracy.penalty_weights --table
    python -m benchmarks.accuracy.penalty_weights --figure docs/penalty_weights.png

`DPNetClassifier` is fitted with one penalty at a time on the images of one folder, and
its accuracy is that on the images of another. Neither should hold test images. The
terms of the fitted model are those of `skdpnet.losses`, without their weights: the
orthogonality of the parts, the assignment of the training images' regions, and the
class specificity of `coef_`. As in training, contexts, for which the whole image is the
only region, do not count. Each measurement is a line of JSON, and those that the output
file already has are not repeated.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.accuracy.penalty_figure import PENALTIES, draw, markdown
from benchmarks.accuracy.recipe import defaults
from benchmarks.accuracy.suites import read_changes
from benchmarks.data.extraction import IMAGE_SIZE, PARTS, extract, extractors
from benchmarks.data.readers import Split, read_folders
from benchmarks.explanations.models import have_place
from benchmarks.records import RESULTS, append_line, has_line, read_lines, resume
from skdpnet import DPNetClassifier, losses

WEIGHTS = (0.03, 0.1, 0.3, 1, 3, 10)
_FORMS = ("absolute", "square", "signed")


def terms(model: DPNetClassifier, maps: np.ndarray) -> dict[str, float]:
    """Compute the unweighted penalties of a fitted model, and what V looks like.

    Parameters
    ----------
    model : DPNetClassifier
        Fitted.
    maps : structured ndarray of shape (n,)
        The feature maps of the training images.

    Returns
    -------
    dict of str to float
        ``orthogonality``: the mean over the parts of all maps; ``assignment``: the mean
        over the regions of all maps, at the model's temperature; ``specificity`` and
        the form: of `coef_`; ``own_share``: the share of Σ|V| on parts of the row's own
        class; ``zeros``: the share of the other weights that are exactly 0.
    """
    learned = have_place(model)
    coef, part_classes = model.coef_[:, learned], model.part_classes_[learned]
    V = torch.from_numpy(coef)
    foreign = np.arange(len(V))[:, None] != part_classes
    found = {
        "orthogonality": _orthogonality(model),
        "assignment": _assignment(model, maps),
    }
    for form in _FORMS:
        value = losses.specificity(V, torch.from_numpy(part_classes), form)
        found[f"specificity, {form}"] = float(value)
    size = np.abs(coef)
    found["own_share"] = float(size[~foreign].sum() / size.sum())
    found["zeros"] = float((size[foreign] == 0).mean())
    return found


def _orthogonality(model: DPNetClassifier) -> float:
    learned = have_place(model)
    total = 0.0
    for number in np.unique(model.part_maps_[learned]):
        parts = torch.from_numpy(model.parts_[model.part_maps_ == number])
        share = len(parts) / learned.sum()
        total += share * float(losses.orthogonality(parts.double()))
    return total


def _assignment(model: DPNetClassifier, maps: np.ndarray) -> float:
    numbers = np.unique(model.part_maps_[have_place(model)])
    n_regions = sum(model.grids_[number].n_regions for number in numbers)
    total = 0.0
    for each in model.iter_responses(maps):
        for responses in (each[number] for number in numbers):
            share = responses.shape[1] / n_regions * len(responses) / len(maps)
            value = losses.assignment(responses, model.assignment_temperature)
            total += share * float(value)
    return total


def measure_once(
    changes: dict,
    seed: int,
    split: Split,
    maps: tuple[np.ndarray, np.ndarray],
    memory: Path | None,
) -> dict:
    """Fit with changed settings, and measure the terms and the accuracy.

    Parameters
    ----------
    changes : dict of str to object
        The settings of `DPNetClassifier` that differ from its defaults.
    seed : int
        Random state.
    split : Split
        Its test images are those that are held out.
    maps : pair of structured ndarrays
        The feature maps of the training images and of those held out.
    memory : Path or None
        Folder that keeps the first parts, which all weights share.

    Returns
    -------
    dict
    """
    model = DPNetClassifier("precomputed", **changes, memory=memory, random_state=seed)
    start = time.perf_counter()
    model.fit(maps[0], split.train_y)
    seconds = time.perf_counter() - start
    return {
        "n_parts": len(model.parts_),
        "terms": terms(model, maps[0]),
        "accuracy": float(model.score(maps[1], split.test_y)),
        "fit_seconds": seconds,
    }


def changes_to_measure(
    n_parts_per_class: int, penalty: str, weights: list[float], others: dict
) -> list[dict]:
    """Return the changed settings of the fits with one penalty, and of that without.

    Parameters
    ----------
    n_parts_per_class : int
    penalty : str
        A name of `PENALTIES`.
    weights : list of float
        The weights above 0.
    others : dict of str to object
        Other settings that are changed in all fits.

    Returns
    -------
    list of dict
    """
    # The default settings have one of the penalties.
    without = {"specificity_weight": 0.0}
    base = {**others, "n_parts_per_class": n_parts_per_class, **without}
    return [base, *({**base, f"{penalty}_weight": weight} for weight in weights)]


def first_classes(split: Split, n_classes: int | None) -> Split:
    """Keep the images of the first classes alone.

    Parameters
    ----------
    split : Split
    n_classes : int or None
        None: all classes are kept.

    Returns
    -------
    Split
    """
    n = len(split.names) if n_classes is None else n_classes
    train, held = split.train_y < n, split.test_y < n
    return Split(
        [path for path, kept in zip(split.train_paths, train, strict=True) if kept],
        split.train_y[train],
        [path for path, kept in zip(split.test_paths, held, strict=True) if kept],
        split.test_y[held],
        split.names[:n],
    )


def run(args: argparse.Namespace, split: Split) -> None:
    """Measure what the output file lacks, and append a line for each measurement.

    Parameters
    ----------
    args : Namespace
        The command line.
    split : Split
        Its test images are those that are held out.
    """
    lines = resume(args.output, lambda line: {**defaults("parts"), **line["changes"]})
    name = f"{args.data.resolve().name}/{args.train}"
    if args.classes is not None:
        name += f", {args.classes} classes"
    others = dict(read_changes(args.set))
    pending = []
    for n_parts_per_class in args.parts:
        for penalty in args.penalties:
            changed = changes_to_measure(
                n_parts_per_class, penalty, args.weights, others
            )
            for changes in changed:
                for seed in args.seeds:
                    key = {"data": name, "seed": seed, "changes": changes}
                    if key not in pending and not has_line(lines, key):
                        pending.append(key)
    extractor = extractors(image_size=IMAGE_SIZE, memory=args.memory)[PARTS]
    maps = extract(extractor, split.train_paths), extract(extractor, split.test_paths)
    with tqdm(pending, unit="fit") as bar:
        for key in bar:
            bar.set_description(f"{key['changes']}, seed {key['seed']}")
            measured = measure_once(
                key["changes"], key["seed"], split, maps, args.memory
            )
            line = {
                **key,
                "n_classes": len(split.names),
                "n_train": len(split.train_y),
                "n_held": len(split.test_y),
                "settings": {**defaults("parts"), **key["changes"]},
                **measured,
            }
            append_line(args.output, line)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, or draw the figure.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if not args.table and args.figure is None:
        if args.data is None:
            parser.error("give --data, or --table or --figure")
        try:
            split = read_folders(args.data, args.train, args.held)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        run(args, first_classes(split, args.classes))
    lines = read_lines(args.output)
    if not lines:
        parser.error(f"{args.output} holds no measurements")
    if args.figure is not None:
        draw(lines, args.figure)
    else:
        print(markdown(lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.penalty_weights",
        description=__doc__.splitlines()[0],
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="the data set's folder")
    add(
        "--train",
        default="train",
        metavar="SUB",
        help="folder in DIR with the class folders to fit on (default: %(default)s)",
    )
    add(
        "--held",
        default="val",
        metavar="SUB",
        help="folder in DIR with the class folders that the accuracy is measured on; "
        "not test images (default: %(default)s)",
    )
    add("--classes", type=int, metavar="N", help="keep the first N classes alone")
    add(
        "--parts",
        type=int,
        nargs="+",
        default=[6, 20, 120],
        metavar="N",
        help="numbers of parts a class (default: %(default)s)",
    )
    add(
        "--penalties",
        nargs="+",
        choices=PENALTIES,
        default=list(PENALTIES),
        help="(default: all)",
    )
    add(
        "--weights",
        type=float,
        nargs="+",
        default=list(WEIGHTS),
        metavar="W",
        help="weights of each penalty, beside 0 (default: %(default)s)",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="changes of other settings of DPNetClassifier; values are Python literals",
    )
    add("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--output", type=Path, default=RESULTS / "penalty_weights.jsonl")
    add("--table", action="store_true", help="measure nothing, only print the table")
    add(
        "--figure",
        type=Path,
        metavar="PNG",
        help="measure nothing, only draw the figure",
    )
    return parser


if __name__ == "__main__":
    main()
