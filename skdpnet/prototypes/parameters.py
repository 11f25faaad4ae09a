"""What the documentation of all prototype classifiers has in common."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["with_shared_parameters"]

T = TypeVar("T", bound=type)

_PARAMETERS = {
    "maps": """backbone : str, Module or callable, default="efficientnet_lite0"
        Frozen network, or ``"precomputed"`` for maps n×H×W×D, regions n×R×D or
        features n×D in place of images; see `FeatureMaps`.
    weights : str or path, default=None
        A file with the weights of a named network; see `FeatureMaps`.
    strides : sequence of int, "last" or "average", or None, \
            default=(16, 32, "average")
        The strides of the backbone's maps; see `FeatureMaps`. Those of several cells
        have prototypes. The average has none: it is computed so that the default
        shares the maps of DP-Net in `memory`.
    image_size, framing
        As in `FeatureMaps`.
    region_scales : sequence of float in (0, 1], default=(0.3,)
        Sides of the square windows that are the regions, as shares of the image's
        shorter side on the feature map. In the paper a region is a cell of the map.
    n_components : int or None, default=256
        Number of dimensions that region descriptors have after PCA whitening. None:
        they are not whitened.""",
    "add_on": """add_on_size : int or None, default=64
        Number of dimensions L of the linear layer that is learned together with the
        prototypes, behind the whitening. It starts as the first L dimensions; after
        training it is part of `whitenings_`. None: there is no such layer.""",
    "training": """class_weight : dict or "balanced", default=None
        Weights of the classes, by which sample weights are multiplied.
    memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``verbose=1`` also shows the epochs.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.""",
    "attributes": """prototypes_ : float32 ndarray of shape (P, K)
        Prototypes of unit length in the space of whitened region descriptors, sorted
        by map. Zeros fill the rows of a map whose space has fewer dimensions than
        another's.
    prototype_sources_ : dict of str to ndarray of shape (P,)
        Where each prototype comes from, as columns of a table: "image", the number of
        the training image in X; "region", the number of the region in the grid of its
        map; "left", "top", "right" and "bottom", its box in pixels of the stored image
        (shares of the map's sides for precomputed maps). Of a prototype without a
        source all are −1.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class of each prototype, as an index into `classes_`, or −1 if classes
        share it; and the number of its feature map.
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    history_ : list of dict
        The mean of each term of the loss in each epoch.
    n_iter_ : int
        Number of epochs.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K, with
        the learned layer.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.""",
}


def with_shared_parameters(cls: T) -> T:
    """Fill the names in braces in a class's docstring, ``{maps}`` and others.

    Parameters
    ----------
    cls : type

    Returns
    -------
    type
        The class.
    """
    few = _PARAMETERS["maps"].replace("default=256", "default=64")
    for name, text in {**_PARAMETERS, "maps_of_64": few}.items():
        # Python without docstrings (-OO) has none to fill.
        cls.__doc__ = cls.__doc__ and cls.__doc__.replace(f"{{{name}}}", text)
    return cls
