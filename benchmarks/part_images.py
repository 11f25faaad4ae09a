"""Measure parts on pictures whose parts are known: accuracy, and where they point.

    python benchmarks/part_images.py --seeds 0 1 2

For each seed, new training and test pictures of `make_part_images` are drawn. Prints a
Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from extraction import extractors
from global_vs_parts import environment
from measuring import choose_svm, methods
from sklearn.base import is_classifier
from table import spread

from skdpnet import best_regions, datasets, metrics

# Apart from the seeds that anything was chosen on.
FIRST_SEED = 1000


def pointing(
    descriptor: np.ndarray, coef: np.ndarray, winners: np.ndarray, model, maps, test
) -> tuple[float, float]:
    """Pointing game of each picture's strongest part, and of random regions.

    A random region is drawn uniformly from the regions of all maps, whichever map the
    strongest part sees.

    Parameters
    ----------
    descriptor : ndarray of shape (n, P)
        Of the test pictures.
    coef : ndarray of shape (C, P)
        The linear classifier's weights.
    winners : int ndarray of shape (n,)
        Predicted classes.
    model : fitted part-based estimator
    maps : ndarray
        Maps of the n test pictures that the model sees.
    test : Bunch
        As `make_part_images` gives it.

    Returns
    -------
    found, chance : float
        Share of the pictures in which the box's centre lies on a true part that tells
        the picture's class from at least one other.
    """
    strongest = (coef[winners] * descriptor).argmax(axis=1)
    pictures = np.arange(len(strongest))
    size = test.images.shape[1]
    boxes = best_regions(model, maps).boxes[pictures, strongest] * size
    targets = [
        [box[part] for part in test.discriminative_parts[label] if part in box]
        for label, box in zip(test.target, test.boxes, strict=True)
    ]
    regions = np.concatenate([grid.boxes() for grid in model.grids_]) * size
    drawn = np.random.default_rng(0).integers(len(regions), size=len(pictures))
    return (
        float(metrics.pointing_game(boxes, targets).mean()),
        float(metrics.pointing_game(regions[drawn], targets).mean()),
    )


def measure(seed: int, options: argparse.Namespace) -> list[dict]:
    """Measure every method on one pair of training and test sets.

    Parameters
    ----------
    seed : int
    options : Namespace
        ``n_train``, ``n_test``, ``image_size``, ``difficulty``.

    Returns
    -------
    list of dict
        For each method, ``method``, ``seed``, ``accuracy`` and, where it has parts,
        ``pointing`` and ``pointing_random``.
    """
    draw = {"difficulty": options.difficulty}
    first = FIRST_SEED + 2 * seed
    train = datasets.make_part_images(options.n_train, random_state=first, **draw)
    test = datasets.make_part_images(options.n_test, random_state=first + 1, **draw)
    maps, test_maps = {}, {}
    for kind, extractor in extractors(image_size=options.image_size).items():
        maps[kind] = extractor.fit_transform(train.images)
        test_maps[kind] = extractor.transform(test.images)
    rows = []
    for name, (method, kind) in methods(seed).items():
        row = {"method": name, "seed": seed}
        seen = method.fit_transform(maps[kind], train.target)
        unseen = method.transform(test_maps[kind])
        if is_classifier(method):
            coef, logits = method.coef_, method.decision_function(test_maps[kind])
        else:
            svm, _ = choose_svm(method, maps[kind], train.target, seed)
            svm.fit(seen, train.target)
            coef, logits = svm.coef_, svm.decision_function(unseen)
        winners = logits.argmax(axis=1)
        row["accuracy"] = float((winners == test.target).mean())
        if hasattr(method, "parts_"):
            found, chance = pointing(
                unseen, coef, winners, method, test_maps[kind], test
            )
            row["pointing"], row["pointing_random"] = found, chance
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """Write the means over the seeds as a Markdown table.

    Parameters
    ----------
    rows : list of dict
        As `measure` gives them.

    Returns
    -------
    str
    """
    lines = [
        "| method | accuracy, % | points at a telling part, % | random region, % |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for key in ("accuracy", "pointing", "pointing_random"):
            values = [r[key] for r in rows if r["method"] == name and key in r]
            cells.append(spread(values) if values else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-train", type=int, default=400)
    parser.add_argument("--n-test", type=int, default=300)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--difficulty", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", default="benchmarks/results", type=Path)
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in measure(seed, options)]
    print(table(rows))
    options.output.mkdir(parents=True, exist_ok=True)
    result = {
        "settings": {k: v for k, v in vars(options).items() if k != "output"},
        "rows": rows,
        "environment": environment(),
    }
    file = options.output / f"part_images_{options.image_size}.json"
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
