"""Checks of maps, regions or features that the user computed, and their rescaling."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import validate_data

from skdpnet.images.arrays import is_tensor
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["check_precomputed"]

_DTYPES = [np.float32, np.float64, np.float16]
# Bytes of the numbers that are checked together, so that temporary arrays stay small.
_BYTES_AT_ONCE = 2**20
# An image is rescaled if the binary exponent of its largest number is not within these,
# which are about 1e-4 and 1e6. The large numbers of float16 are within them: if they
# were scaled down, small numbers of the same image would underflow.
_LEAST_EXPONENT, _LARGEST_EXPONENT = -13, 20


def check_precomputed(estimator: BaseEstimator, X, *, reset: bool) -> list[np.ndarray]:
    """Check and rescale arrays that take the place of images.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class; its `n_features_in_` is set or compared.
    X : array-like
        Maps n×H×W×D, regions n×R×D or features n×D; or several maps as from
        `FeatureMaps.transform`, a structured array with a field for each map.
    reset : bool
        True: `n_features_in_` is set; False: it is compared.

    Returns
    -------
    list of ndarray
        An array for each map, with as many dimensions as X. Images whose numbers are
        very small or very large are multiplied by a power of two.

    Raises
    ------
    ValueError
        If X has other dimensions, an empty axis, NaN or infinite numbers, or another
        number of features than in `fit`; or if the estimator has `weights`.
    """
    if estimator.weights is not None:
        raise ValueError(
            'weights= is for networks that come by name, and backbone="precomputed" '
            "has none: use weights=None."
        )
    if is_tensor(X):
        X = _to_array(X)
    names = getattr(getattr(X, "dtype", None), "names", None)
    if names is not None:
        return [_check_field(estimator, X, name) for name in names]
    if isinstance(X, (list, tuple)):
        # The number of dimensions of nested lists is known only once they are an array.
        X = check_array(X, dtype=None, allow_nd=True, ensure_2d=False)
    if len(getattr(X, "shape", (1, 1))) < 3:
        X = validate_data(
            estimator, X, dtype=_DTYPES, reset=reset, ensure_all_finite=False
        )
        return [_rescaled(estimator, X, "X")]
    X = check_array(
        X, dtype=_DTYPES, allow_nd=True, estimator=estimator, ensure_all_finite=False
    )
    if X.ndim > 4:
        raise ValueError(
            'backbone="precomputed" takes maps n×H×W×D, regions n×R×D or features '
            f"n×D, got an array of {X.ndim} dimensions."
        )
    if 0 in X.shape:
        raise ValueError(f"X has an empty axis: its shape is {X.shape}.")
    if reset:
        estimator.n_features_in_ = X.shape[-1]
    return [_rescaled(estimator, X, "")]


def _to_array(X: torch.Tensor) -> np.ndarray:
    """Return the numbers of a tensor on any device as an array."""
    # With array_api_dispatch, scikit-learn's checks would return a tensor.
    tensor = X.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _check_field(estimator: BaseEstimator, X: np.ndarray, name: str) -> np.ndarray:
    """Check a map in a structured array."""
    maps = X[name]
    if maps.ndim != 4 or 0 in maps.shape:
        raise ValueError(
            f"field {name!r} of X must hold maps n×H×W×D, but its shape is "
            f"{maps.shape}."
        )
    maps = check_array(
        maps,
        dtype=_DTYPES,
        allow_nd=True,
        estimator=estimator,
        input_name=name,
        ensure_all_finite=False,
    )
    return _rescaled(estimator, maps, name)


def _rescaled(estimator: BaseEstimator, X: np.ndarray, name: str) -> np.ndarray:
    """Check that all numbers are finite; rescale images of very small or large ones.

    The squares of such numbers would be out of the range of float32, or differences
    would be below a tolerance. Descriptors do not depend on the scale of an image's
    maps, because they are normalised.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class.
    X : float ndarray of shape (n, ...)
    name : str
        Its name for messages.

    Returns
    -------
    ndarray of shape (n, ...)
        X itself if no image has to be rescaled. The factors are powers of two, which
        change no digit.

    Raises
    ------
    ValueError
        If X has NaN or infinite numbers.
    """
    peaks = np.empty(len(X), X.dtype)
    bytes_per_image = X.itemsize * math.prod(X.shape[1:])
    for images in slices_within(len(X), bytes_per_image, _BYTES_AT_ONCE):
        peaks[images] = _largest(X[images])
        if not np.isfinite(peaks[images]).all():
            assert_all_finite(
                X[images], estimator_name=type(estimator).__name__, input_name=name
            )
    _, exponent = np.frexp(peaks)
    exponent[(exponent >= _LEAST_EXPONENT) & (exponent <= _LARGEST_EXPONENT)] = 0
    if not exponent.any():
        return X
    return np.ldexp(X, -exponent.reshape(-1, *[1] * (X.ndim - 1)))


def _largest(X: np.ndarray) -> np.ndarray:
    """Return the largest magnitude of each image; NaN where it has NaN."""
    # torch takes a twentieth of NumPy's time for float16.
    numbers = as_tensor(X, torch.device("cpu"))
    return numbers.flatten(1).abs().amax(dim=1).numpy()
