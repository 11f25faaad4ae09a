"""Measure the README's grid search, and its steps: one extraction and 37 fits.

    python -m benchmarks.speed.grid_search --data flowers17/train

The extraction, and each fit and score on precomputed maps, are measured separately;
each search starts with an empty cache. The backbone logs each image that it processes,
in whichever process it runs. Also shows what the points of the search differ in:
accuracy, decisions, and what the constraints are for. Prints Markdown tables and writes
JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.explanations.constraint_measures import foreign_weights, twins
from benchmarks.explanations.models import have_place
from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.backbones.loading import load_backbone
from skdpnet.datasets import load_image_folder
from skdpnet.features.map_store import probe_image

GRID = {
    "orthogonality_weight": [0, 0.1, 1],
    "assignment_weight": [0, 1],
    "specificity_weight": [0, 0.1],
}
FOLDS = 3
# A module says nothing of the images that it takes.
_IMAGES = {"image_size": IMAGE_SIZE, "framing": FRAMING}


class CountingBackbone(torch.nn.Module):
    """The default backbone with the default maps of parts, which logs its images.

    It appends one character per image to a file. The cache's probes are not counted.

    Parameters
    ----------
    log : Path
        The file.
    """

    def __init__(self, log: Path):
        super().__init__()
        self.log = str(log)
        device = torch.device("cpu")
        strides = DPNetClassifier().strides
        backbone = load_backbone("efficientnet_lite0", None, device, strides)
        self.network = backbone.network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Replace ImageNet's normalisation by that of the network, and compute maps."""
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        pixels = (x * std + mean) * 255
        height, width = x.shape[2:]
        probe = torch.from_numpy(probe_image(width)[:height]).permute(2, 0, 1)
        # The probe is as wide as the canvas, which images may be taller than.
        may_be_probe = len(x) == 1 and height <= width
        if not may_be_probe or not torch.allclose(pixels[0], probe.float(), atol=0.1):
            with open(self.log, "a") as file:
                file.write("x" * len(x))
        return self.network((pixels - 127) / 128)


def measure_steps(paths: list[str], y: np.ndarray) -> tuple[dict, list[dict]]:
    """Measure the extraction, and each fit and score on maps in RAM.

    Parameters
    ----------
    paths : list of str
    y : ndarray of labels

    Returns
    -------
    steps : dict
        Seconds of each step and in all, and the best mean score.
    points : list of dict
        The weights and the measures of each point, the best first: means over the
        folds, and the decisions on the images that each fold holds out, compared with
        those of the best point.
    """
    with tempfile.TemporaryDirectory() as folder:
        network = CountingBackbone(Path(folder) / "log")
        seconds = -time.perf_counter()
        maps = FeatureMaps(network, **_IMAGES).fit(paths).transform(paths)
        seconds += time.perf_counter()
    fits = scores = 0.0
    points, decisions = [], []
    for weights in ParameterGrid(GRID):
        model = DPNetClassifier("precomputed", random_state=0, **weights)
        folds, decided = [], np.empty_like(y)
        for train, test in StratifiedKFold(FOLDS).split(paths, y):
            start = time.perf_counter()
            fitted = clone(model).fit(maps[train], y[train])
            middle = time.perf_counter()
            decided[test] = fitted.predict(maps[test])
            fits += middle - start
            scores += time.perf_counter() - middle
            learned = have_place(fitted)
            folds.append(
                {
                    "cv_accuracy": float((decided[test] == y[test]).mean()),
                    "twins": twins(fitted.parts_[learned], fitted.part_maps_[learned]),
                    **foreign_weights(
                        fitted.coef_[:, learned], fitted.part_classes_[learned]
                    ),
                }
            )
        means = {key: float(np.mean([fold[key] for fold in folds])) for key in folds[0]}
        points.append({"weights": weights, **means})
        decisions.append(decided)
    accuracies = [point["cv_accuracy"] for point in points]
    # As in GridSearchCV, the first of the best.
    best = int(np.argmax(np.round(accuracies, 12)))
    for point, decided in zip(points, decisions, strict=True):
        point["other_decisions"] = float((decided != decisions[best]).mean())
    start = time.perf_counter()
    DPNetClassifier("precomputed", random_state=0, **points[best]["weights"]).fit(
        maps, y
    )
    fits += time.perf_counter() - start
    steps = {
        "what": "alone: extraction + fits + scores",
        "images_seen_by_backbone": len(paths),
        "seconds": round(seconds + fits + scores, 1),
        "extraction_s": round(seconds, 1),
        "fits_s": round(fits, 1),
        "scores_s": round(scores, 1),
        "best_cv_accuracy": round(accuracies[best], 4),
    }
    return steps, sorted(points, key=lambda point: -point["cv_accuracy"])


