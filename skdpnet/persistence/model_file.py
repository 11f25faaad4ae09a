"""The file of a saved model: safetensors, whose metadata hold the rest as JSON.

Nothing in such a file names code: JSON gives numbers, text and the few tagged kinds
that `decode` lists, safetensors gives arrays whose sizes the file itself must cover.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from skdpnet.exceptions import ModelFileError
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.storage.atomic_write import replace_file, target_file

__all__ = ["Encoder", "UnsavableError", "decode", "read", "write"]

_FORMAT = "skdpnet"
_VERSION = "1"
_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    *("uint64", "float16", "float32", "float64"),
)
_LAST_CODE_POINT = 0x10FFFF


class UnsavableError(ValueError):
    """A value has no form in the file."""


class Encoder:
    """Turns values into JSON trees and named arrays.

    Attributes
    ----------
    tensors : dict of str to ndarray
        The arrays met so far, C-contiguous.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}

    def __call__(self, value: Any, name: str) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : None, bool, number, str, list, tuple, dict, array, Whitening, RegionGrid
            Or any nesting of these; NumPy scalars keep their type.
        name : str
            Arrays within are called this, or this and a suffix.

        Returns
        -------
        JSON value
            What JSON lacks is an object of one key, its kind; see `decode`.

        Raises
        ------
        UnsavableError
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
            return {"grid": [int(value.height), int(value.width), windows]}
        raise UnsavableError(f"objects of type {type(value).__name__} are not saved")

    def _pair(self, pair: tuple[Any, Any], name: str, place: int) -> list:
        key, value = pair
        # Words tell more than numbers; other keys could make two names the same.
        word = isinstance(key, str) and key.isidentifier()
        inner = f"{name}.{key if word else place}"
        return [self(key, f"{inner}/key"), self(value, inner)]

    def _array(self, array: np.ndarray, name: str) -> Any:
        if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.flat):
            return {"objects": array.tolist()}
        if array.dtype.kind == "U" and array.ndim:
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            # As code points: a width that JSON claimed would be memory for nothing.
            codes = native.view(np.uint32).reshape(*array.shape, -1)
            self._put(name, codes)
            return {"text": name}
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            # Matrix products round differently in the other memory layout.
            self._put(name, array.T)
            return {"transposed": name}
        self._put(name, array)
        return {"array": name}

    def _put(self, name: str, array: np.ndarray) -> None:
        if array.dtype.name not in _DTYPES:
            raise UnsavableError(f"arrays of dtype {array.dtype} are not saved")
        self.tensors[name] = np.array(array, array.dtype.newbyteorder("="), order="C")


def decode(tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Turn what `Encoder` gave back into the value.

    Parameters
    ----------
    tree : JSON value
    tensors : dict of str to ndarray

    Returns
    -------
    value
        Arrays are copies.

    Raises
    ------
    ValueError
        If the tree is not one of `Encoder`'s, or names an array that is not there;
        others of Python's own for trees that were made up.
    """

    def named(name: str) -> np.ndarray:
        if name not in tensors:
            raise ValueError(f"the tensor {name!r} is missing")
        return tensors[name].copy()

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
            return named(name)[()]
        case {"array": str(name)}:
            return named(name)
        case {"transposed": str(name)}:
            return named(name).T
        case {"text": str(name)}:
            codes = named(name)
            if codes.dtype != np.uint32 or codes.max(initial=0) > _LAST_CODE_POINT:
                raise ValueError(f"the tensor {name!r} holds no text")
            return codes.view(f"U{codes.shape[-1]}")[..., 0]
        case {"objects": list(texts)}:
            return np.array([*map(str, texts)], dtype=object)
        case {"whitening": [mean, projection]}:
            return Whitening(decode(mean, tensors), decode(projection, tensors))
        case {"grid": [int(height), int(width), list(windows)]}:
            return RegionGrid(
                height, width, tuple((int(h), int(w)) for h, w in windows)
            )
    raise ValueError(f"there is an entry of an unknown kind: {str(tree)[:80]}")


def write(
    path: str | os.PathLike, metadata: dict[str, str], tensors: dict[str, np.ndarray]
) -> None:
    """Write a model file, replacing what was there, all or nothing.

    Parameters
    ----------
    path : str or path
    metadata : dict of str to str
    tensors : dict of str to ndarray

    Raises
    ------
    OSError
        If the folder does not exist, the path is a folder, or writing fails.
    """
    file = target_file(path)
    metadata = {"format": _FORMAT, "format_version": _VERSION, **metadata}
    metadata["checksum"] = _checksum(metadata, tensors)
    replace_file(file, to_bytes(tensors, metadata))


def read(
    path: str | os.PathLike,
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read a model file and check that it is whole.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    metadata : dict of str to str
    tensors : dict of str to ndarray

    Raises
    ------
    FileNotFoundError, IsADirectoryError
    ModelFileError
        If the file is damaged, something else, or of a newer format.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file that was saved.")
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {path}. Relative paths start at the working directory, "
            f"{os.getcwd()}."
        )
    if not path.is_file():
        # Opening a pipe would wait forever.
        raise ModelFileError(
            f"{path} is no regular file: name the file that was saved."
        )
    with open(path, "rb") as opened:
        start = opened.read(9)
    try:
        file = safe_open(os.fspath(path), framework="numpy")
    except SafetensorError as error:
        if start[8:] == b"{":
            raise _damaged(path, str(error)) from error
        raise ModelFileError(
            f"{path} is not a model that skdpnet saved (it begins with {start[:8]!r}), "
            "or its beginning is damaged. load reads only files that an estimator's "
            "save wrote, never pickles: name such a file."
        ) from error
    with file:
        metadata = file.metadata() or {}
        _check_format(path, metadata)
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, TypeError) as error:
            raise _damaged(path, str(error)) from error
    if metadata.get("checksum") != _checksum(metadata, tensors):
        raise _damaged(path, "its checksum does not match")
    return metadata, tensors


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != _FORMAT:
        raise ModelFileError(
            f"{path} is a safetensors file, but not a model that skdpnet saved: name a "
            "file that an estimator's save wrote."
        )
    version = metadata.get("format_version", "")
    if version != _VERSION:
        raise ModelFileError(
            f"{path} has format version {version[:20]!r}, written by skdpnet "
            f"{metadata.get('skdpnet_version', '')[:20]!r}; this skdpnet reads version "
            f"{_VERSION!r}. Upgrade skdpnet, or save the model with this one."
        )


def _damaged(path: Path, reason: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is damaged or incomplete ({reason}). Copy or save it again."
    )


def _checksum(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> str:
    """Digest all that a file holds but the digest itself."""
    told = {key: text for key, text in metadata.items() if key != "checksum"}
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(told, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
