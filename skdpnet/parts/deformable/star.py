"""Star models: a root and parts that may be displaced, and their best placements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import conv2d

from skdpnet.parts.deformable.distance_transform import (
    displacement_costs,
    distance_transform,
)

__all__ = ["StarMaps", "Stars", "displaced_responses", "filter_responses"]


@dataclass(frozen=True, eq=False)
class StarMaps:
    """The maps of some images on which stars are placed.

    Parameters
    ----------
    coarse : float32 tensor of shape (n, K, H, W)
        The map of the roots.
    fine : float32 tensor of shape (n, K', H', W'), or None
        The map of the parts; None: stars have no parts.
    extents : int tensor of shape (n, 2)
        Rows and columns of the coarse map that each image covers.
    fine_extents : int tensor of shape (n, 2), or None
        The same of the fine map.
    ratios : (float, float), default=(1.0, 1.0)
        Rows and columns of the fine map for one of the coarse map.
    """

    coarse: torch.Tensor
    fine: torch.Tensor | None
    extents: torch.Tensor
    fine_extents: torch.Tensor | None
    ratios: tuple[float, float] = (1.0, 1.0)

    def __getitem__(self, images: slice | np.ndarray) -> StarMaps:
        fine, fine_extents = self.fine, self.fine_extents
        return StarMaps(
            self.coarse[images],
            None if fine is None else fine[images],
            self.extents[images],
            None if fine_extents is None else fine_extents[images],
            self.ratios,
        )

    def without_parts(self) -> StarMaps:
        """Return the coarse maps alone."""
        return StarMaps(self.coarse, None, self.extents, None)

    def origins(self, places: torch.Tensor, axis: int) -> torch.Tensor:
        """Return the rows (axis 0) or columns (1) of the fine map at coarse ones."""
        return (places.float() * self.ratios[axis]).round()


@dataclass(frozen=True, eq=False)
class Stars:
    """S star models with J parts each.

    Parameters
    ----------
    roots : float32 tensor of shape (S, K, k, k)
        The filters of the roots.
    parts : float32 tensor of shape (S, J, K', s, s)
        The filters of the parts.
    anchors : int64 tensor of shape (S, J, 2)
        Row and column of each part where it is not displaced, from the root's upper
        left corner, in cells of the fine map.
    deformations : float32 tensor of shape (S, J, 4)
        The costs of displacements, as in `displacement_costs`.
    biases : float32 tensor of shape (S,)
    """

    roots: torch.Tensor
    parts: torch.Tensor
    anchors: torch.Tensor
    deformations: torch.Tensor
    biases: torch.Tensor

    @property
    def n_parts(self) -> int:
        """J, the number of parts of each star."""
        return self.parts.shape[1]

    def responses(self, maps: StarMaps) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute the responses of all filters at all places.

        Parameters
        ----------
        maps : StarMaps of n images

        Returns
        -------
        roots : tensor of shape (n, S, R, Q)
        parts : tensor of shape (n, S, J, R', Q'), or None
            None: stars have no parts. −∞ where a filter does not fit into the image.
        """
        roots = filter_responses(maps.coarse, self.roots, maps.extents)
        if self.n_parts == 0 or maps.fine is None or maps.fine_extents is None:
            return roots, None
        filters = self.parts.flatten(0, 1)
        parts = filter_responses(maps.fine, filters, maps.fine_extents)
        return roots, parts.unflatten(1, self.parts.shape[:2])

    def scores(
        self, maps: StarMaps, roots: torch.Tensor, parts: torch.Tensor | None
    ) -> torch.Tensor:
        """Score each star at each place of its root, with its parts at their best.

        Parameters
        ----------
        maps : StarMaps of n images
        roots, parts : tensors
            As from `responses`.

        Returns
        -------
        tensor of shape (n, S, R, Q)
            The responses of the root and of the displaced parts, less the costs of the
            displacements, plus the bias; −∞ where the root does not fit.
        """
        scores = roots + self.biases[:, None, None]
        if parts is None:
            return scores
        rows, columns = (
            maps.origins(torch.arange(roots.shape[2 + axis]), axis)
            + self.anchors[..., axis].reshape(-1, 1)
            for axis in (0, 1)
        )
        best = distance_transform(
            parts.flatten(1, 2), self.deformations.flatten(0, 1), rows, columns
        )
        return scores + best.unflatten(1, self.parts.shape[:2]).sum(dim=2)

    def place_parts(
        self, maps: StarMaps, stars: torch.Tensor, roots: torch.Tensor
    ) -> torch.Tensor:
        """Return where parts are that are not displaced.

        Parameters
        ----------
        maps : StarMaps
        stars : int tensor of shape (m,)
            Numbers of stars.
        roots : int tensor of shape (m, 2)
            Row and column of the root of each.

        Returns
        -------
        tensor of shape (m, J, 2)
            Row and column of each part on the fine map, which may be outside of it.
        """
        origins = [maps.origins(roots[:, axis], axis) for axis in (0, 1)]
        return torch.stack(origins, dim=-1)[:, None] + self.anchors[stars]


def filter_responses(
    maps: torch.Tensor, filters: torch.Tensor, extents: torch.Tensor
) -> torch.Tensor:
    """Correlate maps with filters at all places.

    Parameters
    ----------
    maps : tensor of shape (n, K, H, W)
    filters : tensor of shape (F, K, h, w)
    extents : int tensor of shape (n, 2)
        Rows and columns that each image covers.

    Returns
    -------
    tensor of shape (n, F, H - h + 1, W - w + 1)
        −∞ where a filter does not fit into the image, except at the first row or column
        of an image that is smaller than the filter.
    """
    responses = conv2d(maps, filters)
    outside = []
    for axis in (0, 1):
        last = (extents[:, axis] - filters.shape[2 + axis]).clamp(min=0)
        outside.append(torch.arange(responses.shape[2 + axis]) > last[:, None])
    beside = outside[0][:, :, None] | outside[1][:, None, :]
    return responses.masked_fill(beside[:, None], -torch.inf)


def displaced_responses(
    responses: torch.Tensor, deformations: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Subtract the costs of displacements from the responses of parts.

    Parameters
    ----------
    responses : tensor of shape (..., R, Q)
        The responses at all places.
    deformations : tensor of shape (..., 4)
        As in `displacement_costs`.
    targets : tensor of shape (..., 2)
        The row and the column where each part is not displaced.

    Returns
    -------
    tensor of shape (..., R, Q)
        Its maximum is the value of the distance transform at the target.
    """
    down, across = (
        displacement_costs(
            torch.arange(responses.shape[axis - 2]) - targets[..., axis, None],
            deformations[..., None, 2 * axis : 2 * axis + 2],
        )
        for axis in (0, 1)
    )
    return responses - down[..., :, None] - across[..., None, :]
