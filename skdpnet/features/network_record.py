"""What a fitted estimator keeps of its network, and how it tells another network.

A name does not stand for the same weights for ever: libraries replace them, checkpoints
are trained further, and a wrong module is passed when a model is loaded. Maps of the
same shape then mean something else, and so do predictions.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import torch
from torch import nn

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.fingerprint import weights_digest
from skdpnet.exceptions import DifferentNetworkWarning
from skdpnet.features.map_store import probe_of
from skdpnet.images.framing import FRAMINGS, Framing

__all__ = ["NetworkRecord", "record_network", "warn_of_another"]

# Of each of the made image's maps, so many values are kept, at random places.
_N_VALUES = 1024
# Largest difference from the values that were kept, relative to their norm. Float32 is
# rounded otherwise by another machine, by about 1e-5. Weights of lower precision differ
# more, but have the same digest.
_TOLERANCE = 1e-3
_TOLERANCE_OF_SAME_WEIGHTS = 1e-2
_LONGEST_NAME = 200
_MOST_MAPS = 1000
_LARGEST_SIDE = 2**20
# The libraries from which networks come by name.
_LIBRARIES = {"timm/": "timm", "resnet50": "torchvision", "vgg19": "torchvision"}


@dataclass(frozen=True)
class NetworkRecord:
    """What is kept of a network.

    Parameters
    ----------
    name : str
    library : str
        Name and version of the library that it came from by name, or "".
    image_size : int
        Side in pixels of the images that it was used on.
    framing : str
    weights : str
        Digest of its weights; "" for functions.
    values : tuple of float32 ndarray
        Of each of its maps of one made image some values, in the order of their places;
        empty if it cannot take the image.
    shapes : tuple of tuples of int
        The shapes (H, W, D) of these maps.
    fingerprint : str, default=""
        Its fingerprint, if it was computed by this version of the libraries; in files
        it is left out.
    """

    name: str
    library: str
    image_size: int
    framing: str
    weights: str
    values: tuple[np.ndarray, ...]
    shapes: tuple[tuple[int, ...], ...]
    fingerprint: str = ""

    def to_state(self) -> dict[str, Any]:
        """Return the plain values and arrays that a model file holds."""
        keys = ("name", "library", "image_size", "framing", "weights")
        state = {key: getattr(self, key) for key in keys}
        return {**state, "values": list(self.values), "shapes": self.shapes}

    @classmethod
    def from_state(cls, state: Any) -> NetworkRecord:
        """Check what a model file holds, and make the record of it.

        Raises
        ------
        ValueError
            If it is not what `to_state` returns.
        """
        keys = {"name", "library", "image_size", "framing", "weights"}
        _expect(isinstance(state, dict) and state.keys() == {*keys, "values", "shapes"})
        for key in keys - {"image_size"}:
            text = state[key]
            _expect(isinstance(text, str) and len(text) <= _LONGEST_NAME)
        size, values, shapes = state["image_size"], state["values"], state["shapes"]
        _expect(type(size) is int and 0 < size <= _LARGEST_SIDE)
        _expect(state["framing"] in FRAMINGS)
        _expect(isinstance(values, list) and isinstance(shapes, tuple))
        _expect(len(values) == len(shapes) <= _MOST_MAPS)
        for array, shape in zip(values, shapes, strict=True):
            _expect(isinstance(shape, tuple) and len(shape) == 3)
            sides = all(type(n) is int and 0 < n <= _LARGEST_SIDE for n in shape)
            _expect(sides and isinstance(array, np.ndarray))
            n_values = min(_N_VALUES, int(np.prod(shape, dtype=object)))
            _expect(array.shape == (n_values,) and array.dtype == np.float32)
            _expect(bool(np.isfinite(array).all()))
        return cls(**{**state, "values": tuple(values)})


def record_network(
    backbone: Backbone,
    framing: Framing,
    device: torch.device,
    compute_dtype: torch.dtype,
    *,
    anew: bool = False,
) -> NetworkRecord:
    """Record a network: digest its weights, and compute its maps of a made image.

    Parameters
    ----------
    backbone : Backbone
    framing : Framing
        How images are passed to it.
    device : torch.device
        Where it is.
    compute_dtype : torch.dtype
        Dtype of the arithmetic of a network that cannot compute in float32.
    anew : bool, default=False
        Whether the maps are computed even where this network's are known.

    Returns
    -------
    NetworkRecord
    """
    weights = backbone.weights
    if weights is None:
        module = backbone.network
        weights = weights_digest(module) if isinstance(module, nn.Module) else ""
    try:
        maps = probe_of(backbone, framing, device, compute_dtype, anew=anew)
    except Exception:
        # Some network that a user wrote cannot take this image. Whether it can take
        # the user's images will be seen.
        maps = []
    return NetworkRecord(
        backbone.name[:_LONGEST_NAME],
        _library_of(backbone.name),
        int(framing.image_size),
        framing.name,
        weights,
        tuple(_some_values(feature_map) for feature_map in maps),
        tuple(feature_map.shape[1:] for feature_map in maps),
        backbone.fingerprint,
    )


def warn_of_another(
    estimator: str,
    then: NetworkRecord,
    backbone: Backbone,
    framing: Framing,
    device: torch.device,
    compute_dtype: torch.dtype,
) -> None:
    """Warn if a network is not the one that an estimator was fitted with.

    Parameters
    ----------
    estimator : str
        The name of its class.
    then : NetworkRecord
        The network that it was fitted with, on images of the same size.
    backbone, framing, device, compute_dtype
        As in `record_network`.
    """
    if backbone.fingerprint and backbone.fingerprint == then.fingerprint:
        return
    framing = Framing(framing.image_size, then.framing, framing.fill, framing.crop)
    now = record_network(backbone, framing, device, compute_dtype)
    what = _difference(then, now)
    if not what:
        return
    again = record_network(backbone, framing, device, compute_dtype, anew=True)
    if now.weights == then.weights and _difference(now, again):
        # It computes other maps each time that it sees the same image.
        return
    libraries = ""
    if then.library and then.library != now.library:
        libraries = f" ({then.library} had it, {now.library or 'none'} is used now)"
    warnings.warn(
        f"{estimator} was fitted with the network {then.name!r}. Its maps come from "
        f"another now, {now.name!r}: {what}. What it predicts from them may mean "
        f"nothing. Use the network that it was fitted with{libraries}, as "
        "load(path, backbone=module) where it has no name, or call fit again.",
        DifferentNetworkWarning,
        stacklevel=2,
    )


def _difference(then: NetworkRecord, now: NetworkRecord) -> str:
    """Say in what a network differs from another; "": by no more than rounding."""
    are_known = bool(then.weights and now.weights)
    same_weights = are_known and then.weights == now.weights
    whose = ""
    if are_known:
        whose = "its weights are " + ("the same, but " if same_weights else "others: ")
    if not (then.values and now.values):
        # There are no maps to compare.
        return "its weights are others" if are_known and not same_weights else ""
    if then.shapes != now.shapes:
        return (
            f"{whose}its maps of a made image have shape {_join(now.shapes)}, not "
            + (_join(then.shapes))
        )
    relative = max(map(_relative_difference, now.values, then.values))
    tolerance = _TOLERANCE_OF_SAME_WEIGHTS if same_weights else _TOLERANCE
    if relative <= tolerance:
        return ""
    return f"{whose}its maps of a made image differ by {relative:.2g} of their norm"


def _some_values(feature_map: np.ndarray) -> np.ndarray:
    """Return the values of a map at random places, the same for all maps of a shape."""
    flat = feature_map.reshape(-1)
    if len(flat) > _N_VALUES:
        # With replacement, because a permutation of a large map takes much longer.
        flat = flat[np.random.RandomState(0).randint(len(flat), size=_N_VALUES)]
    return flat.astype(np.float32)


def _relative_difference(one: np.ndarray, other: np.ndarray) -> float:
    largest = float(np.linalg.norm(other))
    distance = float(np.linalg.norm(one - other))
    return distance / largest if largest else float(distance > 0)


def _library_of(name: str) -> str:
    """Return the library that a network's name stands for, and its version."""
    for prefix, library in _LIBRARIES.items():
        if name.startswith(prefix):
            return f"{library} {metadata.version(library)}"
    return ""


def _join(shapes: tuple[tuple[int, ...], ...]) -> str:
    return " and ".join(map(str, shapes))


def _expect(condition: bool) -> None:
    if not condition:
        raise ValueError("the record of the network is not one that save writes")
