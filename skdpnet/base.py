"""What the estimators share: from the user's X to feature maps."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skdpnet.features import FeatureMaps
from skdpnet.regions import RegionGrid

__all__ = ["MapEstimator", "PartEstimator"]


class MapEstimator(BaseEstimator):
    """Base of the estimators that see pictures through a frozen backbone.

    A subclass's constructor has the parameters backbone, image_size, memory, device,
    precision, num_workers and verbose, as `FeatureMaps` documents them.
    """

    def _maps(self, X, *, reset: bool) -> np.ndarray:
        """Return the feature maps of X, (n, H, W, D).

        Given features count as maps of one column: n×D has one region an image, n×R×D
        has R.

        Raises
        ------
        ValueError
            If the maps' shape is not that of the data fitted on, or X is no image
            container (`skdpnet.images`) and no array of features.
        """
        if self._takes_features():
            X = self._check_features(X, reset=reset)
            shape = X.shape[1:]
            maps = X if X.ndim == 4 else X.reshape(len(X), -1, 1, X.shape[-1])
            maps = _within_float32(maps)
        else:
            maps = self._feature_maps().fit(X).transform(X)
            shape = maps.shape[1:]
        if reset:
            self.map_shape_ = shape
        elif shape != self.map_shape_:
            raise ValueError(
                f"X has feature maps of shape {shape}, but {type(self).__name__} was "
                f"fitted on {self.map_shape_}."
            )
        return maps

    def _forget(self) -> None:
        """Drop what an earlier fit left, so that a failed one leaves no mixture."""
        for name in list(vars(self)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def _takes_features(self) -> bool:
        return isinstance(self.backbone, str) and self.backbone == "precomputed"

    def _check_features(self, X, *, reset: bool) -> np.ndarray:
        dtypes = [np.float32, np.float64, np.float16]
        if isinstance(X, (list, tuple)):
            # Nested lists show how deep they are only as an array.
            X = check_array(X, dtype=None, allow_nd=True, ensure_2d=False)
        if len(getattr(X, "shape", (1, 1))) < 3:
            return validate_data(self, X, dtype=dtypes, reset=reset)
        X = check_array(X, dtype=dtypes, allow_nd=True, estimator=self)
        if X.ndim > 4:
            raise ValueError(
                'backbone="precomputed" takes maps n×H×W×D, regions n×R×D or features '
                f"n×D, got an array of {X.ndim} dimensions."
            )
        if 0 in X.shape:
            raise ValueError(f"X has an empty axis: its shape is {X.shape}.")
        if reset:
            self.n_features_in_ = X.shape[-1]
        return X

    def _feature_maps(self) -> FeatureMaps:
        """Build the extractor that these parameters describe."""
        return FeatureMaps(
            self.backbone,
            image_size=self.image_size,
            device=self.device,
            precision=self.precision,
            num_workers=self.num_workers,
            memory=self.memory,
            verbose=self.verbose,
        )

    def _grid(self) -> RegionGrid:
        """Lay out the regions of the maps that were fitted on."""
        if len(self.map_shape_) == 3:
            height, width, _ = self.map_shape_
            return RegionGrid.from_scales(height, width, self.region_scales)
        n_regions = 1 if len(self.map_shape_) == 1 else self.map_shape_[0]
        return RegionGrid(n_regions, 1, ((1, 1),))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self._takes_features()
        tags.input_tags.three_d_array = self._takes_features()
        return tags


class PartEstimator(TransformerMixin, MapEstimator):
    """Base of the estimators whose descriptor has a number for each part of a class.

    A subclass's `fit` sets `classes_` and `parts_`, class by class.
    """

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Name the parts: class, then the part's number within it.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object ndarray of shape (P,)
        """
        check_is_fitted(self)
        q = len(self.parts_) // len(self.classes_)
        names = [f"{label}_part{k}" for label in self.classes_ for k in range(q)]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _within_float32(maps: np.ndarray) -> np.ndarray:
    """Rescale maps whose squares would leave float32; descriptors have no scale."""
    largest = maps.max(axis=(1, 2, 3), keepdims=True).astype(np.float64)
    smallest = maps.min(axis=(1, 2, 3), keepdims=True).astype(np.float64)
    peak = np.maximum(largest, -smallest)
    peak[peak == 0] = 1
    if peak.max() < 1e15 and peak.min() > 1e-15:
        return maps
    return (maps / peak).astype(maps.dtype)
