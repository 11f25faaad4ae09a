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
    """
    file = target_file(path)
    metadata = {"format": _FORMAT, "format_version": _VERSION, **metadata}
    metadata["checksum"] = _checksum(metadata, tensors)
    replace_file(file, to_bytes(tensors, metadata))


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
    """Digest the contents of a file, without the checksum."""
    texts = {key: text for key, text in metadata.items() if key != "checksum"}
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(texts, sort_keys=True).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
