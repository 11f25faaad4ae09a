"""The sizes that speed is measured at, and random maps and parts of these sizes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = ["SIZES", "THREE_SCALES", "Inputs", "Size", "make_inputs", "to_device"]

THREE_SCALES = (0.15, 0.3, 0.45)


@dataclass(frozen=True)
class Size:
    """The numbers that determine the cost of a stage.

    Parameters
    ----------
    images, height, width, depth : int
        Shape (N, H, W, D) of the maps.
    components : int or None
        Number K of dimensions after whitening; None: no whitening, K is D.
    parts, classes : int
        Numbers P of parts and C of classes.
    scales : tuple of float
        Scales of the regions, as in `RegionGrid.from_scales`.
    """

    images: int
    height: int
    width: int
    depth: int
    components: int | None
    parts: int
    classes: int
    scales: tuple[float, ...]

    @classmethod
    def from_key(cls, key: dict) -> Size:
        """Return the size in a measurement's key, which may have other entries too."""
        fields = {field.name: key[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**fields, "scales": tuple(fields["scales"])})

    def replace(self, **changes) -> Size:
        """Return a copy with some numbers changed."""
        return dataclasses.replace(self, **changes)

    @cached_property
    def grid(self) -> RegionGrid:
        """The grid of regions."""
        return RegionGrid.from_scales(self.height, self.width, self.scales)

    @property
    def cells(self) -> int:
        """Number of cells of a map, H·W."""
        return self.height * self.width

    @property
    def regions(self) -> int:
        """Number R of regions of a map."""
        return self.grid.n_regions

    @property
    def channels(self) -> int:
        """Number K of dimensions of a part."""
        return self.depth if self.components is None else self.components


# The number of images is the estimators' default batch size. The flowers have the finer
# of the default maps, of square images, and the default number of parts on it; the
# others have the map of a ResNet-50 for 448 pixels, and regions of three sizes.
SIZES = {
    "flowers": Size(64, 18, 18, 112, 112, 102, 17, (0.3,)),
    "birds": Size(64, 14, 14, 2048, 256, 2000, 200, THREE_SCALES),
    "imagenet": Size(64, 14, 14, 2048, 256, 10_000, 1000, THREE_SCALES),
}


class Inputs(NamedTuple):
    """The inputs of the stages on maps.

    Attributes
    ----------
    maps : float32 ndarray of shape (N, H, W, D)
        Not negative, like maps after a ReLU.
    whitening : Whitening
    regions : float32 ndarray of shape (N, R, K)
        Region descriptors, unit vectors.
    parts : float32 ndarray of shape (P, K)
        Unit rows.
    labels : int64 ndarray of shape (N,)
    """

    maps: np.ndarray
    whitening: Whitening
    regions: np.ndarray
    parts: np.ndarray
    labels: np.ndarray


def make_inputs(size: Size, seed: int = 0) -> Inputs:
    """Draw maps, a whitening, parts and labels at random.

    The time of a stage does not depend on the values.

    Parameters
    ----------
    size : Size
    seed : int

    Returns
    -------
    Inputs
    """
    random = np.random.default_rng(seed)
    shape = (size.images, size.height, size.width, size.depth)
    maps = random.standard_normal(shape, dtype=np.float32)
    np.maximum(maps, 0, out=maps)
    if size.components is None:
        mean = np.zeros(size.depth, np.float32)
        projection = np.eye(size.depth, dtype=np.float32)
    else:
        means = maps[:8].mean(axis=(1, 2))
        mean = (means / np.linalg.norm(means, axis=1, keepdims=True)).mean(axis=0)
        projection = random.standard_normal(
            (size.depth, size.components), dtype=np.float32
        )
    whitening = Whitening(mean, projection)
    parts = random.standard_normal((size.parts, size.channels), dtype=np.float32)
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    return Inputs(
        maps,
        whitening,
        whitening(maps, size.grid),
        parts,
        random.integers(size.classes, size=size.images),
    )


def to_device(arrays, device: torch.device) -> list[torch.Tensor]:
    """Copy arrays to a device as tensors, in the same order."""
    return [torch.from_numpy(np.asarray(array)).to(device) for array in arrays]
