"""Measure how many images of unknown classes a classifier accepts as known.

    python -m benchmarks.accuracy.none_of_these --data data/birds27 --layout cub \
        --unknown 9 --memory maps --output benchmarks/results
    python -m benchmarks.accuracy.none_of_these --data data/birds27 --layout cub \
        --unknown 9 --held-out --memory maps --output benchmarks/results
    python -m benchmarks.accuracy.none_of_these \
        --table benchmarks/results/none_of_these_*.json

With each seed some classes are left out, drawn anew. A classifier is fitted on the
training images of the others, and calibrated as `OpenSetClassifier` does it. The test
images of the known classes should be accepted, those of the classes left out rejected.

With ``--held-out`` no test image is used: of the known classes a third is left out once
more, whose training images are the unknown ones, and the known ones to accept are a
third of the training images. The default score was chosen by that.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from benchmarks.accuracy.methods import C_GRID, N_FOLDS
from benchmarks.accuracy.recipe import hold_out
from benchmarks.accuracy.table import spread
from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.data.readers import Split, read_cub, read_folders
from benchmarks.environment import environment
from skdpnet import DPNetClassifier, DPNetTransformer, GlobalFeatures
from skdpnet.open_set._p_values import conformal_p_values
from skdpnet.open_set._scores import SCORES, Scored, score_images

__all__ = ["ALPHAS", "Images", "draw_images", "main", "markdown", "measure"]

ALPHAS = (0.05, 0.1, 0.2)
PARTS, GLOBAL = "DP-Net", "global descriptor + logistic regression"
_SCORES = {PARTS: SCORES, GLOBAL: ("logit", "probability")}
_CALIBRATION_FOLDS = 5
_LARGEST_ITER = 2000


class Images(NamedTuple):
    """The images of a measurement, as paths, and the labels of the known ones."""

    fit: list[str]
    fit_y: NDArray[np.int64]
    known: list[str]
    known_y: NDArray[np.int64]
    unknown: list[str]


def draw_images(split: Split, n_unknown: int, seed: int, held_out: bool) -> Images:
    """Choose the classes that are left out, and the images that are used.

    Parameters
    ----------
    split : Split
    n_unknown : int
        How many classes are left out.
    seed : int
        Random state of what is drawn.
    held_out : bool
        Whether all images are training images: see the module.

    Returns
    -------
    Images
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(split.names))
    left_out, known = order[:n_unknown], order[n_unknown:]
    paths, y = np.array(split.train_paths, dtype=object), split.train_y
    if not held_out:
        test_paths = np.array(split.test_paths, dtype=object)
        fit, test = np.isin(y, known), np.isin(split.test_y, known)
        unknown = np.isin(split.test_y, left_out)
        return Images(
            paths[fit].tolist(),
            y[fit],
            test_paths[test].tolist(),
            split.test_y[test],
            test_paths[unknown].tolist(),
        )
    left_out, known = np.split(known, [len(known) // 3])
    rows = np.flatnonzero(np.isin(y, known))
    fit, held = (rows[part] for part in hold_out(y[rows], seed))
    unknown = np.isin(y, left_out)
    return Images(
        paths[fit].tolist(),
        y[fit],
        paths[held].tolist(),
        y[held],
        paths[unknown].tolist(),
    )


def classifier(name: str, images: Images, seed: int, extraction: dict[str, Any]):
    """Return an unfitted classifier; C is chosen by the images that it is fitted on.

    Parameters
    ----------
    name : str
        `PARTS` or `GLOBAL`.
    images : Images
    seed : int
        Random state of the classifier and of its folds.
    extraction : dict
        Parameters of `FeatureMaps`.

    Returns
    -------
    classifier
    """
    if name == PARTS:
        return DPNetClassifier(**extraction, random_state=seed)
    pooling = GlobalFeatures(strides=DPNetTransformer().strides, **extraction)
    search = GridSearchCV(
        LogisticRegression(max_iter=_LARGEST_ITER),
        {"C": C_GRID},
        cv=StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed),
    )
    search.fit(pooling.fit_transform(images.fit), images.fit_y)
    return make_pipeline(pooling, clone(search.best_estimator_))


def measure(model, images: Images, scores: Sequence[str], seed: int) -> dict:
    """Calibrate and fit a classifier, and measure whom it accepts by each score.

    It is `OpenSetClassifier` with each of the scores, but with one fit in each fold for
    all of them.

    Parameters
    ----------
    model : classifier
        Unfitted.
    images : Images
    scores : sequence of str
        Conformity scores, as in `OpenSetClassifier`.
    seed : int
        Random state of the folds.

    Returns
    -------
    dict
        ``accuracy``, the share of known images whose class is recognised; and
        ``scores``: for each the area under the ROC curve, ``auroc``, and lists
        ``false_rejects`` and ``false_accepts``, a share for each of `ALPHAS`, of
        p-values among all calibration images; and the same of p-values among those of
        the predicted class, ``class_conditional``.
    """
    paths = np.array(images.fit, dtype=object)
    folds = StratifiedKFold(_CALIBRATION_FOLDS, shuffle=True, random_state=seed)
    held_out: dict[str, list[Scored]] = {score: [] for score in scores}
    for train, held in folds.split(paths, images.fit_y):
        fitted = clone(model).fit(paths[train].tolist(), images.fit_y[train])
        for score in scores:
            scored = score_images(fitted, paths[held].tolist(), score)
            held_out[score].append(scored)
    fitted = clone(model).fit(images.fit, images.fit_y)
    accuracy = float(np.mean(fitted.predict(images.known) == images.known_y))
    measured = {}
    for score in scores:
        calibration = Scored(*map(np.concatenate, zip(*held_out[score], strict=True)))
        known, unknown = (
            score_images(fitted, some, score) for some in (images.known, images.unknown)
        )
        measured[score] = {
            **_shares(calibration, known, unknown, class_conditional=False),
            "class_conditional": _shares(
                calibration, known, unknown, class_conditional=True
            ),
        }
    return {"accuracy": accuracy, "scores": measured}


def _shares(
    calibration: Scored, known: Scored, unknown: Scored, *, class_conditional: bool
) -> dict:
    p_known, p_unknown = (
        conformal_p_values(
            calibration.values,
            some.values,
            *((calibration.classes, some.classes) if class_conditional else ()),
        )
        for some in (known, unknown)
    )
    # Without classes, p-values are ranks of the scores, with ties that scores lack.
    ranked = (p_known, p_unknown) if class_conditional else (known[1], unknown[1])
    is_known = np.repeat([1, 0], [len(p_known), len(p_unknown)])
    return {
        "auroc": float(roc_auc_score(is_known, np.concatenate(ranked))),
        "false_rejects": [float((p_known <= alpha).mean()) for alpha in ALPHAS],
        "false_accepts": [float((p_unknown > alpha).mean()) for alpha in ALPHAS],
    }


def markdown(result: dict) -> str:
    """Return results as a Markdown table under a caption.

    Parameters
    ----------
    result : dict
        Content of a results file.

    Returns
    -------
    str
    """
    data, runs = result["data"], result["runs"]
    accuracies = ", ".join(
        f"{name} {spread([r[name]['accuracy'] for r in runs])}" for name in _SCORES
    )
    lines = [
        f"{data['name']}: {data['n_classes']} classes, {data['n_unknown']} of them "
        f"left out with each seed; {data['images']}; {result['image_size']} px, "
        f"framing {result['framing']}; seeds {', '.join(map(str, result['seeds']))}. "
        f"Accuracy on known classes in %: {accuracies}.",
        "",
        "| classifier | score | p-values among | AUROC, % | "
        + " | ".join(f"α = {alpha}: FR, FA" for alpha in ALPHAS)
        + " |",
        "| --- | --- | --- | ---: |" + " ---: |" * len(ALPHAS),
    ]
    for name, scores in _SCORES.items():
        for score in scores:
            of_score = [r[name]["scores"][score] for r in runs]
            of_class = [one["class_conditional"] for one in of_score]
            for among, rows in (("all", of_score), ("predicted class", of_class)):
                cells = [spread([row["auroc"] for row in rows])]
                for k in range(len(ALPHAS)):
                    rejects = spread([row["false_rejects"][k] for row in rows])
                    accepts = spread([row["false_accepts"][k] for row in rows])
                    cells.append(f"{rejects}, {accepts}")
                lines.append(f"| {name} | {score} | {among} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(args: argparse.Namespace, split: Split, memory: Path) -> list[dict]:
    """Measure both classifiers with each seed.

    Parameters
    ----------
    args : Namespace
        The command line.
    split : Split
    memory : Path
        Folder that keeps the feature maps.

    Returns
    -------
    list of dict
        For each seed: ``seed``; the numbers of images that are fitted on, ``n_fit``,
        and measured on, ``n_known`` and ``n_unknown``; and what `measure` returns for
        each classifier.
    """
    extraction = {
        "image_size": args.image_size,
        "framing": FRAMING,
        "memory": str(memory),
    }
    runs = []
    for seed in args.seeds:
        images = draw_images(split, args.unknown, seed, args.held_out)
        row: dict[str, Any] = {
            "seed": seed,
            "n_fit": len(images.fit),
            "n_known": len(images.known),
            "n_unknown": len(images.unknown),
        }
        for name, scores in _SCORES.items():
            model = classifier(name, images, seed, extraction)
            row[name] = measure(model, images, scores, seed)
        runs.append(row)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write the results; or print tables of results.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    args = _read_options(arguments)
    if args.table:
        texts = [file.read_text(encoding="utf-8") for file in args.table]
        print("\n\n".join(markdown(json.loads(text)) for text in texts))
        return
    cub = args.layout == "cub"
    split = read_cub(args.data) if cub else read_folders(args.data, "train", "test")
    if not 0 < args.unknown < len(split.names) - 2:
        raise SystemExit(
            f"error: --unknown {args.unknown} of {len(split.names)} classes leaves too "
            "few, on one side or the other"
        )
    # Before the measurements: an error here after hours of work would lose them.
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        runs = run(args, split, args.memory or Path(temporary))
    name = args.data.resolve().name
    held_out = " --held-out" if args.held_out else ""
    layout = " --layout cub" if cub else ""
    images = (
        "training images alone: a third of the known classes and a third of the images "
        "of the others held out"
        if args.held_out
        else "fitted on the training images of the known classes, measured on test "
        "images"
    )
    result = {
        "command": "python -m benchmarks.accuracy.none_of_these --data data/"
        f"{name}{layout} --unknown {args.unknown}{held_out} --image-size "
        f"{args.image_size} --seeds {' '.join(map(str, args.seeds))}",
        "data": {
            "name": name,
            "n_classes": len(split.names),
            "n_unknown": args.unknown,
            "images": images,
        },
        "image_size": args.image_size,
        "framing": FRAMING,
        "seeds": args.seeds,
        "alphas": ALPHAS,
        "C_grid": C_GRID,
        "runs": runs,
        "environment": environment(),
    }
    file = f"none_of_these_{name}{'_held_out' if args.held_out else ''}.json"
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (args.output / file).write_text(text + "\n", encoding="utf-8")
    print(markdown(json.loads(text)))


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.none_of_these",
        description=(
            "Measure how many images of unknown classes are accepted. Prints a "
            "Markdown table; writes none_of_these_<data>.json."
        ),
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of the data set")
    add(
        "--layout",
        choices=["folders", "cub"],
        default="folders",
        help="class folders in DIR/train and DIR/test, or CUB-200-2011's lists",
    )
    add("--unknown", type=int, default=9, metavar="N", help="classes left out")
    add("--held-out", action="store_true", help="use training images alone")
    add("--image-size", type=int, default=IMAGE_SIZE, metavar="N", help="short side")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add("--memory", type=Path, metavar="DIR", help="folder that keeps feature maps")
    add("--output", type=Path, metavar="DIR", help="folder of results")
    add("--table", type=Path, nargs="+", metavar="JSON", help="print these results")
    args = parser.parse_args(arguments)
    if not args.table and not (args.data and args.output):
        parser.error("name --data and --output, or --table")
    return args


if __name__ == "__main__":
    main()
