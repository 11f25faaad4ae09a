"""What the estimators share: from the user's X to feature maps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from skdpnet.features.feature_maps import EXTRACTION_CONSTRAINTS, FeatureMaps, separate
from skdpnet.regions import RegionGrid
from skdpnet.utils.validation import Number, SequenceOf

__all__ = ["MapEstimator", "PartEstimator", "cut", "places_of", "stack_parts"]

# Images whose maps are worked on together, and bytes of their responses to parts.
_IMAGES_AT_ONCE = 64
_RESPONSE_BYTES = 128 * 2**20
# Binary exponents of the largest number in an image's maps that need no rescaling:
# about 1e-4 to 1e6, and all large ones of float16, which would lose small numbers.
_LEAST_EXPONENT, _LARGEST_EXPONENT = -13, 20


class MapEstimator(BaseEstimator):
    """Base of the estimators that see images through a frozen backbone.

    A subclass's constructor has the parameters backbone, strides, image_size, memory,
    device, precision, num_workers and verbose, as `FeatureMaps` documents them.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {**EXTRACTION_CONSTRAINTS}

    def save(self, path: str | os.PathLike) -> None:
        """Save the fitted estimator to a file that `skdpnet.load` reads.

        One safetensors file with the arrays, and the rest as JSON: no pickle, so
        loading one never runs code. It appears at once or not at all, and takes the
        place of an existing one. Not saved are the parameters `memory` and `device`,
        which `load` takes, what the batches of the epochs in ``history_`` tell, and
        the state of the optimiser. An attribute `notes_`, a dict of plain values that
        anyone may set (who fitted it, on which images), is saved with the rest.

        Parameters
        ----------
        path : str or path
            As it is; no suffix is added. ``.safetensors`` is usual.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            For a backbone that is a module or callable, and for parameters that are
            no numbers, text, lists, dicts or arrays (callbacks, a RandomState).
        TypeError
            For a subclass from elsewhere, which `load` would not know.
        OSError
            If the file cannot be written.
        """
        # Imported here because saving knows all estimators, and each knows this file.
        from skdpnet.persistence.saving import save

        save(self, path)

    def _maps(self, X, *, reset: bool) -> list[np.ndarray]:
        """Return the feature maps of X, (n, H, W, D) each.

        Given features count as maps of one column: n×D has one region an image, n×R×D
        has R.

        Raises
        ------
        ValueError
            If the maps' shapes are not those of the data fitted on, or X is no image
            container (`skdpnet.images`) and no array of features.
        """
        if self._takes_features():
            given = self._check_features(X, reset=reset)
            shapes = tuple(one.shape[1:] for one in given)
            maps = [
                one if one.ndim == 4 else one.reshape(len(one), -1, 1, one.shape[-1])
                for one in given
            ]
            maps = [_within_float32(one) for one in maps]
        else:
            maps = separate(self._feature_maps().transform(X))
            shapes = tuple(one.shape[1:] for one in maps)
        if reset:
            self.map_shapes_ = shapes
        else:
            self._check_shapes(shapes)
        return maps

    def _pieces(self, X, *, reset: bool = False) -> Iterator[list[np.ndarray]]:
        """Yield the maps of successive images of X, as they are computed or read.

        Raises
        ------
        ValueError
            As `_maps`.
        """
        if self._takes_features():
            yield from cut(self._maps(X, reset=reset))
            return
        for maps in self._feature_maps().iter_maps(X):
            shapes = tuple(one.shape[1:] for one in maps)
            if reset:
                self.map_shapes_, reset = shapes, False
            self._check_shapes(shapes)
            yield maps

    def _check_shapes(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        if shapes != self.map_shapes_:
            raise ValueError(
                f"X has feature maps of shape {_listed(shapes)}, but "
                f"{type(self).__name__} was fitted on {_listed(self.map_shapes_)}."
            )

    def _forget(self) -> None:
        """Drop what an earlier fit left, so that a failed one leaves no mixture."""
        for name in list(vars(self)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def _takes_features(self) -> bool:
        return isinstance(self.backbone, str) and self.backbone == "precomputed"

    def _check_features(self, X, *, reset: bool) -> list[np.ndarray]:
        dtypes = [np.float32, np.float64, np.float16]
        names = getattr(getattr(X, "dtype", None), "names", None)
        if names is not None:
            return [self._check_field(X, name, dtypes) for name in names]
        if isinstance(X, (list, tuple)):
            # Nested lists show how deep they are only as an array.
            X = check_array(X, dtype=None, allow_nd=True, ensure_2d=False)
        if len(getattr(X, "shape", (1, 1))) < 3:
            X = validate_data(
                self, X, dtype=dtypes, reset=reset, ensure_all_finite=False
            )
            return [self._finite(X, "X")]
        X = check_array(
            X, dtype=dtypes, allow_nd=True, estimator=self, ensure_all_finite=False
        )
        if X.ndim > 4:
            raise ValueError(
                'backbone="precomputed" takes maps n×H×W×D, regions n×R×D or features '
                f"n×D, got an array of {X.ndim} dimensions."
            )
        if 0 in X.shape:
            raise ValueError(f"X has an empty axis: its shape is {X.shape}.")
        if reset:
            self.n_features_in_ = X.shape[-1]
        return [self._finite(X, "")]

    def _check_field(self, X: np.ndarray, name: str, dtypes: list) -> np.ndarray:
        """Check one map of a structured array, as `FeatureMaps` gives it."""
        maps = X[name]
        if maps.ndim != 4 or 0 in maps.shape:
            raise ValueError(
                f"field {name!r} of X must hold maps n×H×W×D, but its shape is "
                f"{maps.shape}."
            )
        maps = check_array(
            maps,
            dtype=dtypes,
            allow_nd=True,
            estimator=self,
            input_name=name,
            ensure_all_finite=False,
        )
        return self._finite(maps, name)

    def _finite(self, X: np.ndarray, name: str) -> np.ndarray:
        """Check that all numbers are finite, and return them.

        Piece by piece: scikit-learn marks each number of float16, a byte each.
        """
        for (piece,) in cut([X]):
            assert_all_finite(
                piece, estimator_name=type(self).__name__, input_name=name
            )
        return X

    def _feature_maps(self) -> FeatureMaps:
        """Build the extractor that these parameters describe."""
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

    def _grids(self) -> list[RegionGrid]:
        """Lay out the regions of each of the maps that were fitted on."""
        return [self._grid(shape) for shape in self.map_shapes_]

    def _grid(self, shape: tuple[int, ...]) -> RegionGrid:
        if len(shape) == 3:
            return RegionGrid.from_scales(shape[0], shape[1], self.region_scales)
        n_regions = 1 if len(shape) == 1 else shape[0]
        return RegionGrid(n_regions, 1, ((1, 1),))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self._takes_features()
        tags.input_tags.three_d_array = self._takes_features()
        return tags


class PartEstimator(TransformerMixin, MapEstimator, ABC):
    """Base of the estimators whose descriptor has a number for each part.

    A subclass's `fit` sets `classes_`, `parts_`, `part_classes_` and `part_maps_`. The
    parts come map by map, and within a map class by class.
    """

    @abstractmethod
    def _respond(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        """Work out the responses S (n', R, P) of each map of a few images."""

    @abstractmethod
    def _descriptors(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Make the descriptors (n', P) of images of their responses."""

    @abstractmethod
    def _activate(self, maps: list[np.ndarray]) -> np.ndarray:
        """Work out the descriptors (n', P) of a few images, without responses."""

    @property
    @abstractmethod
    def _sharpness(self) -> float | None:
        """The β of the maximum in the descriptors; None: it is hard."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **MapEstimator._parameter_constraints,
        "region_scales": [
            SequenceOf(Number(0, above=True, at_most=1), "shares in (0, 1]")
        ],
        "n_parts_per_class": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
    }

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
        seen: dict[int, int] = {}
        names = []
        for label in self.part_classes_:
            number = seen[label] = seen.get(label, -1) + 1
            names.append(f"{self.classes_[label]}_part{number}")
        return np.array(names, dtype=object)

    def _parts_a_map(self) -> list[int]:
        """Share a class's parts out among the maps, the coarsest taking the rest."""
        q, n_maps = self.n_parts_per_class, len(self.map_shapes_)
        if q < n_maps:
            raise ValueError(
                f"n_parts_per_class={q} leaves some of the {n_maps} feature maps "
                "without parts: raise it, or name fewer strides."
            )
        shares = [q // n_maps] * n_maps
        shares[-1] += q % n_maps
        return shares

    def _responses(self, X) -> Iterator[list[torch.Tensor]]:
        """Yield the responses S (n', R, P) of each map, of successive images of X."""
        parts_a_map = np.bincount(self.part_maps_)
        a_image = 4 * sum(
            grid.n_regions * n for grid, n in zip(self.grids_, parts_a_map, strict=True)
        )
        at_once = max(1, _RESPONSE_BYTES // a_image)
        for maps in self._pieces(X):
            for piece in cut(maps, at_once):
                yield self._respond(piece)

    def _describe(self, pieces: Iterable[list[np.ndarray]]) -> np.ndarray:
        """Descriptors of images, (n, P), whose maps come a piece at a time."""
        return np.concatenate([self._activate(piece) for piece in pieces])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _listed(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " and ".join(map(str, shapes))


def _within_float32(maps: np.ndarray) -> np.ndarray:
    """Rescale images of very small or large maps; descriptors have no scale.

    Their squares would leave float32, or their differences fall below a tolerance.
    """
    largest = maps.max(axis=(1, 2, 3), keepdims=True)
    peak = np.maximum(largest, -maps.min(axis=(1, 2, 3), keepdims=True))
    _, exponent = np.frexp(peak)
    exponent[(exponent >= _LEAST_EXPONENT) & (exponent <= _LARGEST_EXPONENT)] = 0
    # By a power of two, so that no digit changes.
    return np.ldexp(maps, -exponent) if exponent.any() else maps


def cut(
    maps: Sequence[np.ndarray], n: int = _IMAGES_AT_ONCE
) -> Iterator[list[np.ndarray]]:
    """Yield the maps of n images at a time."""
    for start in range(0, len(maps[0]), n):
        yield [one[start : start + n] for one in maps]


def stack_parts(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Put the parts of several maps, (P', K') each, into one array (P, K).

    Zeros fill the rows of maps whose whitened space has fewer dimensions than others.
    """
    deepest = max(own.shape[1] for own in parts)
    return np.concatenate(
        [np.pad(own, ((0, 0), (0, deepest - own.shape[1]))) for own in parts]
    )


def places_of(shares: Sequence[int], n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class and map of each part, int ndarrays (P,), of so many a class on each map."""
    classes = [np.repeat(np.arange(n_classes), share) for share in shares]
    maps = np.repeat(np.arange(len(shares)), [len(own) for own in classes])
    return np.concatenate(classes), maps
