"""The cache of feature maps: which maps a network may share with earlier calls.

No reader of a network's code and globals is complete. So the cache keeps probes: the
maps of one synthetic image. The maps of a network are shared with the networks of the
same state whose probe is the same, and every call with a custom network makes the probe
again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from skdpnet.backbones.backbone import Backbone, NetworkError
from skdpnet.features.canvas import own_shape
from skdpnet.images.framing import CENTER, Framing
from skdpnet.storage.array_store import KEPT_LONGEST, ArrayStore
from skdpnet.utils.forks import ForkSafeLock

__all__ = ["open_map_store", "probe_image", "probe_of"]

# Part of the key in the cache. It must change whenever the preprocessing of images
# changes, or the way in which networks are modified for speed
# (`skdpnet.backbones.batchnorm_folding`).
_PREPROCESSING = "centre square, bicubic of torch, drafts, batch norms folded, 4"

# Largest difference of two probes of the same network, relative to their norm. Numbers
# of threads and kinds of processor change float32 maps by about 1e-6. Rounding to the
# float16 of most cached maps changes them by 3e-4.
_TOLERANCE = 1e-3

# The probes that this process made of the networks that it holds. A named network is
# held between calls; of a custom one every call makes a copy, which is probed anew.
# By framing, because not all framings probe with an image of the same shape.
_probes: weakref.WeakKeyDictionary[Backbone, dict[str, list[np.ndarray]]]
_probes = weakref.WeakKeyDictionary()
# Whether convolutions use TF32 is a setting of the whole process.
_tf32_lock = ForkSafeLock()


def open_map_store(
    memory: str | os.PathLike,
    backbone: Backbone,
    framing: Framing,
    device: torch.device,
    compute_dtype: torch.dtype,
    map_dtype: torch.dtype,
) -> ArrayStore | None:
    """Open the cache of the maps of a network.

    Parameters
    ----------
    memory : str or path
        Folder of the cache.
    backbone : Backbone
    framing : Framing
        What the network sees of an image.
    device : torch.device
        Where the network is.
    compute_dtype, map_dtype : torch.dtype
        Dtypes of the network's arithmetic and of the maps.

    Returns
    -------
    ArrayStore or None
        None if nothing can be stored because the disk is full, for instance.

    Raises
    ------
    ValueError
        If the folder cannot be used, or if the maps of the network cannot be kept.
    """
    if not backbone.fingerprint:
        raise ValueError(
            f"the maps of backbone {backbone.name!r} cannot be kept in memory="
            f"{str(memory)!r}: there is no way to see whether the weights of a "
            "function have changed. Write it as a torch.nn.Module whose weights are "
            "dense parameters or buffers, or use memory=None."
        )
    network = {
        "backbone": backbone.fingerprint,
        "normalisation": [backbone.mean, backbone.std],
        "image_size": int(framing.image_size),
        "preprocessing": _PREPROCESSING,
    }
    if framing.name != "crop":
        # Without a name "crop", which was the only framing, so that caches stay valid.
        network["framing"] = framing.name
    if framing.name == CENTER:
        network["crop"] = dataclasses.astuple(framing.crop)
    known = ArrayStore(memory, network)
    probe = probe_of(backbone, framing, device, compute_dtype)
    key = _find(probe, known)
    if key is None:
        again = probe_of(backbone, framing, device, compute_dtype, anew=True)
        if not _same(again, probe):
            raise ValueError(
                f"the maps of backbone {backbone.name!r} cannot be kept in memory="
                f"{str(memory)!r}: it computes other maps each time that it sees the "
                "same image. Use memory=None."
            )
        key = _key_of(probe)
        if not known.write(key, probe):
            return None
        # Another process may have stored the same probe, differently rounded. All
        # processes take the first.
        key = _find(probe, known) or key
    arithmetic = {"compute": str(compute_dtype), "dtype": str(map_dtype)}
    return ArrayStore(memory, {**network, **arithmetic, "probe": key})


def probe_image(size: int) -> np.ndarray:
    """Return the image of which probes are made: blocks of random colours and sizes.

    Parameters
    ----------
    size : int
        Side in pixels.

    Returns
    -------
    uint8 ndarray of shape (size, size, 3)
    """
    random = np.random.RandomState(0)
    image = np.zeros((size, size, 3), dtype=np.uint8)
    for side in (1, 4, 16, 64):
        n = -(-size // side)
        blocks = random.randint(0, 64, (n, n, 3)).astype(np.uint8)
        image += blocks.repeat(side, axis=0).repeat(side, axis=1)[:size, :size]
    return image


def probe_of(
    backbone: Backbone,
    framing: Framing,
    device: torch.device,
    compute_dtype: torch.dtype,
    *,
    anew: bool = False,
) -> list[np.ndarray]:
    """Return the maps of the probe's image, once for each network that is held.

    Parameters
    ----------
    backbone : Backbone
    framing : Framing
    device : torch.device
        Where the network is.
    compute_dtype : torch.dtype
        Dtype of the arithmetic of a network that cannot compute in float32.
    anew : bool, default=False
        Whether they are computed even where this network's are known.

    Returns
    -------
    list of float32 ndarray of shape (1, H, W, D)
    """
    # Nothing says whether a function is still the one that was probed.
    if anew or not backbone.fingerprint:
        return _make_probe(backbone, framing, device, compute_dtype)
    probes = _probes.setdefault(backbone, {})
    if framing.name not in probes:
        made = _make_probe(backbone, framing, device, compute_dtype)
        probes[framing.name] = made
    return probes[framing.name]


def _make_probe(
    backbone: Backbone,
    framing: Framing,
    device: torch.device,
    compute_dtype: torch.dtype,
) -> list[np.ndarray]:
    """Compute the maps of the probe's image, in float32 if the network can.

    Devices share probes, and hence maps of the same precision. In float32 they compute
    the same ones, except that convolutions on a GPU round their factors to TF32.
    """
    # For "aspect" the probe is the widest image, which a network may refuse.
    pixels = probe_image(framing.canvas_side)[None, : framing.image_size]
    with _without_tf32(), own_shape(backbone.name, pixels.shape[1:3]):
        try:
            maps = backbone.feature_maps(pixels, device, torch.float32)
        except NetworkError:
            # Weights of lower precision are multiplied under autocast alone.
            maps = backbone.feature_maps(pixels, device, compute_dtype)
    return [feature_map.numpy() for feature_map in maps]


@contextlib.contextmanager
def _without_tf32() -> Iterator[None]:
    """Let convolutions on a GPU multiply float32 as it is, in one thread at a time."""
    with _tf32_lock:
        cudnn = torch.backends.cudnn
        try:
            is_allowed = cudnn.allow_tf32
        except RuntimeError:
            # The user has chosen the precision of single operations.
            yield
            return
        cudnn.allow_tf32 = False
        try:
            yield
        finally:
            cudnn.allow_tf32 = is_allowed


def _find(probe: list[np.ndarray], known: ArrayStore) -> str | None:
    """Return the key of the first stored probe that is the same, None without one."""
    for key in known.keys():
        stored = known.read(key)
        if stored is not None and _same(stored, probe):
            return key
    return None


def _same(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    """Return whether two probes differ by no more than rounding."""
    return len(first) == len(second) and all(
        one.shape == other.shape
        and np.linalg.norm(one - other) <= _TOLERANCE * np.linalg.norm(other)
        for one, other in zip(first, second, strict=True)
    )


def _key_of(probe: list[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for feature_map in probe:
        digest.update(feature_map.data)
    return f"{KEPT_LONGEST}{digest.hexdigest()}"
