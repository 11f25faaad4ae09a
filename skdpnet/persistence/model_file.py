"""The file of a saved model: safetensors, whose metadata hold the rest as JSON.

Nothing in such a file names code: JSON gives numbers, text and the few tagged kinds
that `decode` lists, safetensors gives arrays whose sizes the file itself must cover.
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
