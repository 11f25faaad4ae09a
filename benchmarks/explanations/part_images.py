"""Measure accuracy and the pointing game on made images, whose parts are known.

    python -m benchmarks.explanations.part_images --seeds 0 1 2

For each seed, new training and test images are drawn with `make_part_images`. Prints a
Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline

from benchmarks.accuracy.heads_methods import HEADS
from benchmarks.accuracy.methods import Method, choose_svm, methods
from benchmarks.accuracy.recipe import make_experiment
from benchmarks.accuracy.suites import REGION_SETTINGS, read_changes
from benchmarks.accuracy.table import spread
from benchmarks.data.extraction import PARTS, extractors
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import FIRST_SEED
from benchmarks.records import RESULTS
from skdpnet import datasets, explain_each, metrics
from skdpnet.base.part_estimator import PartEstimator
from skdpnet.parts.dpnet.learner import PartLearner
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.regions import RegionGrid

# The images are square, so that it shows all of them, and no canvas lies around them:
# boxes of given maps are fractions of the image.
_FRAMING = "crop"


def pointing(explanations, grids: list[RegionGrid], test) -> tuple[float, float]:
    """Play the pointing game with each image's top part, and with random regions.

    The top part is the first of `Explanation.top_parts` that has several regions; an
    image without top part is a miss. A random region is drawn uniformly from the
    regions of all maps with such parts, whichever map the top part lives on.

    Parameters
    ----------
    explanations : iterable of n Explanation
        Explanations of feature maps, whose boxes are in fractions of the image's sides.
    grids : list of RegionGrid
        The regions of each map.
    test : Bunch
        Test images, as `make_part_images` returns them.

    Returns
    -------
    share, chance : float
        Share of the images in which the box's centre lies on a true part that
        distinguishes the image's class from at least one other class, for the top part
        and for the random region.
    """
    size = test.images.shape[1]
    several = np.array([grid.n_regions > 1 for grid in grids])
    boxes = []
    for why in explanations:
        top = why.top_parts()
        top = top[several[why.part_maps[top]]]
        boxes.append(why.boxes[top[0]] * size if len(top) else [-1.0] * 4)
    grids = [grid for grid in grids if grid.n_regions > 1]
    drawn = metrics.random_regions(grids, len(boxes), 1, random_state=0)[:, 0] * size
    targets = test.discriminative_boxes
    return (
        float(metrics.pointing_game(boxes, targets).mean()),
        float(metrics.pointing_game(drawn, targets).mean()),
    )


def _methods(seed: int) -> dict[str, Method]:
    """Return the methods that are compared, prototype networks too, by default."""
    given = {"backbone": "precomputed", "framing": _FRAMING, "random_state": seed}
    networks = {
        name: Method(head.kind(**given), PARTS)
        for name, head in HEADS.items()
        if isinstance(head.kind, type) and issubclass(head.kind, PrototypeClassifier)
    }
    return methods(seed, _FRAMING) | networks


def measure(seed: int, options: argparse.Namespace, changes: dict) -> list[dict]:
    """Measure all methods on the training and test images of a seed.

    Parameters
    ----------
    seed : int
    options : Namespace
        The command line: ``n_train``, ``n_test``, ``image_size``, ``difficulty``.
    changes : dict
        Changes from the default settings of DP-Net; ``strides`` and ``region_scales``
        apply to the other methods too, where they have them.

    Returns
    -------
    list of dict
        For each method, ``method``, ``seed``, ``accuracy`` and, where it has parts,
        ``pointing`` and ``pointing_random``.
    """
    image_params = {"difficulty": options.difficulty, "image_size": options.image_size}
    first = FIRST_SEED + 2 * seed
    train = datasets.make_part_images(
        options.n_train, random_state=first, **image_params
    )
    test = datasets.make_part_images(
        options.n_test, random_state=first + 1, **image_params
    )
    map_params = {k: changes[k] for k in ("strides",) if k in changes}
    maps, test_maps = {}, {}
    for kind, extractor in extractors(
        image_size=options.image_size, framing=_FRAMING, **map_params
    ).items():
        maps[kind] = extractor.fit_transform(train.images)
        test_maps[kind] = extractor.transform(test.images)
    rows = []
    for name, (method, kind) in _methods(seed).items():
        params = method.get_params().keys() & changes.keys()
        if not isinstance(method, PartLearner):
            params &= REGION_SETTINGS
        model = method.set_params(**{name: changes[name] for name in params})
        if not is_classifier(method):
            svm, _ = choose_svm(method, maps[kind], train.target, seed)
            model = make_pipeline(method, svm)
        model.fit(maps[kind], train.target)
        accuracy = float(model.score(test_maps[kind], test.target))
        row = {"method": name, "seed": seed, "accuracy": accuracy}
        if isinstance(method, PartEstimator):
            row["pointing"], row["pointing_random"] = pointing(
                explain_each(model, test_maps[kind]), method.grids_, test
            )
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """Return the means over the seeds as a Markdown table.

    Parameters
    ----------
    rows : list of dict
        Rows that `measure` returns.

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
    """Measure, print the table and write the results."""
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
        help="changes from the default settings of DP-Net, as Python literals; "
        "strides and region_scales apply to the other methods too",
    )
    options = parser.parse_args()
    try:
        changes = make_experiment("parts", dict(read_changes(options.set))).changes
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
