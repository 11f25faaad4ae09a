"""Measure parts on images whose parts are known: accuracy, and where they point.

    python -m benchmarks.explanations.part_images --seeds 0 1 2

For each seed, new training and test images of `make_part_images` are drawn. Prints a
Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline

from benchmarks.accuracy.methods import choose_svm, methods
from benchmarks.accuracy.recipe import experiment
from benchmarks.accuracy.suites import OF_REGIONS, read_changes
from benchmarks.accuracy.table import spread
from benchmarks.data.extraction import extractors
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import FIRST_SEED
from benchmarks.records import RESULTS
from skdpnet import datasets, explain_each, metrics
from skdpnet.parts.dpnet.learner import PartLearner
from skdpnet.regions import RegionGrid


def pointing(explanations, grids: list[RegionGrid], test) -> tuple[float, float]:
    """Pointing game of each image's strongest part, and of random regions.

    The strongest part is the first of `Explanation.top_parts`; where no part that is
    present speaks for the predicted class, nothing is pointed at. A random region is
    drawn uniformly from the regions of all maps, whichever map the strongest part
    sees.

    Parameters
    ----------
    explanations : iterable of n Explanation
        Of maps, so their boxes are in shares of the image's sides.
    grids : list of RegionGrid
        The regions of each map.
    test : Bunch
        As `make_part_images` gives it.

    Returns
    -------
    found, chance : float
        Share of the images in which the box's centre lies on a true part that tells
        the image's class from at least one other.
    """
    size = test.images.shape[1]
    boxes = [
        why.boxes[top[0]] * size if len(top := why.top_parts(1)) else [-1.0] * 4
        for why in explanations
    ]
    drawn = metrics.random_regions(grids, len(boxes), 1, random_state=0)[:, 0] * size
    targets = test.discriminative_boxes
    return (
        float(metrics.pointing_game(boxes, targets).mean()),
        float(metrics.pointing_game(drawn, targets).mean()),
    )


def measure(seed: int, options: argparse.Namespace, changes: dict) -> list[dict]:
    """Measure every method on one pair of training and test sets.

    Parameters
    ----------
    seed : int
    options : Namespace
        ``n_train``, ``n_test``, ``image_size``, ``difficulty``.
    changes : dict
        Settings of DP-Net that are changed from their defaults; ``strides`` and
        ``region_scales`` are changed of the other methods too, where they have them.

    Returns
    -------
    list of dict
        For each method, ``method``, ``seed``, ``accuracy`` and, where it has parts,
        ``pointing`` and ``pointing_random``.
    """
    draw = {"difficulty": options.difficulty, "image_size": options.image_size}
    first = FIRST_SEED + 2 * seed
    train = datasets.make_part_images(options.n_train, random_state=first, **draw)
    test = datasets.make_part_images(options.n_test, random_state=first + 1, **draw)
    seen = {k: changes[k] for k in ("strides",) if k in changes}
    maps, test_maps = {}, {}
    for kind, extractor in extractors(image_size=options.image_size, **seen).items():
        maps[kind] = extractor.fit_transform(train.images)
        test_maps[kind] = extractor.transform(test.images)
    rows = []
    for name, (method, kind) in methods(seed).items():
        learns = isinstance(method, PartLearner)
        known = changes if learns else {k: changes[k] for k in OF_REGIONS & {*changes}}
        own = method.get_params()
        model = method.set_params(**{k: v for k, v in known.items() if k in own})
        if not is_classifier(method):
            svm, _ = choose_svm(method, maps[kind], train.target, seed)
            model = make_pipeline(method, svm)
        model.fit(maps[kind], train.target)
        accuracy = float(model.score(test_maps[kind], test.target))
        row = {"method": name, "seed": seed, "accuracy": accuracy}
        if hasattr(method, "parts_"):
            row["pointing"], row["pointing_random"] = pointing(
                explain_each(model, test_maps[kind]), method.grids_, test
            )
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations.part_images",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--n-train", type=int, default=400)
    parser.add_argument("--n-test", type=int, default=300)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--difficulty", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of DP-Net that are changed from their defaults, as Python "
        "writes them; strides and region_scales of the other methods too",
    )
    options = parser.parse_args()
    try:
        changes = experiment("parts", dict(read_changes(options.set))).changes
    except ValueError as error:
        parser.error(str(error))
    rows = [row for seed in options.seeds for row in measure(seed, options, changes)]
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