def measure_search(
    paths: list[str], y: np.ndarray, n_jobs: int, *, share: bool
) -> dict:
    """Measure the grid search, starting with an empty cache.

    Parameters
    ----------
    paths : list of str
    y : ndarray of labels
    n_jobs : int
    share : bool
        Whether fits share their initial states through the cache, which they do if
        `random_state` is a number and not if it is a generator.

    Returns
    -------
    dict
        Seconds, the number of images that the backbone processed, and the best score.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        random_state = 0 if share else np.random.RandomState(0)
        model = DPNetClassifier(
            CountingBackbone(log),
            **_IMAGES,
            memory=Path(folder) / "maps",
            random_state=random_state,
        )
        search = GridSearchCV(model, GRID, cv=FOLDS, n_jobs=n_jobs)
        seconds = -time.perf_counter()
        search.fit(paths, y)
        seconds += time.perf_counter()
        return {
            "what": f"search, n_jobs={n_jobs}" + (", starts shared" if share else ""),
            "images_seen_by_backbone": len(log.read_text()),
            "seconds": round(seconds, 1),
            "best_cv_accuracy": round(float(search.best_score_), 4),
        }


def points_table(points: list[dict]) -> str:
    """Return the points of the search as a Markdown table.

    Parameters
    ----------
    points : list of dict
        As from `measure_steps`.

    Returns
    -------
    str
    """
    measures = ("cv_accuracy", "other_decisions", "twins", "foreign", "zeros")
    lines = [
        "| orthogonality, assignment, specificity | accuracy, % | decisions unlike the "
        "best point's, % | parts with a twin, % | weights of other classes' parts, % "
        "of all | of these exactly 0, % |",
        "| --- |" + " ---: |" * len(measures),
    ]
    for point in points:
        weights = ", ".join(f"{point['weights'][name]:g}" for name in GRID)
        values = " | ".join(f"{100 * point[name]:.1f}" for name in measures)
        lines.append(f"| {weights} | {values} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.grid_search",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--data", required=True, help="folder of class folders")
    parser.add_argument(
        "--n-images", type=int, help="number of images, drawn at random (default: all)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "grid_search.json")
    options = parser.parse_args()
    paths, y, _ = load_image_folder(options.data)
    order = np.random.default_rng(0).permutation(len(paths))[: options.n_images]
    data = [paths[i] for i in order], y[order]
    steps, points = measure_steps(*data)
    print(f"{points_table(points)}\n\n{steps}", flush=True)
    rows = [steps]
    for n_jobs, share in ((1, False), (1, True), (2, True)):
        rows.append(measure_search(*data, n_jobs, share=share))
        print(rows[-1], flush=True)
    columns = ["what", "images_seen_by_backbone", "seconds", "best_cv_accuracy"]
    print("\n| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(str(row[c]) for c in columns) + " |")
    n_fits = len(ParameterGrid(GRID)) * FOLDS + 1
    result = {
        "machine": describe(torch.device("cpu")),
        "images": len(order),
        "fits": n_fits,
        "rows": rows,
        "points": points,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
