"""Fingerprints of networks: their tensors, and attributes of plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["fingerprint", "weights_digest"]


def fingerprint(module: nn.Module) -> str:
    """Digest the state of a network, independently of the process that holds it.

    Parameters, buffers and attributes count, of the module and of all modules that it
    holds, if they are tensors, arrays, numbers or strings, or lists, tuples or dicts of
    them. Code and other objects do not: the cache notices by its probe what they change
    (see `skdpnet.features.map_store`). A fingerprint notices what a probe does not, for
    instance one step of fine-tuning, or a threshold that the probe does not reach.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    str
        32 hexadecimal digits; empty if a tensor cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        for content in _contents(module, {}):
            # With its length, so that "ab", "c" differs from "a", "bc".
            digest.update(b"%d:" % len(content))
            digest.update(content)
    except (RuntimeError, TypeError, ValueError):
        # Sparse or quantised tensors, for instance, and those without values yet.
        return ""
    return digest.hexdigest()


def weights_digest(module: nn.Module) -> str:
    """Digest the parameters and buffers of a network, and nothing else of it.

    Unlike a fingerprint it does not depend on names, on attributes, or on modules that
    wrap the network, so that versions of a library agree on the same weights.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    str
        32 hexadecimal digits; empty if there are no tensors, or if one cannot be read.
    """
    # On most processors twice as fast as the digest of the fingerprint, which caches
    # are keyed by.
    digest, n_tensors = hashlib.sha256(), 0
    try:
        for tensor in (*module.parameters(), *module.buffers()):
            for content in _bytes_of(tensor):
                digest.update(content)
            n_tensors += 1
    except (RuntimeError, TypeError, ValueError):
        return ""
    return digest.hexdigest()[:32] if n_tensors else ""


def _bytes_of(tensor: torch.Tensor) -> Iterator[bytes | memoryview]:
    """Yield the dtype and shape of a tensor, and its values row by row."""
    yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    yield raw.numpy().data


def _contents(value: Any, seen: dict[int, Any]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the tensors and plain values in an object.

    Modules, containers and tensors that were read already are referred to by number,
    because they can refer to one another in circles. `seen` also keeps them alive, so
    that no `id` is used twice.
    """
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        yield repr(value).encode(errors="surrogatepass")
    elif isinstance(value, (np.ndarray, np.generic)):
        if not value.dtype.hasobject:
            yield f"{value.dtype} {value.shape}".encode()
            yield value.tobytes()
    elif isinstance(value, (torch.Tensor, nn.Module, dict, list, tuple)):
        is_new = id(value) not in seen
        number, _ = seen.setdefault(id(value), (len(seen), value))
        yield f"{type(value).__qualname__} {number}".encode()
        if is_new and isinstance(value, torch.Tensor):
            yield from _bytes_of(value)
        elif is_new:
            for item in _items(value):
                yield from _contents(item, seen)


def _items(value: Any) -> list:
    """Return what a module or a container holds, in order."""
    if isinstance(value, nn.Module):
        # The tensors of TorchScript are not among the attributes.
        return [vars(value), *value.parameters(), *value.buffers()]
    if isinstance(value, dict):
        # torch numbers hooks in the order in which the process registers them.
        names = [key for key in value if isinstance(key, str)]
        return [*names, *value.values()]
    return [len(value), *value]
