"""How much could perfect parts gain? Annotated parts of birds in place of learned ones.

    python -m benchmarks.explanations.oracle --data birds27

DP-Net is fitted with its defaults, for its regions and their whitening. Then each
annotated part of an image (beak, left wing, ...) is described by the region of each map
whose centre is nearest to the annotated point, or by zeros where the part is not
visible. The descriptors of all annotated parts, in one vector, decide by a linear SVM.
Nothing about these parts is learned, and they know where each part is, in test images
too: so their accuracy shows what is to be gained from parts of this size on this
network. The averages of the maps' cells inside the annotated box of the bird show what
is to be gained from knowing where the bird is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import FunctionTransformer, normalize

from benchmarks.accuracy.methods import choose_svm
from benchmarks.environment import environment
from benchmarks.explanations.image_sets import (
    ImageSet,
    annotated_boxes,
    annotated_points,
    photographs,
)
from benchmarks.records import RESULTS
from skdpnet import DPNetClassifier
from skdpnet.parts.dpnet.context import whole_images
from skdpnet.regions.grid import RegionGrid

__all__ = ["box_averages", "main", "nearest_regions"]


def nearest_regions(grid: RegionGrid, points: NDArray) -> NDArray[np.intp]:
    """Find the regions whose centres are nearest to points.

    Parameters
    ----------
    grid : RegionGrid
    points : ndarray of shape (n, K, 2)
        (x, y) in fractions of the map's width and height; NaN where there is none.

    Returns
    -------
    int ndarray of shape (n, K)
        Positions among the regions of `grid`; -1 where there is no point.
    """
    boxes = grid.boxes()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(points[:, :, None] - centres, axis=3)
    known = ~np.isnan(points).any(axis=2)
    return np.where(known, np.nan_to_num(distances).argmin(axis=2), -1)


def box_averages(feature_map: NDArray, boxes: NDArray) -> NDArray[np.float32]:
    """Average the cells of a map whose centres lie in a box.

    Parameters
    ----------
    feature_map : float ndarray of shape (n, H, W, D)
    boxes : ndarray of shape (n, 4)
        Left, top, right and bottom in fractions of the map's width and height.

    Returns
    -------
    float32 ndarray of shape (n, D)
        Zeros for a box without the centre of a cell.
    """
    n, height, width, depth = feature_map.shape
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    out = np.zeros((n, depth), np.float32)
    for i, (left, top, right, bottom) in enumerate(boxes):
        inside = np.outer((y >= top) & (y <= bottom), (x >= left) & (x <= right))
        if inside.any():
            out[i] = feature_map[i][inside].mean(axis=0, dtype=np.float32)
    return out


def _part_descriptors(
    model: DPNetClassifier, maps: Sequence[NDArray], points: NDArray
) -> NDArray[np.float32]:
    """Return the descriptors of all annotated parts of each image, side by side."""
    columns = []
    for feature_map, grid, whitening in zip(
        maps, model.grids_, model.whitenings_, strict=False
    ):
        regions = whitening(feature_map, grid)
        nearest = nearest_regions(grid, points)
        chosen = regions[np.arange(len(points))[:, None], nearest]
        chosen[nearest < 0] = 0
        columns.append(chosen.reshape(len(points), -1))
    return normalize(np.hstack(columns))


def _descriptors(
    data: ImageSet, folder: Path, memory: Path, seed: int
) -> dict[str, list[NDArray]]:
    """Return the descriptors (n, D) of training and of test images, by name."""
    model = DPNetClassifier(memory=memory, random_state=seed)
    extractor = model.feature_maps()
    model.fit(data.train, data.train_y)
    out: dict[str, list[NDArray]] = {}
    for X in (data.train, data.test):
        X_maps = extractor.set_params(strides=model.strides).transform(X)
        maps = [X_maps[name].astype(np.float32) for name in X_maps.dtype.names]
        last = extractor.set_params(strides=None).transform(X).astype(np.float32)
        with_parts = maps[:-1]
        boxes = annotated_boxes(folder, list(X), data.framing)
        inside = [normalize(box_averages(each, boxes)) for each in (*with_parts, last)]
        whole = normalize(whole_images(maps)[:, 0, 0])
        points = annotated_points(folder, list(X), data.framing)
        parts = _part_descriptors(model, with_parts, points)
        for name, descriptors in (
            ("global descriptor of the last map", normalize(last.mean(axis=(1, 2)))),
            ("global descriptor of all maps", whole),
            ("inside the bird's box: the last map", inside[-1]),
            ("inside the bird's box: all maps", np.hstack(inside)),
            ("DP-Net's parts", model.transform(X)),
            ("annotated parts", parts),
            ("annotated parts and the global descriptor", np.hstack([parts, whole])),
        ):
            out.setdefault(name, []).append(descriptors)
    return out


def measure(folder: Path, memory: Path, seed: int) -> list[dict]:
    """Measure the accuracy of each descriptor with a linear SVM.

    Parameters
    ----------
    folder : Path
        CUB-200-2011 as its owners ship it, or a part of it.
    memory : Path
        Folder that keeps the feature maps.
    seed : int

    Returns
    -------
    list of dict
        ``descriptor``, ``dimensions``, ``C``, which is chosen on training images, and
        ``accuracy`` on test images.
    """
    framing = DPNetClassifier().input_framing()
    data = photographs(folder, framing)
    rows = []
    for name, (train, test) in _descriptors(data, folder, memory, seed).items():
        svm, _ = choose_svm(FunctionTransformer(), train, data.train_y, seed)
        accuracy = svm.fit(train, data.train_y).score(test, data.test_y)
        rows.append(
            {
                "descriptor": name,
                "dimensions": train.shape[1],
                "C": svm.C,
                "accuracy": accuracy,
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations.oracle",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=Path, metavar="DIR")
    parser.add_argument("--output", type=Path, default=RESULTS / "oracle.json")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            rows = measure(args.data, args.memory or Path(temporary), args.seed)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    result = {"environment": environment(), "seed": args.seed, "rows": rows}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("| descriptor + SVM | dimensions | C | accuracy, % |")
    print("| --- | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row['descriptor']} | {row['dimensions']:,} | {row['C']:g} "
            f"| {100 * row['accuracy']:.1f} |"
        )


if __name__ == "__main__":
    main()
