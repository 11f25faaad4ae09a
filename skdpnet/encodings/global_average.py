"""The global descriptor: the feature map averaged over the whole image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.preprocessing import normalize

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.utils.validation import check_parameters

__all__ = ["GlobalFeatures"]


class GlobalFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MapEstimator):
    """Describe images by their average-pooled, l2-normalised feature map.

    It is the descriptor without parts that part descriptors are compared with. Where
    there are several maps (by `strides`, or by a backbone that returns several), their
    l2-normalised averages are concatenated and normalised again. Empty cells, which
    ``framing="aspect"`` adds, change the length of an average only, and thus nothing.

    Parameters
    ----------
    backbone, weights, strides, image_size, framing, memory, device, precision, \
            num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D instead of images.

    Attributes
    ----------
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    VLAD : Residuals of the cells from visual words, summed over the image.
    DPNetTransformer : Descriptors with one number for each learned part.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import GlobalFeatures
    >>> maps = np.ones((3, 7, 7, 4))
    >>> GlobalFeatures(backbone="precomputed").fit_transform(maps)[0]
    array([0.5, 0.5, 0.5, 0.5])
    """

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        "_n_features_out",
    )

    def fit(self, X, y=None) -> GlobalFeatures:
        """Check the images and store the shapes of their maps.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None, **fit_params) -> np.ndarray:
        """Fit and transform, computing the maps once.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.
        y : ignored
        **fit_params : ignored

        Returns
        -------
        ndarray of shape (n, D)
            As from `transform`.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `fit`.
        """
        check_parameters(self)
        pooled = [_pool(maps) for maps in self._iter_fit_maps(X)]
        self._n_features_out = pooled[0].shape[1]
        return np.concatenate(pooled)

    def transform(self, X) -> np.ndarray:
        """Compute the global descriptors.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, D)
            Unit rows, where D is the sum of the depths of all maps; an image whose maps
            are all zero has a zero row. The dtype is float64 for float64 features and
            float32 otherwise.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or if X is unusable.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        return np.concatenate([_pool(maps) for maps in self.iter_maps(X)])

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        depth = sum(shape[-1] for shape in state["map_shapes_"])
        if (
            type(state["_n_features_out"]) is not int
            or state["_n_features_out"] != depth
        ):
            raise ValueError("_n_features_out is not the sum of the maps' depths")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _pool(maps: list[np.ndarray]) -> np.ndarray:
    """Return the descriptors of some images from their maps."""
    averages = []
    for feature_map in maps:
        dtype = np.float64 if feature_map.dtype == np.float64 else np.float32
        averages.append(normalize(feature_map.mean(axis=(1, 2), dtype=dtype)))
    return normalize(np.hstack(averages))
