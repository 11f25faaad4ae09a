"""The class and the feature map of each part, where each class has its share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["classes_and_maps", "share_parts", "stack_parts"]


def share_parts(
    n_parts_per_class: int, n_maps: int, name: str = "n_parts_per_class"
) -> list[int]:
    """Share the parts of a class out among the feature maps.

    Parameters
    ----------
    n_parts_per_class : int
    n_maps : int
    name : str, default="n_parts_per_class"
        Name of the parameter, for the message.

    Returns
    -------
    list of int
        Parts of each class on each map; the last, coarsest map has the rest.

    Raises
    ------
    ValueError
        If there are fewer parts than maps.
    """
    if n_parts_per_class < n_maps:
        raise ValueError(
            f"{name}={n_parts_per_class} leaves some of the {n_maps} feature maps "
            "without parts: raise it, or name fewer strides."
        )
    shares = [n_parts_per_class // n_maps] * n_maps
    shares[-1] += n_parts_per_class % n_maps
    return shares


def classes_and_maps(
    shares: Sequence[int], n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return class and map of each part: map by map, and on each class by class.

    Parameters
    ----------
    shares : sequence of int
        Parts of each class on each map, as from `share_parts`.
    n_classes : int

    Returns
    -------
    part_classes, part_maps : int ndarrays of shape (P,)
        As `PartEstimator` has them.
    """
    classes = [np.repeat(np.arange(n_classes), share) for share in shares]
    maps = np.repeat(np.arange(len(shares)), [len(on_map) for on_map in classes])
    return np.concatenate(classes), maps


def stack_parts(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put the parts of several maps into one array.

    Parameters
    ----------
    parts : sequence of ndarray of shape (P', K')
        The parts of each map, in its whitened space of K' dimensions.

    Returns
    -------
    ndarray of shape (P, K)
        K is the largest K'; zeros fill the rows of parts in smaller spaces.
    """
    depth = max(of_map.shape[1] for of_map in parts)
    return np.concatenate(
        [np.pad(of_map, ((0, 0), (0, depth - of_map.shape[1]))) for of_map in parts]
    )
