"""The first contract: an estimator that sees images through a frozen backbone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skdpnet.features.feature_maps import (
    EXTRACTION_CONSTRAINTS,
    FeatureMaps,
    separate,
)
from skdpnet.features.precomputed import check_precomputed, rescale_to_float32
from skdpnet.persistence.checks import check_map_shapes
from skdpnet.persistence.saving import save
from skdpnet.utils.batching import slices_of

__all__ = ["MapEstimator"]

# Given maps are handed to a subclass for so many images at a time, so that what it
# makes of them stays small.
_IMAGES_AT_ONCE = 64


class MapEstimator(BaseEstimator):
    """Base of the estimators that see images through a frozen backbone.

    A subclass gets feature maps and need not know where they come from: from images,
    through the network and the cache, or from arrays that the user computed
    (``backbone="precomputed"``). In its `fit` it calls `_all_maps` with ``reset=True``
    or `_iter_fit_maps`, and `iter_maps` afterwards. It declares

    - `_parameter_constraints`, its own parameters' constraints beside the inherited
      ones, which `skdpnet.utils.validation.check_parameters` checks;
    - `_fitted_attributes`, the names of the attributes that `fit` sets and `save`
      keeps.

    Parameters
    ----------
    backbone, strides, image_size, memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images, or several maps as `FeatureMaps`
        gives them.

    Attributes
    ----------
    map_shapes_ : tuple of tuples of int
        Shape of each feature map of an image: (H, W, D), (R, D) or (D,).
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {**EXTRACTION_CONSTRAINTS}
    _fitted_attributes: ClassVar[tuple[str, ...]] = ("map_shapes_",)

    map_shapes_: tuple[tuple[int, ...], ...]

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int] | None = None,
        image_size: int | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 2,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.strides = strides
        self.image_size = image_size
        self.memory = memory
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.verbose = verbose

    @property
    def is_precomputed(self) -> bool:
        """Whether X holds feature maps in place of images."""
        return isinstance(self.backbone, str) and self.backbone == "precomputed"

    def feature_maps(self) -> FeatureMaps:
        """Return the extractor of feature maps that the parameters describe.

        Returns
        -------
        FeatureMaps
        """
        return FeatureMaps(
            self.backbone,
            strides=self.strides,
            image_size=self.image_size,
            device=self.device,
            precision=self.precision,
            num_workers=self.num_workers,
            memory=self.memory,
            verbose=self.verbose,
        )

    def iter_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Iterate over the feature maps of X, some images at a time.

        What is in memory does not grow with the number of images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Yields
        ------
        list of ndarray of shape (n', H, W, D)
            One array for each map; of the next n' images. Features n×D count as maps
            of one cell, regions n×R×D as maps of R rows and one column.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            If the shapes of the maps are not those that the estimator was fitted on,
            or if X is neither a container of images nor an array of features.
        skdpnet.images.ImageError
            If an image cannot be read; the message names it.
        """
        check_is_fitted(self)
        return self._iter_checked_maps(X, reset=False)

    def _iter_fit_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Iterate over the maps of X as `iter_maps` does, and set `map_shapes_`."""
        return self._iter_checked_maps(X, reset=True)

    def _all_maps(self, X, *, reset: bool) -> list[np.ndarray]:
        """Return all feature maps of X, (n, H, W, D) each.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        reset : bool
            True: set `map_shapes_`; False: check the shapes against it.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `iter_maps`.
        """
        if self.is_precomputed:
            return self._precomputed_maps(X, reset=reset)
        maps = separate(self.feature_maps().transform(X))
        self._set_or_check_shapes([one_map.shape[1:] for one_map in maps], reset)
        return maps

    def _iter_checked_maps(self, X, *, reset: bool) -> Iterator[list[np.ndarray]]:
        if self.is_precomputed:
            maps = self._precomputed_maps(X, reset=reset)
            for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE):
                yield [one_map[images] for one_map in maps]
            return
        for maps in self.feature_maps().iter_maps(X):
            self._set_or_check_shapes([one_map.shape[1:] for one_map in maps], reset)
            reset = False
            yield maps

    def _precomputed_maps(self, X, *, reset: bool) -> list[np.ndarray]:
        arrays = check_precomputed(self, X, reset=reset)
        self._set_or_check_shapes([array.shape[1:] for array in arrays], reset)
        return [
            rescale_to_float32(
                array
                if array.ndim == 4
                else array.reshape(len(array), -1, 1, array.shape[-1])
            )
            for array in arrays
        ]

    def _set_or_check_shapes(self, shapes: list[tuple[int, ...]], reset: bool) -> None:
        if reset:
            self.map_shapes_ = tuple(shapes)
        elif tuple(shapes) != self.map_shapes_:
            raise ValueError(
                f"X has feature maps of shape {_listed(shapes)}, but "
                f"{type(self).__name__} was fitted on {_listed(self.map_shapes_)}."
            )

    def _reset(self) -> None:
        """Remove what an earlier fit set, so that a failed fit leaves no mixture."""
        for name in list(vars(self)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def save(self, path: str | os.PathLike) -> None:
        """Save the fitted estimator to a file that `skdpnet.load` reads.

        The file is safetensors, with the arrays, and JSON for the rest: there is no
        pickle in it, so loading it never runs code. It appears as a whole or not at
        all, and replaces an existing file. The parameters `memory` and `device` are
        not saved, because `load` takes them; nor are the batches of the epochs in
        ``history_`` and the state of the optimiser. An attribute `notes_`, a dict of
        plain values that anyone may set (who fitted the model, on which images), is
        saved with the rest.

        Parameters
        ----------
        path : str or path
            The file; no suffix is added. ``.safetensors`` is usual.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted, or its last fit did not end.
        ValueError
            For a backbone that is a module or callable, and for parameters other than
            numbers, text, lists, dicts and arrays (callbacks, a RandomState).
        TypeError
            For a class that has the name of one of this package's estimators.
        OSError
            If the file cannot be written.

        See Also
        --------
        skdpnet.load : Load the estimator again.
        """
        save(self, path)

    def _get_fitted_state(self) -> dict[str, Any]:
        """Return what `fit` learned, as arrays and plain values by name.

        `save` writes it, and `load` gives it to `_set_fitted_state`. A subclass whose
        fitted attributes are more than arrays, numbers, text, lists, dicts,
        `RegionGrid` and `Whitening` overrides both.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self)
        lacking = [key for key in self._fitted_attributes if not hasattr(self, key)]
        if lacking:
            raise NotFittedError(
                f"this {type(self).__name__} was not fitted to the end: it lacks "
                f"{', '.join(lacking)}. Call fit again before save."
            )
        return {key: getattr(self, key) for key in self._fitted_attributes}

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        """Check that the values of a file belong together, before they are set.

        A subclass that overrides it calls it first. It may rely on all names of
        `_fitted_attributes` being there, but on no type or shape.

        Raises
        ------
        ValueError
            Says what does not fit.
        """
        check_map_shapes(state["map_shapes_"])

    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        """Set what `_get_fitted_state` returned, once it is checked."""
        for key in self._fitted_attributes:
            setattr(self, key, state[key])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "map_shapes_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.is_precomputed
        tags.input_tags.three_d_array = self.is_precomputed
        return tags


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
