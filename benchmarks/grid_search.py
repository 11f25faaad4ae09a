"""How often the backbone sees each picture in the README's grid search.

    python benchmarks/grid_search.py --data flowers17/train --n-images 120

The embedded backbone writes down every picture that goes through it, whichever process
it runs in. Prints a Markdown table and writes JSON.
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
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skdpnet import DPNetTransformer
from skdpnet.backbones import load_backbone
from skdpnet.datasets import load_image_folder

GRID = {
    "parts__orthogonality_weight": [0, 0.1, 1],
    "parts__assignment_weight": [0, 0.1],
    "parts__specificity_weight": [0, 0.1],
}


class CountingBackbone(torch.nn.Module):
    """The embedded network's maps that parts see by default.

    Appends one character a picture to a file.
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


def search_once(paths: list[str], y: np.ndarray, n_jobs: int) -> dict:
    """Run the grid search with an empty cache.

    Parameters
    ----------
    paths : list of str
    y : ndarray of labels
    n_jobs : int

    Returns
    -------
    dict
        Fits, pictures the backbone saw, seconds and the best score.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        parts = DPNetTransformer(
            CountingBackbone(log), memory=Path(folder) / "maps", random_state=0
        )
        pipe = Pipeline([("parts", parts), ("svm", LinearSVC(random_state=0))])
        search = GridSearchCV(pipe, GRID, cv=3, n_jobs=n_jobs)
        seconds = -time.perf_counter()
        search.fit(paths, y)
        seconds += time.perf_counter()
        return {
            "n_jobs": n_jobs,
            "fits": len(search.cv_results_["params"]) * 3 + 1,
            "pictures": len(paths),
            "pictures_seen_by_backbone": len(log.read_text()),
            "seconds": round(seconds, 1),
            "best_cv_accuracy": round(float(search.best_score_), 4),
        }


def main() -> None:
    """Run with one process and with two; print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of class folders")
    parser.add_argument("--n-images", type=int, default=120)
    parser.add_argument("--output", default="benchmarks/results/grid_search.json")
    options = parser.parse_args()
    paths, y, _ = load_image_folder(options.data)
    order = np.random.default_rng(0).permutation(len(paths))[: options.n_images]
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = [search_once([paths[i] for i in order], y[order], n) for n in (1, 2)]
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("|" + " ---: |" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row[c]) for c in columns) + " |")
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
