"""The images that explanations are measured on, with the parts that are known.

All points and boxes are in fractions of the framing's canvas, which is the square that
the network sees, except for framing "aspect": (0, 0) is its upper left corner, (1, 1)
its lower right corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cub_parts import read_bird_boxes, read_part_points
from benchmarks.data.readers import read_cub, read_folders
from skdpnet.datasets import make_part_images
from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import Geometry

__all__ = [
    "FIRST_SEED",
    "MADE",
    "ImageSet",
    "annotated_boxes",
    "annotated_points",
    "made_images",
    "on_canvas",
    "photographs",
]

MADE = "made"
# No setting was chosen on images of these seeds.
FIRST_SEED = 1000


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Training images and test images.

    Parameters
    ----------
    name : str
        Name in the table.
    framing : Framing
        What the network sees of an image.
    train, test : ndarray of images, or of paths
    train_y, test_y : int ndarray
        Class of each image, from 0.
    names : list of str
        Names of the classes.
    truths : float ndarray of shape (n, K, 2) or (n, K, 4), or None
        Points or boxes of the K known parts in each of n test images; NaN where the
        network does not see a part. None: no part is known.
    targets : list of n ndarrays of shape (k, 4), or None
        Boxes of the parts that distinguish the class of each test image from others.
    objects : float ndarray of shape (n, 4), or None
        Box of the object in each test image; NaN where it is not known.
    """

    name: str
    framing: Framing
    train: np.ndarray
    train_y: NDArray[np.int64]
    test: np.ndarray
    test_y: NDArray[np.int64]
    names: list[str]
    truths: NDArray[np.float64] | None = None
    targets: Sequence[NDArray[np.float64]] | None = None
    objects: NDArray[np.float64] | None = None

    def sample(self, n: int) -> tuple[NDArray[np.intp], list[NDArray[np.uint8]]]:
        """Draw the test images that are perturbed, the same in each call.

        Parameters
        ----------
        n : int
            How many images; all, where there are fewer.

        Returns
        -------
        rows : int ndarray of shape (m,)
            Their positions in `test`.
        inputs : list of m uint8 ndarrays of shape (H, W, 3)
            What the network sees of them.
        """
        drawn = np.random.default_rng(0).permutation(len(self.test))[:n]
        rows = np.sort(drawn)
        return rows, network_inputs(self.test[rows], self.framing)

    def shares(self, X: Sequence | np.ndarray) -> NDArray[np.float64] | None:
        """Return the shares (n, 2) of the canvas' width and height that images cover.

        Parameters
        ----------
        X : sequence of n images, or of n paths

        Returns
        -------
        ndarray of shape (n, 2), or None
            None if they cover all of it.
        """
        images = as_images(X)
        sizes = [images.geometry(i).upright_size for i in range(len(images))]
        shares = np.array([self.framing.view(*size).input_share for size in sizes])
        return None if (shares == 1).all() else shares


def network_inputs(X: np.ndarray, framing: Framing) -> list[NDArray[np.uint8]]:
    """Resize what the network sees of images.

    Parameters
    ----------
    X : ndarray of images, or of paths
    framing : Framing

    Returns
    -------
    list of n uint8 ndarrays of shape (H, W, 3)
    """
    images = as_images(X)
    return [images.network_input(i, framing)[0] for i in range(len(images))]


