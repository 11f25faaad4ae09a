"""Model files: safetensors with the arrays, and all else as JSON in the metadata.

A file never names code: its JSON holds data only, and safetensors refuses arrays that
would be larger than the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from skdpnet.exceptions import ModelFileError
from skdpnet.storage.atomic_write import replace_file, target_file

__all__ = ["read", "write"]

_FORMAT = "skdpnet"
_VERSION = "1"
# A file needs no more memory than about four times its size and what its texts take.
# These are bounded, because a value of a JSON text takes fifty times the memory of its
# characters.
_LONGEST_HEADER = 2**25
_MOST_VALUES = 2**20
_MOST_TENSORS = 10**5
# Tensors without numbers cost nothing, whatever their shape.
_LONGEST_EMPTY = 2**20


def write(
    path: str | os.PathLike, metadata: dict[str, str], tensors: dict[str, np.ndarray]
) -> None:
    """Write a model file, or leave everything as it was.

    Parameters
    ----------
    path : str or path
        An existing file is replaced.
    metadata : dict of str to str
        Format, version and checksum are added to it.
    tensors : dict of str to ndarray

    Raises
    ------
    OSError
        If the folder does not exist, if the path is a folder, or if writing fails.
    ValueError
        If there is more in it than `read` accepts.
    """
    file = target_file(path)
    metadata = {"format": _FORMAT, "format_version": _VERSION, **metadata}
    metadata["checksum"] = _checksum(metadata, tensors)
    reason = _beyond_bounds(metadata, tensors)
    if reason:
        raise ValueError(f"the model cannot be saved: {reason}.")
    content = to_bytes(tensors, metadata)
    if int.from_bytes(content[:8], "little") > _LONGEST_HEADER:
        raise ValueError(
            "the model cannot be saved: its texts (notes_, names) take more than "
            f"{_LONGEST_HEADER} bytes."
        )
    replace_file(file, content)


def read(
    path: str | os.PathLike,
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read a model file and check that it is complete.

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
        If there is no such file, or if it is a folder.
    ModelFileError
        If the file is damaged, is not a model file, or has another format version.
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
            f"{path} is not a regular file: name the file that was saved."
        )
    with open(path, "rb") as stream:
        start = stream.read(9)
    claimed = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and _LONGEST_HEADER < claimed < os.path.getsize(path):
        raise ModelFileError(
            f"{path} cannot be used: its header has {claimed} bytes, and at most "
            f"{_LONGEST_HEADER} are read."
        )
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
        if len(file.keys()) > _MOST_TENSORS:
            raise ModelFileError(f"{path} cannot be used: it has too many tensors.")
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except Exception as error:
            # It raises others for dtypes that NumPy lacks, and for shapes beyond its
            # range.
            raise _damaged(path, str(error)) from error
    reason = _beyond_bounds(metadata, tensors)
    if reason:
        raise ModelFileError(f"{path} cannot be used: {reason}.")
    if metadata.get("checksum") != _checksum(metadata, tensors):
        raise _damaged(path, "its checksum does not match")
    return metadata, tensors


def _beyond_bounds(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> str:
    """Say what is beyond the bounds of files; "" if nothing is."""
    # Each value of a JSON text but the first comes after one of these.
    n_values = sum(text.count(c) for text in metadata.values() for c in ",[{:")
    if n_values > _MOST_VALUES:
        return f"it has more than {_MOST_VALUES} values besides its arrays"
    if len(tensors) > _MOST_TENSORS:
        return f"it has {len(tensors)} arrays, more than {_MOST_TENSORS}"
    for name, array in tensors.items():
        if array.size == 0 and max(array.shape) > _LONGEST_EMPTY:
            return f"the array {name[:80]!r} is empty and has shape {array.shape}"
    return ""


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
    """Digest the contents of a file, without the checksum."""
    texts = {key: text for key, text in metadata.items() if key != "checksum"}
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(texts, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
