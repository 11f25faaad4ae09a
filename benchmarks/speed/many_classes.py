"""Measure `partial_fit` with as many classes as ImageNet, on crops of photographs.

    python -m benchmarks.speed.many_classes --data flowers17 scene15 --work DIR

Crops stand for images, and groups of similar crops stand for classes, so accuracy has
no meaning: only time and memory are measured. Prints the seconds of each stage and
writes JSON. Crops and maps stay in the work folder; computing the maps is not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import SGDClassifier

from benchmarks.records import RESULTS
from benchmarks.speed.fit import STAGES, timed
from benchmarks.speed.machine import describe
from skdpnet import DPNetClassifier, GlobalFeatures

# The side of ImageNet's images as often stored, more than the 224 of the networks.
_LONGER_SIDE = 400
_SMALLEST_CROP = 0.6
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def write_crops(photographs: list[Path], n: int, folder: Path) -> list[str]:
    """Write crops of photographs, equally many of each photograph.

    Parameters
    ----------
    photographs : list of Path
    n : int
        Number of crops.
    folder : Path
        The folder of the crops; those that exist are kept.

    Returns
    -------
    list of n str
        Paths of the crops.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        path = folder / f"{i:06d}.jpg"
        paths.append(str(path))
        if path.exists():
            continue
        random = np.random.default_rng(i)
        with Image.open(photographs[i % len(photographs)]) as image:
            whole = image.convert("RGB")
        share = random.uniform(_SMALLEST_CROP, 1)
        width, height = (max(1, int(share * side)) for side in whole.size)
        left = random.integers(whole.width - width + 1)
        top = random.integers(whole.height - height + 1)
        crop = whole.crop((left, top, left + width, top + height))
        crop.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
        crop.save(path, quality=90)
    return paths


def group_similar(descriptors: np.ndarray, n_groups: int) -> np.ndarray:
    """Group similar images into groups of equal size.

    Groups are divided into halves along the direction of their largest variance.

    Parameters
    ----------
    descriptors : ndarray of shape (n, D)
    n_groups : int
        At most n.

    Returns
    -------
    int ndarray of shape (n,)
        Group of each image, from 0 to n_groups - 1.
    """
    groups = np.empty(len(descriptors), int)

    def halve(rows: np.ndarray, first: int, last: int) -> None:
        if last - first == 1:
            groups[rows] = first
            return
        centred = descriptors[rows] - descriptors[rows].mean(axis=0)
        direction = np.linalg.svd(centred[:1000], full_matrices=False)[2][0]
        order, middle = np.argsort(centred @ direction), (first + last) // 2
        cut = len(rows) * (middle - first) // (last - first)
        halve(rows[order[:cut]], first, middle)
        halve(rows[order[cut:]], middle, last)

    halve(np.arange(len(descriptors)), 0, n_groups)
    return groups


def measure(what: str, run: Callable[[], object]) -> dict:
    """Run a function once; return its seconds, by stage too, and the peak memory."""
    start = time.perf_counter()
    with timed(STAGES) as stages:
        run()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    row = {
        "what": what,
        "seconds": round(seconds, 1),
        "stages": {name: round(value, 1) for name, value in stages.items()},
        "peak_so_far_gib": round(peak / 2**30, 1),
    }
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Measure calls of `partial_fit`, predictions, and a classifier of descriptors."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.many_classes",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--data", required=True, nargs="+", help="folders of images")
    parser.add_argument(
        "--work", required=True, type=Path, help="folder of crops and maps"
    )
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument(
        "--per-class", type=int, default=20, help="images of each class"
    )
    parser.add_argument("--parts-per-class", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS / "many_classes.json")
    options = parser.parse_args()
    files = (path for folder in options.data for path in Path(folder).rglob("*"))
    photographs = sorted(path for path in files if path.suffix.lower() in _SUFFIXES)
    if not photographs:
        parser.error(f"no images in {', '.join(options.data)}")

    n = options.classes * options.per_class
    paths = write_crops(photographs, n, options.work / "crops")
    memory = options.work / "maps"
    model = DPNetClassifier(
        memory=memory, n_parts_per_class=options.parts_per_class, random_state=0
    )
    average = GlobalFeatures(memory=memory, strides=model.strides)
    y = group_similar(average.fit_transform(paths), options.classes)

    svm = SGDClassifier(average=True, n_jobs=-1, random_state=0)
    rows = [
        measure("first call", lambda: model.partial_fit(paths, y)),
        measure("later call", lambda: model.partial_fit(paths, y)),
        measure("predict", lambda: model.predict(paths)),
        measure(
            "transform, and SGDClassifier",
            lambda: svm.partial_fit(model.transform(paths), y, np.unique(y)),
        ),
    ]
    result = {
        "machine": describe(torch.device("cpu")),
        "images": n,
        "photographs": len(photographs),
        "classes": options.classes,
        "parts": len(model.part_classes_),
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
