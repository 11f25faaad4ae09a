"""First parts that are refined by soft assignment before they are learned."""

from __future__ import annotations

import os

import numpy as np

from skdpnet.parts.soft_assign.sinkhorn import anneal
from skdpnet.storage.large_arrays import allocate, copy_rows
from skdpnet.utils.indicators import memberships

__all__ = ["BETA_END", "BETA_START", "N_ROUNDS", "anneal_parts"]

# Sharpness of the assignment in the first and the last round, and number of rounds.
BETA_START, BETA_END, N_ROUNDS = 40.0, 100.0, 10
# Regions that respond to no part with half of a cosine or more are left out: they lie
# on the background, or beside the image.
_LEAST_LENGTH = 0.5


def anneal_parts(
    regions: np.ndarray,
    parts: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    share: float,
    folder: str | os.PathLike | None,
) -> np.ndarray:
    """Refine some parts of each class, such that each shows one region of its images.

    In each image of the class the parts are assigned softly to different regions, and
    each becomes the mean of its regions, while the assignments harden from round to
    round; see `anneal`. Clusters, in contrast, have many regions of some images and
    none of others.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        The region descriptors of n images.
    parts : float32 ndarray of shape (P, K)
        Unit rows, class by class, equally many of each.
    y : int ndarray of shape (n,) or (n, n_classes)
        Class of each image, in 0 … n_classes - 1; or an indicator matrix, by which an
        image may be of several classes.
    n_classes : int
    share : float in [0, 1]
        The share of each class's parts that is refined, rounded up.
    folder : str, path or None
        Folder that holds large arrays.

    Returns
    -------
    float32 ndarray of shape (P, K)
        Unit rows. The parts of a class without images are as they were.
    """
    betas = np.geomspace(BETA_START, BETA_END, N_ROUNDS)
    refined = parts.copy()
    per_class = len(parts) // n_classes
    n_refined = int(np.ceil(share * per_class))
    members = memberships(y, n_classes)
    for label in np.flatnonzero(members.any(axis=0)) if n_refined else ():
        rows = slice(label * per_class, label * per_class + n_refined)
        of_class = copy_rows(regions, np.flatnonzero(members[:, label]), folder)
        of_class = _longest_regions(of_class, n_refined, folder)
        refined[rows], _ = anneal(of_class, parts[rows], betas)
    return refined


def _longest_regions(
    regions: np.ndarray, least: int, folder: str | os.PathLike | None
) -> np.ndarray:
    """Keep the longest regions (n, R', K) of each image, of regions (n, R, K).

    R' is the largest number that are long in an image, and at least `least`.
    """
    n_images, n_regions, depth = regions.shape
    # The norm of NumPy would need the memory of all regions once more.
    lengths = np.sqrt(np.einsum("nrk,nrk->nr", regions, regions))
    n_long = int((lengths >= _LEAST_LENGTH).sum(axis=1).max())
    n_kept = min(max(n_long, least), n_regions)
    if n_kept == n_regions:
        return regions
    order = np.argsort(-lengths, axis=1, kind="stable")[:, :n_kept]
    out = allocate((n_images, n_kept, depth), np.float32, folder)
    for kept, image, numbers in zip(out, regions, order, strict=True):
        kept[:] = image[numbers]
    return out
