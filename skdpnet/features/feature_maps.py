"""Images -> feature maps of a frozen backbone, batch by batch, through the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdpnet.backbones.loading import Backbone, load_backbone
from skdpnet.features.extraction import Extractor
from skdpnet.images.collection import as_images
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.large_arrays import allocate
from skdpnet.utils.validation import Number, OneOf, SequenceOf, check_parameters

__all__ = ["FeatureMaps", "allocate", "resolve_device", "separate"]

# Part of the cache's address: to be raised when what the network is given, or how it
# is changed for speed (`skdpnet.backbones.batchnorm_folding`), changes.
_PREPROCESSING = "centre square, bicubic, drafts, batch norms folded, 3"

# Constraints of the parameters that say how maps are extracted, which all estimators
# that take images share.
EXTRACTION_CONSTRAINTS: dict[str, list] = {
    "strides": [SequenceOf(Number(1, whole=True), "whole numbers of at least 1"), None],
    "image_size": [Number(8, whole=True), None],
    "precision": [OneOf(("auto", "float32", "bfloat16", "float16"))],
    "num_workers": [Number(0, whole=True)],
}


class FeatureMaps(TransformerMixin, BaseEstimator):
    """Turn images into feature maps of a frozen, pretrained network.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="efficientnet_lite0"
        ``"efficientnet_lite0"``, ``"resnet50"``, ``"vgg19"``, ``"timm/<name>"``, or
        a module or callable from ImageNet-normalised images N×3×S×S to maps
        N×D×H×W, or a tuple of several.
    strides : sequence of int, default=None
        Of a named backbone: its last map of each of these strides (pixels of the
        input a cell), finest first; those that it has no map of are left out. None,
        and for networks whose maps all have one stride: its last map.
    image_size : int, default=None
        Side in pixels of the square that each image is resized and cropped to;
        None: the backbone's usual one.
    batch_size : int, default=32
        Images that are decoded and go through the network together; a CPU's cores
        take them a few at a time.
    device : str, default="auto"
        ``"auto"`` (a GPU where there is one), or any of torch's device names.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Arithmetic of the network. "auto": float32 on a CPU, float16 on a GPU.
        "bfloat16" takes 0.5 to 0.7 of the time on CPUs that have it (AVX512-BF16,
        AMX), and moves maps by about 4 % of their norm.
        Maps are kept in float16, and in float32 for ``precision="float32"``.
    num_workers : int, default=2
        Threads that read and decode images, on a GPU ahead of the network; 0: none.
    memory : str or path, default=None
        Folder that keeps the maps, so that no image goes through the same network
        twice; keyed by the image's content. None: nothing is kept. Also where the
        temporary file of an array goes that is too large for the memory.
    verbose : int, default=0
        1 or more: a progress bar.

    Attributes
    ----------
    map_shapes_ : tuple of (H, W, D)
        Shape of each map of an image, known after the first `transform`.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import FeatureMaps
    >>> images = np.zeros((2, 40, 60, 3), dtype=np.uint8)
    >>> FeatureMaps(image_size=64).fit_transform(images).shape
    (2, 2, 2, 1280)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **EXTRACTION_CONSTRAINTS,
        "batch_size": [Number(1, whole=True)],
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int] | None = None,
        image_size: int | None = None,
        batch_size: int = 32,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 2,
        memory: str | os.PathLike | None = None,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.strides = strides
        self.image_size = image_size
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.memory = memory
        self.verbose = verbose

    def fit(self, X, y=None) -> FeatureMaps:
        """Check the parameters and the images' headers; nothing is learned.

        Parameters
        ----------
        X : images
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.
        y : ignored

        Returns
        -------
        self
        """
        check_parameters(self)
        as_images(X).check()
        self.fitted_ = True
        return self

    def transform(self, X) -> np.ndarray:
        """Compute the feature maps.

        Parameters
        ----------
        X : images
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.

        Returns
        -------
        ndarray of shape (n, H, W, D)
            float16, or float32 for ``precision="float32"``. A memory-mapped
            temporary file, in `memory` where that is given, where it would take over
            a quarter of the free memory (see `skdpnet.storage.large_arrays.allocate`).
            Where the backbone gives several maps: a structured array of shape (n,),
            its fields ``"map0"``, ``"map1"``, … of shape (n, H, W, D).

        Raises
        ------
        ImageError
            Names the first item that is no readable image, before the network
            sees any where its header tells, else when its batch is decoded.
        """
        check_is_fitted(self)
        n, done = len(as_images(X)), 0
        out = np.empty(0)
        for piece in self.iter_maps(X):
            if done == 0:
                out = allocate(*_row_type(n, piece), self.memory)
            for own, maps in zip(separate(out), piece, strict=True):
                own[done : done + len(maps)] = maps
            done += len(piece[0])
        self.map_shapes_ = tuple(one.shape[1:] for one in separate(out))
        return out

    def iter_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Compute the feature maps of a few images at a time, in X's order.

        What is in memory does not grow with the number of images. Needs no `fit`.

        Parameters
        ----------
        X : images
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.

        Returns
        -------
        iterator of list of ndarray of shape (n', H, W, D)
            One array for each map of the backbone; of the next n' images, at most
            `batch_size`. Types as from `transform`.

        Raises
        ------
        ImageError
            As `transform`; for headers, and for parameters a ValueError, at once.
        """
        check_parameters(self)
        images = as_images(X)
        device = resolve_device(self.device)
        strides = None if self.strides is None else tuple(map(int, self.strides))
        backbone = load_backbone(self.backbone, self.image_size, device, strides)
        compute = _compute_dtype(self.precision, device)
        keep = torch.float32 if self.precision == "float32" else torch.float16
        store = self._open_store(backbone, compute, keep)
        images.check()
        extractor = Extractor(
            images, backbone, device, compute, keep, self.batch_size, self.num_workers
        )
        return self._run(extractor, store, len(images), f"{backbone.name} maps")

    def _run(
        self, extractor: Extractor, store: ArrayStore | None, n: int, title: str
    ) -> Iterator[list[np.ndarray]]:
        bar = tqdm(total=n, desc=title, unit="image", disable=not self.verbose)
        with extractor, bar:
            for piece in (
                extractor.read_or_compute(store) if store else (extractor.compute())
            ):
                bar.update(len(piece[0]))
                yield piece

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags

    def _open_store(
        self, backbone: Backbone, compute: torch.dtype, keep: torch.dtype
    ) -> ArrayStore | None:
        if self.memory is None:
            return None
        if not backbone.fingerprint:
            raise ValueError(
                f"the maps of backbone {backbone.name!r} cannot be kept in memory="
                f"{str(self.memory)!r}: a function does not tell when it "
                "changes. Write it as a torch.nn.Module whose state is in parameters, "
                "buffers or attributes that pickle, or use memory=None."
            )
        identity = {
            "backbone": backbone.fingerprint,
            "normalisation": [backbone.mean, backbone.std],
            "image_size": int(backbone.image_size),
            "preprocessing": _PREPROCESSING,
            "compute": str(compute),
            "dtype": str(keep).removeprefix("torch."),
        }
        return ArrayStore(self.memory, identity)


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` or a device's name into a torch device.

    ``"cuda"`` becomes the GPU that is the current one now, by its number, so that a
    network that was kept is never taken for one on another GPU.

    Raises
    ------
    ValueError
        For a name torch does not know, or a GPU that is not there.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]} "
            'device="auto" takes a GPU where there is one and the CPU otherwise.'
        ) from error
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def _compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return getattr(torch, precision)


def separate(maps: np.ndarray) -> list[np.ndarray]:
    """Take apart what `FeatureMaps.transform` gives: one array (n, …) a map."""
    if maps.dtype.names is None:
        return [maps]
    return [maps[name] for name in maps.dtype.names]


def _row_type(n: int, piece: Sequence[np.ndarray]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array for n images whose maps are like some."""
    if len(piece) == 1:
        return (n, *piece[0].shape[1:]), piece[0].dtype
    fields = [(f"map{i}", one.dtype, one.shape[1:]) for i, one in enumerate(piece)]
    return (n,), np.dtype(fields)
