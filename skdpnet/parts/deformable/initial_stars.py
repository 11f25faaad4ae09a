"""The first stars of a class: clusters of its images, parts where roots are strong."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch.nn.functional import interpolate

from skdpnet.parts.deformable.latent_svm import Placements
from skdpnet.parts.deformable.star import StarMaps, Stars
from skdpnet.parts.deformable.star_model import StarModel

__all__ = ["first_roots", "place_anchors", "with_first_parts"]

# Lengths of the first filters. They are small, so that the first fit of weights is
# close to one that starts at zero, but places images where they are like their cluster.
_FIRST_LENGTH = 0.1
_N_STARTS = 3


def first_roots(
    groups: list[tuple[np.ndarray, StarMaps]],
    of_class: np.ndarray,
    n_mixtures: int,
    side: int,
    random: np.random.RandomState,
) -> tuple[StarModel, Placements]:
    """Cluster the images of a class, and take the mean of each cluster as its root.

    Parameters
    ----------
    groups : list of (int ndarray, StarMaps)
        As in `StarModel`, without fine maps.
    of_class : int ndarray
        Numbers of the images of the class.
    n_mixtures : int
        Number M of stars. Where there are fewer distinct images, others are zero.
    side : int
        Side k of the roots in cells.
    random : RandomState

    Returns
    -------
    model : StarModel
        Stars without parts.
    placements : Placements
        Roots in the middle of images, for the clusters of images of the class.
    """
    depth = groups[0][1].coarse.shape[1]
    model = StarModel(groups, _zero_roots(n_mixtures, depth, side))
    n_images = model.n_images
    middles = np.zeros((n_images, 1, 2), np.int64)
    for images, maps in groups:
        middles[images, 0] = (maps.extents.numpy() - side).clip(min=0) // 2
    clusters = np.zeros(n_images, np.int64)
    placements = Placements(np.zeros(n_images, np.float32), clusters, middles)
    features = model.features(of_class, placements)[:, :-1]
    n_clusters = min(n_mixtures, len(np.unique(features, axis=0)))
    means = KMeans(n_clusters, n_init=_N_STARTS, random_state=random).fit(features)
    clusters[of_class] = means.labels_
    weights = model.weights()
    weights[:n_clusters, :-1] = _of_length(means.cluster_centers_)
    return StarModel(groups, model.with_weights(weights)), placements


def with_first_parts(
    stars: Stars,
    groups: list[tuple[np.ndarray, StarMaps]],
    of_class: np.ndarray,
    placements: Placements,
    n_parts: int,
    side: int,
    deformation: float,
) -> StarModel:
    """Give stars their first parts.

    Parts are anchored where the root is strong. A part's filter is the mean of the
    regions at its anchor in the class's images of the component, which in the whitened
    space is a linear discriminant detector.

    Parameters
    ----------
    stars : Stars
        M stars without parts.
    groups : list of (int ndarray, StarMaps)
        As in `StarModel`, with fine maps.
    of_class : int ndarray
        Numbers of the images of the class.
    placements : Placements
        Of all images for the stars.
    n_parts : int
        Number J of parts of each star.
    side : int
        Side s of the parts in cells.
    deformation : float
        First weight of squared displacements.

    Returns
    -------
    StarModel
    """
    first = groups[0][1]
    assert first.fine is not None
    anchors = torch.stack(
        [place_anchors(root, first.ratios, n_parts, side) for root in stars.roots]
    )
    n_stars = len(stars.roots)
    shape = n_stars, n_parts, first.fine.shape[1], side, side
    deformations = torch.tensor([0, deformation, 0, deformation], dtype=torch.float32)
    with_parts = Stars(
        stars.roots,
        torch.zeros(shape, dtype=torch.float32),
        anchors,
        deformations.expand(n_stars, n_parts, 4).contiguous(),
        stars.biases,
    )
    model = StarModel(groups, with_parts)
    places = np.empty((model.n_images, 1 + n_parts, 2), np.int64)
    places[:, :1] = placements.places
    for images, maps in groups:
        at_anchor = with_parts.place_parts(
            maps,
            torch.from_numpy(placements.components[images]),
            torch.from_numpy(placements.places[images, 0]),
        )
        assert maps.fine is not None
        last = torch.tensor(maps.fine.shape[2:]) - side
        places[images, 1:] = torch.minimum(at_anchor, last).clamp(min=0)
    placed = placements._replace(places=places)
    start = stars.roots[0].numel()
    weights = model.weights()
    for number, of_star in enumerate(weights):
        members = of_class[placements.components[of_class] == number]
        if len(members):
            features = model.features(members, placed)
            parts = features[:, start : start + with_parts.parts[0].numel()]
            means = parts.mean(axis=0).reshape(n_parts, -1)
            of_star[start : start + parts.shape[1]] = _of_length(means).ravel()
    return StarModel(groups, model.with_weights(weights))


def place_anchors(
    root: torch.Tensor, ratios: tuple[float, float], n_parts: int, side: int
) -> torch.Tensor:
    """Choose windows that cover the energy of a root, one after the other.

    The energy of a cell is the squared length of its weights. That of cells which a
    window covers counts for no other window.

    Parameters
    ----------
    root : tensor of shape (K, k, k)
    ratios : (float, float)
        Rows and columns of the fine map for one of the coarse map.
    n_parts : int
    side : int
        Side s of the windows in cells of the fine map.

    Returns
    -------
    int64 tensor of shape (n_parts, 2)
        Row and column of the upper left corner of each window, from that of the root.
    """
    size = [max(side, round(root.shape[1] * ratio)) for ratio in ratios]
    energies = root.square().sum(dim=0)[None, None]
    energy = interpolate(energies, size, mode="nearest-exact")[0, 0]
    anchors = []
    for _ in range(n_parts):
        sums = energy.unfold(0, side, 1).unfold(1, side, 1).sum(dim=(2, 3))
        row, column = divmod(int(sums.argmax()), sums.shape[1])
        energy[row : row + side, column : column + side] = 0
        anchors.append([row, column])
    return torch.tensor(anchors)


def _zero_roots(n_stars: int, depth: int, side: int) -> Stars:
    return Stars(
        torch.zeros(n_stars, depth, side, side, dtype=torch.float32),
        torch.zeros(n_stars, 0, 1, 1, 1, dtype=torch.float32),
        torch.zeros(n_stars, 0, 2, dtype=torch.int64),
        torch.zeros(n_stars, 0, 4, dtype=torch.float32),
        torch.zeros(n_stars, dtype=torch.float32),
    )


def _of_length(rows: np.ndarray) -> np.ndarray:
    """Return rows of the first filters' length; those of zeros stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return _FIRST_LENGTH * rows / np.where(lengths > 0, lengths, 1)
