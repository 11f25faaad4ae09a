"""The stars of a class as a latent SVM sees them: weights, places and features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from skdpnet.parts.deformable.convex_fit import Penalty
from skdpnet.parts.deformable.latent_svm import Placements
from skdpnet.parts.deformable.star import StarMaps, Stars, displaced_responses
from skdpnet.utils.batching import slices_within

__all__ = ["StarModel", "by_extent", "star_penalty"]

# Responses are computed for some images at a time, so that they take at most this many
# bytes.
_RESPONSE_BYTES = 32 * 2**20
# In the objective, deformations count ten times as much as filters, as in the code of
# Felzenszwalb et al.
_DEFORMATION_FACTOR = 10.0
# A deformation stays above this share of what it is at first, as in that code.
_LEAST_DEFORMATION = 0.1


@dataclass(frozen=True, eq=False)
class StarModel:
    """M stars with J parts each, the components of a mixture, on the training images.

    The weights of a star are those of its root, its parts, the deformations and the
    bias, in this order. It implements `LatentModel`; places are the row and column of
    the root and of each part.

    Parameters
    ----------
    groups : list of (int ndarray, StarMaps)
        The images, as from `by_extent`.
    stars : Stars
        The sizes of the filters, and the anchors.
    """

    groups: list[tuple[np.ndarray, StarMaps]]
    stars: Stars

    @property
    def n_images(self) -> int:
        """Number n of images."""
        return sum(len(images) for images, _ in self.groups)

    def weights(self) -> np.ndarray:
        """Return the weights (M, d) of the stars, float32."""
        stars = self.stars
        arrays = stars.roots, stars.parts, stars.deformations, stars.biases[:, None]
        return torch.cat([array.flatten(1) for array in arrays], dim=1).numpy()

    def with_weights(self, weights: np.ndarray) -> Stars:
        """Return stars of other weights (M, d)."""
        stars = self.stars
        arrays = stars.roots, stars.parts, stars.deformations, stars.biases[:, None]
        sizes = [array[0].numel() for array in arrays]
        split = torch.from_numpy(np.float32(weights)).split(sizes, dim=1)
        roots, parts, deformations, biases = (
            of_kind.reshape(array.shape)
            for of_kind, array in zip(split, arrays, strict=True)
        )
        return Stars(roots, parts, stars.anchors, deformations, biases[:, 0])

    def place(self, weights: np.ndarray) -> Placements:
        """Find the best star and place of each image; see `LatentModel`."""
        stars = self.with_weights(weights)
        scores = np.empty(self.n_images, np.float32)
        components = np.empty(self.n_images, np.int64)
        places = np.empty((self.n_images, 1 + stars.n_parts, 2), np.int64)
        for images, maps in self._pieces():
            roots, parts = stars.responses(maps)
            of_stars = stars.scores(maps, roots, parts)
            best = of_stars.flatten(1).max(dim=1)
            star, row, column = torch.unravel_index(best.indices, of_stars.shape[1:])
            root = torch.stack([row, column], dim=1)
            scores[images], components[images] = best.values, star
            places[images, 0] = root
            if parts is not None:
                targets = stars.place_parts(maps, star, root)
                displaced = displaced_responses(
                    parts[torch.arange(len(star)), star],
                    stars.deformations[star],
                    targets,
                )
                at = displaced.flatten(2).argmax(dim=2)
                at_cells = torch.unravel_index(at, displaced.shape[2:])
                places[images, 1:] = torch.stack(at_cells, dim=-1)
        return Placements(scores, components, places)

    def features(self, images: np.ndarray, placements: Placements) -> np.ndarray:
        """Return the features of images where they are placed; see `LatentModel`."""
        stars = self.stars
        out = np.empty((len(images), self.weights().shape[1]), np.float32)
        rows_of = np.full(self.n_images, -1)
        rows_of[images] = np.arange(len(images))
        for members, maps in self.groups:
            asked = np.flatnonzero(rows_of[members] >= 0)
            if len(asked) == 0:
                continue
            numbers = members[asked]
            places = torch.from_numpy(placements.places[numbers])
            of_kinds = [_windows(maps.coarse, asked, places[:, :1], stars.roots)]
            if maps.fine is not None and stars.n_parts:
                components = torch.from_numpy(placements.components[numbers])
                targets = stars.place_parts(maps, components, places[:, 0])
                displacements = (places[:, 1:] - targets).numpy()
                squares = np.stack([displacements, displacements**2], axis=-1)
                of_kinds += [
                    _windows(maps.fine, asked, places[:, 1:], stars.parts),
                    -squares.reshape(len(asked), -1),
                ]
            of_kinds.append(np.ones((len(asked), 1)))
            out[rows_of[numbers]] = np.concatenate(of_kinds, axis=1)
        return out

    def _pieces(self) -> Iterator[tuple[np.ndarray, StarMaps]]:
        """Yield the numbers and maps of some images of one extent at a time."""
        n_filters = len(self.stars.roots) * max(1, self.stars.n_parts)
        for images, maps in self.groups:
            finest = maps.coarse if maps.fine is None else maps.fine
            n_bytes = 4 * n_filters * finest[0, 0].numel()
            for some in slices_within(len(images), n_bytes, _RESPONSE_BYTES):
                yield images[some], maps[some]


def by_extent(
    maps: StarMaps, root_side: int, part_side: int
) -> list[tuple[np.ndarray, StarMaps]]:
    """Group images that cover the same rows and columns, and cut their maps to them.

    Parameters
    ----------
    maps : StarMaps of n images
    root_side, part_side : int
        Sides of the filters in cells, which maps keep at least.

    Returns
    -------
    list of (int ndarray, StarMaps)
        The numbers of the images of each group, and their maps.
    """
    extents = maps.extents
    if maps.fine_extents is not None:
        extents = torch.cat([extents, maps.fine_extents], dim=1)
    kinds, kind_of = torch.unique(extents, dim=0, return_inverse=True)
    groups = []
    for number, kind in enumerate(kinds.tolist()):
        images = np.flatnonzero(kind_of.numpy() == number)
        of_kind = maps[images]
        fine = of_kind.fine
        cut = replace(
            of_kind,
            coarse=_cut(of_kind.coarse, kind[:2], root_side),
            fine=None if fine is None else _cut(fine, kind[2:], part_side),
        )
        groups.append((images, cut))
    return groups


def star_penalty(
    stars: Stars, C: float, deformation: float, smoothing: float
) -> Penalty:
    """Return the penalty of the weights of stars.

    Parameters
    ----------
    stars : Stars
        The sizes of the filters.
    C : float
    deformation : float
        The first weight of squared displacements, which bounds the learned ones.
    smoothing : float
        As in `Penalty`.

    Returns
    -------
    Penalty
        That of biases is 0, and that of deformations is ten times that of filters.
    """
    n_filters = stars.roots[0].numel() + stars.parts[0].numel()
    n_deformations = 4 * stars.n_parts
    factors = np.ones(n_filters + n_deformations + 1)
    factors[n_filters:-1], factors[-1] = _DEFORMATION_FACTOR, 0
    least = np.full(len(factors), -np.inf)
    least[n_filters + 1 : -1 : 2] = _LEAST_DEFORMATION * deformation
    return Penalty(C, factors, least, smoothing)


def _cut(maps: torch.Tensor, extent: Sequence[int], side: int) -> torch.Tensor:
    height, width = (max(length, side) for length in extent)
    return maps[:, :, :height, :width].contiguous()


def _windows(
    maps: torch.Tensor,
    images: np.ndarray,
    places: torch.Tensor,
    filters: torch.Tensor,
) -> np.ndarray:
    """Return windows of the size of filters at places (m, J, 2) of images, (m, ·)."""
    height, width = filters.shape[-2:]
    windows = maps.unfold(2, height, 1).unfold(3, width, 1)
    rows, columns = places.unbind(dim=-1)
    numbers = torch.from_numpy(images)[:, None]
    return windows[numbers, :, rows, columns].flatten(1).numpy()
