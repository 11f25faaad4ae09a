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

    The baseline that part descriptors are measured against. Of several maps (`strides`,
    or a backbone that gives several), the l2-normalised averages stand side by side.

    Parameters
    ----------
    backbone, strides, image_size, memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D instead of images.

    Attributes
    ----------
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

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
        """Check the images and learn the shape of their maps.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For unusable parameters or data; the message names what and why.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None, **fit_params) -> np.ndarray:
        """Fit and transform, computing the maps once.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        y : ignored
        **fit_params : ignored

        Returns
        -------
        ndarray of shape (n, D), D summed over the maps
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

        Returns
        -------
        ndarray of shape (n, D), D summed over the maps
            Unit rows; a map that is zero everywhere gives a zero row. float64 for
            float64 features, float32 otherwise.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or X is unusable.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        return np.concatenate([_pool(maps) for maps in self.iter_maps(X)])

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        if state["_n_features_out"] != sum(shape[-1] for shape in state["map_shapes_"]):
            raise ValueError("_n_features_out is not the width of all maps")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _pool(maps: list[np.ndarray]) -> np.ndarray:
    pooled = []
    for one_map in maps:
        dtype = np.float64 if one_map.dtype == np.float64 else np.float32
        pooled.append(normalize(one_map.mean(axis=(1, 2), dtype=dtype)))
    return normalize(np.hstack(pooled))
