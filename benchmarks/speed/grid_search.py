"""The README's grid search against what it is made of: one extraction and 37 fits.

    python -m benchmarks.speed.grid_search --data flowers17/train

Extraction, and each fit and score on maps that are there already, are measured alone;
the searches start with an empty cache each. The embedded backbone writes down every
image that goes through it, whichever process it runs in. Prints a Markdown table and
writes JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from skdpnet import DPNetTransformer, FeatureMaps
from skdpnet.backbones.loading import load_backbone
from skdpnet.datasets import load_image_folder

GRID = {
    "parts__orthogonality_weight": [0, 0.1, 1],
    "parts__assignment_weight": [0, 0.1],
    "parts__specificity_weight": [0, 0.1],
}
FOLDS = 3


class CountingBackbone(torch.nn.Module):
    """The embedded network's maps that parts see by default.

    Appends one character an image to a file.
    """

    def __init__(self, log: Path):
        super().__init__()
        self.log = str(log)
        device = torch.device("cpu")
        strides = DPNetTransformer().strides
        backbone = load_backbone("efficientnet_lite0", None, device, strides)
        self.network = backbone.network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Undo ImageNet's normalisation, apply the network's own, compute maps."""
        with open(self.log, "a") as file:
            file.write("x" * len(x))
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        return self.network(((x * std + mean) * 255 - 127) / 128)


def pipeline(*args, **params) -> Pipeline:
    """Build the README's pipeline."""
    parts = DPNetTransformer(*args, **params)
    return Pipeline([("parts", parts), ("svm", LinearSVC(random_state=0))])


def alone(paths: list[str], y: np.ndarray) -> dict:
    """Measure the extraction, and every fit and score on maps in memory, alone.

    Parameters
    ----------
    paths : list of str
    y : ndarray of labels

    Returns
    -------
    dict
        Seconds of each, and the best mean score.
    """
    with tempfile.TemporaryDirectory() as folder:
        network = CountingBackbone(Path(folder) / "log")
        seconds = -time.perf_counter()
        maps = FeatureMaps(network).fit(paths).transform(paths)
        seconds += time.perf_counter()
    fits = scores = 0.0
    accuracies = []
    for point in ParameterGrid(GRID):
        model = pipeline("precomputed", random_state=0).set_params(**point)
        each = []
        for train, test in StratifiedKFold(FOLDS).split(paths, y):
            start = time.perf_counter()
            fitted = clone(model).fit(maps[train], y[train])
            middle = time.perf_counter()
            each.append(fitted.score(maps[test], y[test]))
            fits += middle - start
            scores += time.perf_counter() - middle
        accuracies.append((float(np.mean(each)), point))
    best, point = max(accuracies, key=lambda one: one[0])
    start = time.perf_counter()
    pipeline("precomputed", random_state=0).set_params(**point).fit(maps, y)
    fits += time.perf_counter() - start
    return {
        "what": "alone: extraction + fits + scores",
        "images_seen_by_backbone": len(paths),
        "seconds": round(seconds + fits + scores, 1),
        "extraction_s": round(seconds, 1),
        "fits_s": round(fits, 1),
        "scores_s": round(scores, 1),
        "best_cv_accuracy": round(best, 4),
    }


def search_once(paths: list[str], y: np.ndarray, n_jobs: int, *, share: bool) -> dict:
    """Run the grid search with an empty cache.

    Parameters
    ----------
    paths : list of str
    y : ndarray of labels
    n_jobs : int
    share : bool
        Whether fits may share their starts: not those that draw from a generator that
        nobody can repeat.

    Returns
    -------
    dict
        Seconds, images the backbone saw, and the best score.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        random = 0 if share else np.random.RandomState(0)
        model = pipeline(
            CountingBackbone(log), memory=Path(folder) / "maps", random_state=random
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


def main() -> None:
    """Measure what the search is made of, then searches; print and save."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.grid_search",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--data", required=True, help="folder of class folders")
    parser.add_argument("--n-images", type=int, help="so many, drawn at random")
    parser.add_argument("--output", type=Path, default=RESULTS / "grid_search.json")
    options = parser.parse_args()
    paths, y, _ = load_image_folder(options.data)
    order = np.random.default_rng(0).permutation(len(paths))[: options.n_images]
    given = [paths[i] for i in order], y[order]
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for measure in (
        lambda: alone(*given),
        lambda: search_once(*given, 1, share=False),
        lambda: search_once(*given, 1, share=True),
        lambda: search_once(*given, 2, share=True),
    ):
        rows.append(measure())
        print(rows[-1], flush=True)
    columns = ["what", "images_seen_by_backbone", "seconds", "best_cv_accuracy"]
    print("\n| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(str(row[c]) for c in columns) + " |")
    n_fits = len(ParameterGrid(GRID)) * FOLDS + 1
    told = {
        "machine": describe(torch.device("cpu")),
        "images": len(order),
        "fits": n_fits,
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
