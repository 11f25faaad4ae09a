"""Images, and maps, whose classes differ in the arrangement of their parts alone."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Bunch

from benchmarks.explanations.image_sets import FIRST_SEED, ImageSet
from skdpnet.datasets import make_arrangement_images
from skdpnet.images.framing import Framing

__all__ = ["FRAMING", "arrangement_images", "planted_parts"]

_N_IMAGES = 1000
# The network sees made images as they are.
FRAMING = Framing(144, "crop")
# Cells of a side of maps of planted parts, channels, and the standard deviation of the
# noise, of which parts are 2 above.
_SIDE, _DEPTH, _NOISE, _PART = 9, 12, 0.3, 2.0


def arrangement_images(seed: int, n: int = _N_IMAGES) -> ImageSet:
    """Make images, others for each seed.

    Parameters
    ----------
    seed : int
    n : int, default=1000
        Number of training images, and of test images.

    Returns
    -------
    ImageSet
    """
    train, test = (_made(seed, n, part) for part in (0, 1))
    return _image_set(train.images, train.target, test.images, test.target)


def planted_parts(seed: int, n: int = _N_IMAGES) -> ImageSet:
    """Make maps on which each part has a channel of its own, others for each seed.

    A cell of a network's map sees its neighbours too, so that it knows something of the
    arrangement. These cells do not.

    Parameters
    ----------
    seed : int
    n : int, default=1000
        Number of training images, and of test images.

    Returns
    -------
    ImageSet
        Of maps n×9×9×12 in place of images. A part is a block of 3×3 cells about the
        place that it has in a made image. All channels have noise besides.
    """
    train, test = (_made(seed, n, part) for part in (0, 1))
    maps = [
        _planted(made, np.random.default_rng((seed, part)))
        for part, made in enumerate((train, test))
    ]
    return _image_set(maps[0], train.target, maps[1], test.target)


def _made(seed: int, n: int, part: int) -> Bunch:
    """Make the training images (part 0), or the test images (part 1)."""
    return make_arrangement_images(
        n, image_size=FRAMING.image_size, random_state=FIRST_SEED + 2 * seed + part
    )


def _planted(made: Bunch, random: np.random.Generator) -> np.ndarray:
    shape = len(made.target), _SIDE, _SIDE, _DEPTH
    maps = np.abs(random.normal(scale=_NOISE, size=shape)).astype(np.float32)
    for image, boxes in zip(maps, made.boxes, strict=True):
        for channel, part in enumerate(sorted(boxes)):
            left, top, right, bottom = np.array(boxes[part])
            centre = np.array([top + bottom, left + right]) / 2
            row, column = (centre * _SIDE / FRAMING.image_size).astype(int)
            image[row - 1 : row + 2, column - 1 : column + 2, channel] += _PART
    return maps


def _image_set(
    train: np.ndarray, train_y: np.ndarray, test: np.ndarray, test_y: np.ndarray
) -> ImageSet:
    names = [str(label) for label in np.unique(test_y)]
    return ImageSet("made", FRAMING, train, train_y, test, test_y, names)
