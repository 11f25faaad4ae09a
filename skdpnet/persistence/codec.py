"""Conversion of attributes and parameters to JSON trees and named arrays, and back.

A tree never names code. It holds what JSON has, and objects with a single key, which is
the kind of a value that JSON lacks; `decode` lists the kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skdpnet.regions.grid import AVERAGE_POOLING, RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = ["Encoder", "UnsavableError", "decode"]

_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    *("uint64", "float16", "float32", "float64"),
)
_LAST_CODE_POINT = 0x10FFFF


class UnsavableError(ValueError):
    """A value is of a type that model files cannot hold."""


class Encoder:
    """Converts values to JSON trees, and collects their arrays.

    Attributes
    ----------
    tensors : dict of str to ndarray
        The arrays of all values that were encoded, C-contiguous.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}

    def __call__(self, value: Any, name: str) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : None, bool, number, str, list, tuple, dict, array, Whitening, RegionGrid
            The containers may be nested. NumPy scalars keep their type.
        name : str
            Name of the arrays in the value, with a suffix where there are several.

        Returns
        -------
        JSON value
            The tree that `decode` converts back.

        Raises
        ------
        UnsavableError
            If the value, or one that it contains, is of any other type.
        """
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, np.generic):
            self._put(name, np.asarray(value))
            return {"scalar": name}
        if isinstance(value, float) and not np.isfinite(value):
            return {"float": str(value)}
        if isinstance(value, (int, float)):
            return value
        if isinstance(value, (list, tuple)):
            items = [self(item, f"{name}.{i}") for i, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, dict):
            pairs = enumerate(value.items())
            return {"dict": [self._pair(pair, name, i) for i, pair in pairs]}
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, Whitening):
            mean = self(value.mean, f"{name}.mean")
            return {"whitening": [mean, self(value.projection, f"{name}.projection")]}
        if isinstance(value, RegionGrid):
            windows = [[int(h), int(w)] for h, w in value.windows]
            sides = [int(value.height), int(value.width), windows]
            # Averages go without saying, as in files of earlier versions.
            averages = value.pooling == AVERAGE_POOLING
            return {"grid": sides if averages else [*sides, value.pooling]}
        raise UnsavableError(f"objects of type {type(value).__name__} are not saved")

    def _pair(self, pair: tuple[Any, Any], name: str, position: int) -> list:
        """Encode an entry of a dict."""
        key, value = pair
        # Keys that are identifiers make readable names. Names made of other keys could
        # coincide: "1" and 1, for instance.
        is_identifier = isinstance(key, str) and key.isidentifier()
        name = f"{name}.{key if is_identifier else position}"
        return [self(key, f"{name}/key"), self(value, name)]

    def _array(self, array: np.ndarray, name: str) -> Any:
        if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.flat):
            return {"objects": array.tolist()}
        if array.dtype.kind == "U" and array.ndim:
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            # They are stored as code points, so that the size of the array in the file
            # bounds the memory. A width in the JSON could claim any amount.
            codes = native.view(np.uint32).reshape(*array.shape, -1)
            self._put(name, codes)
            return {"text": name}
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            # The memory order is kept, because matrix products round differently in
            # the other order.
            self._put(name, array.T)
            return {"transposed": name}
        self._put(name, array)
        return {"array": name}

    def _put(self, name: str, array: np.ndarray) -> None:
        if array.dtype.name not in _DTYPES:
            raise UnsavableError(f"arrays of dtype {array.dtype} are not saved")
        self.tensors[name] = np.array(array, array.dtype.newbyteorder("="), order="C")


def decode(tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Convert a JSON tree that `Encoder` returned back to the value.

    Parameters
    ----------
    tree : JSON value
    tensors : dict of str to ndarray
        The arrays that the tree names. Those that it takes are removed, because a tree
        that names one many times would need many times the memory of its file.

    Returns
    -------
    value
        Its arrays are copies.

    Raises
    ------
    ValueError
        If the tree is not of the form that `Encoder` makes, or if it names an array
        that is missing. A forged tree can raise almost any other exception.
    """

    def tensor(name: str) -> np.ndarray:
        if name not in tensors:
            raise ValueError(f"the tensor {name[:80]!r} is missing, or named twice")
        return tensors.pop(name).copy()

    match tree:
        case None | bool() | int() | float() | str():
            return tree
        case list():
            return [decode(item, tensors) for item in tree]
        case {"tuple": list(items)}:
            return tuple(decode(items, tensors))
        case {"dict": list(items)}:
            return dict(decode(items, tensors))
        case {"float": "inf" | "-inf" | "nan" as text}:
            return float(text)
        case {"scalar": str(name)}:
            return tensor(name)[()]
        case {"array": str(name)}:
            return tensor(name)
        case {"transposed": str(name)}:
            return tensor(name).T
        case {"text": str(name)}:
            codes = tensor(name)
            if codes.dtype != np.uint32 or codes.max(initial=0) > _LAST_CODE_POINT:
                raise ValueError(f"the tensor {name[:80]!r} holds no text")
            return codes.view(f"U{codes.shape[-1]}")[..., 0]
        case {"objects": list(texts)}:
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("there is an array of objects that are not text")
            return np.array(texts, dtype=object)
        case {"whitening": [mean, projection]}:
            return Whitening(decode(mean, tensors), decode(projection, tensors))
        case {"grid": [height, width, list(windows), *pooling]} if len(pooling) < 2:
            sides = [height, width, *(side for window in windows for side in window)]
            if not all(type(side) is int for side in sides):
                raise ValueError("there is a grid whose sides are not whole numbers")
            return RegionGrid(
                height, width, tuple((h, w) for h, w in windows), *pooling
            )
    raise ValueError(f"there is an entry of an unknown kind: {str(tree)[:80]}")
