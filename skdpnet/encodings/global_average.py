"""The global descriptor: the feature map averaged over the whole image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import MapEstimator

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

    def fit(self, X, y=None) -> GlobalFeatures:
        """Check the images and learn the shape of their maps.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        y : ignored

        Returns
        -------
        self
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X, y=None, **fit_params) -> np.ndarray:
        """Fit and transform, computing the maps once."""
        pooled = [_pool(maps) for maps in self._pieces(X, reset=True)]
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
        """
        check_is_fitted(self)
        return np.concatenate([_pool(maps) for maps in self._pieces(X)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _pool(maps: list[np.ndarray]) -> np.ndarray:
    pooled = []
    for one in maps:
        dtype = np.float64 if one.dtype == np.float64 else np.float32
        pooled.append(normalize(one.mean(axis=(1, 2), dtype=dtype)))
    return normalize(np.hstack(pooled))