def made_images(n_train: int, n_test: int, framing: Framing) -> ImageSet:
    """Make images with `make_part_images`, whose parts are known.

    Parameters
    ----------
    n_train, n_test : int
        Numbers of training images and of test images.
    framing : Framing
        Its image size is the side of the made images, which the network sees unscaled.

    Returns
    -------
    ImageSet
    """
    image_size = framing.image_size
    train = make_part_images(n_train, image_size=image_size, random_state=FIRST_SEED)
    test = make_part_images(n_test, image_size=image_size, random_state=FIRST_SEED + 1)
    parts = sorted({part for boxes in test.boxes for part in boxes})
    truths = np.full((n_test, len(parts), 4), np.nan)
    for image_truths, boxes in zip(truths, test.boxes, strict=True):
        for part in boxes:
            image_truths[parts.index(part)] = boxes[part]
    return ImageSet(
        name=f"{MADE} images",
        framing=framing,
        train=train.images,
        train_y=train.target,
        test=test.images,
        test_y=test.target,
        names=test.target_names.tolist(),
        truths=truths / framing.canvas_side,
        targets=[boxes / framing.canvas_side for boxes in test.discriminative_boxes],
    )


def photographs(folder: Path, framing: Framing) -> ImageSet:
    """Read class folders in ``train`` and ``test``, or CUB-200-2011 with its parts.

    Parameters
    ----------
    folder : Path
        Read as CUB-200-2011 if it has a file ``images.txt``.
    framing : Framing

    Returns
    -------
    ImageSet
        Parts and the objects' boxes are known for CUB-200-2011 only. The parts are
        points, not boxes, so there are no targets for the pointing game.

    Raises
    ------
    OSError, ValueError
        As the readers raise them.
    """
    truths = objects = None
    if (folder / "images.txt").is_file():
        split = read_cub(folder)
        truths = annotated_points(folder, split.test_paths, framing)
        objects = annotated_boxes(folder, split.test_paths, framing)
    else:
        split = read_folders(folder, "train", "test")
    return ImageSet(
        name=folder.resolve().name,
        framing=framing,
        train=np.array(split.train_paths),
        train_y=split.train_y,
        test=np.array(split.test_paths),
        test_y=split.test_y,
        names=split.names,
        truths=truths,
        objects=objects,
    )


def annotated_points(
    folder: Path, paths: Sequence[str], framing: Framing
) -> NDArray[np.float64]:
    """Read the annotated points (n, K, 2) of the K parts in images of CUB-200-2011.

    Parameters
    ----------
    folder : Path
    paths : sequence of n str
        Paths of images, as `read_cub` returns them.
    framing : Framing

    Returns
    -------
    ndarray of shape (n, K, 2)
        NaN where a part is not visible, or lies outside of what the network sees.
    """
    points, _ = read_part_points(folder, paths)
    points = _all_on_canvas(points, paths, framing)
    points[((points < 0) | (points > 1)).any(axis=2)] = np.nan
    return points


def annotated_boxes(
    folder: Path, paths: Sequence[str], framing: Framing
) -> NDArray[np.float64]:
    """Read the boxes (n, 4) of the birds in images of CUB-200-2011.

    Parameters
    ----------
    folder : Path
    paths : sequence of n str
        Paths of images, as `read_cub` returns them.
    framing : Framing

    Returns
    -------
    ndarray of shape (n, 4)
    """
    corners = read_bird_boxes(folder, paths).reshape(-1, 2, 2)
    return _all_on_canvas(corners, paths, framing).reshape(-1, 4)


def _all_on_canvas(
    points: NDArray[np.float64], paths: Sequence[str], framing: Framing
) -> NDArray[np.float64]:
    """Convert points (n, K, 2) of n images from pixels to fractions of the canvas."""
    images = as_images(paths)
    converted = np.empty_like(points)
    for i, image_points in enumerate(points):
        converted[i] = on_canvas(image_points, images.geometry(i), framing)
    return converted


def on_canvas(
    points: NDArray[np.float64], geometry: Geometry, framing: Framing
) -> NDArray[np.float64]:
    """Convert points from pixels of an upright image to fractions of the canvas.

    Parameters
    ----------
    points : ndarray of shape (K, 2)
        (x, y) in pixels.
    geometry : Geometry
    framing : Framing

    Returns
    -------
    ndarray of shape (K, 2)
    """
    left, top, right, bottom = geometry.to_upright([0, 0, 1, 1], framing)
    return (points - [left, top]) / [right - left, bottom - top]
