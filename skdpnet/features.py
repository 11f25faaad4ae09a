"""Pictures -> feature maps of a frozen backbone, batch by batch, through the cache."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdpnet.backbones import Backbone, load_backbone
from skdpnet.cache import MapStore
from skdpnet.images import Images, as_images, preprocess

__all__ = ["FeatureMaps", "allocate", "resolve_device", "separate"]

# Maps above this share of the free memory live in a memory-mapped temporary file.
_IN_MEMORY_SHARE = 0.25
# Pictures claimed from the cache at once: enough to decode ahead of the backbone,
# few enough that processes sharing a cache share the work.
_BATCHES_A_CLAIM = 4
# Part of the cache's address: to be raised when `images.preprocess` changes.
_PREPROCESSING = "centre square, bicubic, 1"

_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


class FeatureMaps(TransformerMixin, BaseEstimator):
    """Turn pictures into feature maps of a frozen, pretrained network.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="efficientnet_lite0"
        ``"efficientnet_lite0"``, ``"resnet50"``, ``"vgg19"``, ``"timm/<name>"``, or
        a module or callable from ImageNet-normalised pictures N×3×S×S to maps
        N×D×H×W, or a tuple of several.
    strides : sequence of int, default=None
        Of a named backbone: its last map of each of these strides (pixels of the
        input a cell), finest first; those that it has no map of are left out. None,
        and for networks whose maps all have one stride: its last map.
    image_size : int, default=None
        Side in pixels of the square that each picture is resized and cropped to;
        None: the backbone's usual one.
    batch_size : int, default=32
        Pictures that go through the network at once.
    device : str, default="auto"
        ``"auto"`` (a GPU where there is one), or any of torch's device names.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Arithmetic of the network. "auto": float32 on a CPU, float16 on a GPU.
        Maps are kept in float16, and in float32 for ``precision="float32"``.
    num_workers : int, default=2
        Threads that read and decode pictures ahead of the network; 0: none.
    memory : str or path, default=None
        Folder that keeps the maps, so that no picture goes through the same network
        twice; keyed by the picture's content. None: nothing is kept.
    verbose : int, default=0
        1 or more: a progress bar.

    Attributes
    ----------
    map_shapes_ : tuple of (H, W, D)
        Shape of each map of a picture, known after the first `transform`.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import FeatureMaps
    >>> pictures = np.zeros((2, 40, 60, 3), dtype=np.uint8)
    >>> FeatureMaps(image_size=64).fit_transform(pictures).shape
    (2, 2, 2, 1280)
    """

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
        """Check the parameters and the pictures' headers; nothing is learned.

        Parameters
        ----------
        X : pictures
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.
        y : ignored

        Returns
        -------
        self
        """
        self._check_params()
        as_images(X).check()
        self.fitted_ = True
        return self

    def transform(self, X) -> np.ndarray:
        """Compute the feature maps.

        Parameters
        ----------
        X : pictures
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.

        Returns
        -------
        ndarray of shape (n, H, W, D)
            float16, or float32 for ``precision="float32"``. A memory-mapped
            temporary file where it would take over a quarter of the free memory.
            Where the backbone gives several maps: a structured array of shape (n,),
            its fields ``"map0"``, ``"map1"``, … of shape (n, H, W, D).

        Raises
        ------
        ImageError
            Names the first item that is no readable picture, before the network
            sees any where its header tells, else when its batch is decoded.
        """
        check_is_fitted(self)
        maps = self._extract(as_images(X))
        self.map_shapes_ = tuple(one.shape[1:] for one in separate(maps))
        return maps

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags

    def _check_params(self) -> None:
        if self.precision not in _PRECISIONS:
            raise ValueError(
                f"precision must be one of {_PRECISIONS}, got {self.precision!r}."
            )
        for name, least in (("batch_size", 1), ("num_workers", 0), ("image_size", 8)):
            value = getattr(self, name)
            if name == "image_size" and value is None:
                continue
            if not _whole(value, least):
                raise ValueError(
                    f"{name} must be a whole number of at least {least}, got {value!r}."
                )
        strides = self.strides
        if strides is not None and not (
            isinstance(strides, (Sequence, np.ndarray))
            and not isinstance(strides, str)
            and len(strides) > 0
            and all(_whole(stride, 1) for stride in strides)
        ):
            raise ValueError(
                "strides must be None or a sequence of whole numbers of at least 1, "
                f"got {strides!r}."
            )

    def _extract(self, images: Images) -> np.ndarray:
        device = resolve_device(self.device)
        strides = None if self.strides is None else tuple(map(int, self.strides))
        backbone = load_backbone(self.backbone, self.image_size, device, strides)
        compute = _compute_dtype(self.precision, device)
        keep = np.dtype(np.float32 if self.precision == "float32" else np.float16)
        store = self._open_store(backbone, compute, keep)

        rows: dict[str, list[int]] = {}
        for i in range(len(images)):
            rows.setdefault(images.content_key(i) if store else str(i), []).append(i)
        out = _Rows(len(images), keep, self.memory)
        missing = []
        for key, where in rows.items():
            found = store.read(key) if store else None
            if found is None:
                missing.append(key)
            else:
                out.put(where, found)
        images.take([rows[key][0] for key in missing]).check()

        bar = tqdm(
            total=len(missing),
            desc=f"{backbone.name} maps",
            unit="image",
            disable=not self.verbose or not missing,
        )
        with ThreadPoolExecutor(max(1, self.num_workers)) as pool, bar:
            while missing:
                claim = missing[: _BATCHES_A_CLAIM * self.batch_size]
                with store.claim(claim) if store else _all(claim) as mine:
                    # Another process may have computed some between look and claim.
                    todo = []
                    for key in mine:
                        found = store.read(key) if store else None
                        if found is None:
                            todo.append(key)
                        else:
                            out.put(rows[key], found)
                    items = [rows[key][0] for key in todo]
                    cuts = [
                        slice(start, start + self.batch_size)
                        for start in range(0, len(todo), self.batch_size)
                    ]
                    batches = self._batches(
                        pool, images, [items[cut] for cut in cuts], backbone.image_size
                    )
                    for cut, pixels in zip(cuts, batches, strict=True):
                        batch = backbone.feature_maps(pixels, device, compute)
                        pictures = zip(*(maps.numpy() for maps in batch), strict=True)
                        for key, own in zip(todo[cut], pictures, strict=True):
                            one = _to_dtype(own, keep, images, rows[key][0])
                            # A file may have changed since it was found missing.
                            if store and images.content_key(rows[key][0]) == key:
                                store.write(key, one)
                            out.put(rows[key], one)
                bar.update(len(mine))
                claimed = set(mine)
                missing = [key for key in missing if key not in claimed]
        return out.array()

    def _open_store(self, backbone: Backbone, compute, keep) -> MapStore | None:
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
            "dtype": str(keep),
        }
        return MapStore(self.memory, identity)

    def _batches(
        self,
        pool: ThreadPoolExecutor,
        images: Images,
        cuts: Sequence[Sequence[int]],
        size: int,
    ) -> Iterator[np.ndarray]:
        """Yield decoded batches, the next one being decoded behind each."""

        def read(item: int) -> np.ndarray:
            return preprocess(images.load(item), size)

        if self.num_workers == 0:
            for cut in cuts:
                yield np.stack([read(item) for item in cut])
            return
        waiting: list[list[Future]] = []
        for cut in cuts:
            waiting.append([pool.submit(read, item) for item in cut])
            if len(waiting) > 1:
                yield np.stack([future.result() for future in waiting.pop(0)])
        for futures in waiting:
            yield np.stack([future.result() for future in futures])


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` or a device's name into a torch device.

    Raises
    ------
    ValueError
        For a name torch does not know, or a GPU that is not there.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]} "
            'device="auto" takes a GPU where there is one and the CPU otherwise.'
        ) from error
    return resolved


def _compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return getattr(torch, precision)


def _to_dtype(
    maps: Sequence[np.ndarray], keep: np.dtype, images: Images, item: int
) -> tuple[np.ndarray, ...]:
    largest = max(float(np.abs(one).max()) for one in maps)
    if largest > float(np.finfo(keep).max):
        raise ValueError(
            f"the map of {images.describe(item)} reaches {largest:.3g}, beyond "
            'float16; use precision="float32".'
        )
    return tuple(one.astype(keep) for one in maps)


def _whole(value, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and value >= least


def separate(maps: np.ndarray) -> list[np.ndarray]:
    """Take apart what `FeatureMaps.transform` gives: one array (n, …) a map."""
    if maps.dtype.names is None:
        return [maps]
    return [maps[name] for name in maps.dtype.names]


@contextlib.contextmanager
def _all(keys: list[str]) -> Iterator[list[str]]:
    yield keys


class _Rows:
    """The output array, made when the first maps tell their shapes."""

    def __init__(self, n: int, dtype: np.dtype, folder: str | os.PathLike | None):
        self._n, self._dtype, self._folder = n, dtype, folder
        self._out: np.ndarray | None = None

    def put(self, where: Sequence[int], maps: Sequence[np.ndarray]) -> None:
        if self._out is None:
            self._out = self._allocate([one.shape for one in maps])
        for own, one in zip(separate(self._out), maps, strict=True):
            own[where] = one

    def _allocate(self, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
        if len(shapes) == 1:
            return allocate((self._n, *shapes[0]), self._dtype, self._folder)
        fields = [(f"map{i}", self._dtype, shape) for i, shape in enumerate(shapes)]
        return allocate((self._n,), np.dtype(fields), self._folder)

    def array(self) -> np.ndarray:
        assert self._out is not None
        return self._out


def allocate(
    shape: tuple[int, ...], dtype, folder: str | os.PathLike | None = None
) -> np.ndarray:
    """Make an uninitialised array, on disk where it is large for this machine.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype
    folder : str or path, optional
        Where the temporary file of a large array goes; default: the system's
        folder for temporary files. The file vanishes with the array.

    Returns
    -------
    ndarray, on disk where it would take over a quarter of the free memory
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= _IN_MEMORY_SHARE * psutil.virtual_memory().available:
        return np.empty(shape, dtype)
    where = Path(folder).expanduser() if folder is not None else None
    with tempfile.TemporaryFile(dir=where) as file:
        file.truncate(n_bytes)
        # No np.memmap: joblib hands those on by a file's name, and this one has none.
        mapped = mmap.mmap(file.fileno(), n_bytes)
    return np.frombuffer(mapped, dtype).reshape(shape)
