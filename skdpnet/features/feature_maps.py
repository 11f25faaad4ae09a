"""Feature maps of a frozen backbone, computed in batches and kept in a cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from tqdm.auto import tqdm

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.dense_sift import IMAGENET_MEAN
from skdpnet.backbones.loading import load_backbone
from skdpnet.features.extraction import Extractor
from skdpnet.features.extraction_parameters import EXTRACTION_CONSTRAINTS
from skdpnet.features.map_arrays import array_type, separate
from skdpnet.features.map_store import open_map_store
from skdpnet.images.collection import Images, as_images
from skdpnet.images.framing import AUTO, USUAL_SIZE, Framing, chosen_framing
from skdpnet.images.pillow_settings import CarriesPillowSettings
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.large_arrays import allocate
from skdpnet.utils.devices import extraction_dtype, on_cpu, resolve_device
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number, check_parameters

__all__ = ["FeatureMaps"]

OnNetwork = Callable[[Backbone, Framing, torch.device, torch.dtype], None]


class FeatureMaps(CarriesPillowSettings, TransformerMixin, BaseEstimator):
    """Turn images into feature maps of a frozen, pretrained network.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="efficientnet_lite0"
        ``"efficientnet_lite0"`` (embedded), ``"efficientnet_lite2"`` (of the extra
        ``skdpnet[lite2]``), ``"resnet50"``, ``"vgg19"``, ``"timm/<name>"``, or a module
        or callable from ImageNet-normalised images N×3×S×S to maps N×D×H×W, or a tuple,
        list or dict of several. A module, or the module of a bound method, is copied
        and evaluated in evaluation mode. ``"dense_sift"`` and ``"hog"`` are no
        networks: they compute maps of SIFT descriptors for four scales, and a map of
        gradient histograms (`skdpnet.backbones.HOG`), and ignore `strides`.
    weights : str or path, default=None
        A file with the weights of a backbone that comes by name, in place of those that
        it comes with, so that nothing is downloaded: a state dict that ``torch.save``
        wrote, or a file of safetensors, under the names that the backbone's library
        (timm, torchvision) gives the layers; those of "efficientnet_lite0" are timm's
        of ``tf_efficientnet_lite0``. The classifier's may be absent. None: the
        backbone's own.
    strides : sequence of int, "last" or "average", default=None
        For a named backbone, the strides of the maps, in pixels of the input per cell:
        the last map of each of these strides is returned, finest first. Strides that
        the backbone lacks are ignored. "last" adds the network's last map where that is
        none of these, because further layers follow the last stage. "average" adds the
        average of that last map over the image instead, a map of one cell. None, and
        for networks whose maps all have the same stride: the last map alone.
    image_size : int, default=None
        Side S in pixels of the square that each image is resized to. None: the usual
        size of the backbone.
    framing : {"auto", "crop", "squash", "pad", "aspect", "center"}, default="auto"
        What the network sees of an image.

        - "auto": "aspect" for a backbone that comes by name and takes images of any
          shape, if the image size is a multiple of 32; "crop" for all others.
        - "crop": the largest centred square.
        - "squash": the whole image, resized to the square whatever its aspect.
        - "pad": the whole image, whose long side is resized to S, in the middle of a
          square of the colour that the network sees as zero.
        - "aspect": the whole image, whose short side is resized to S, and its long
          side to the nearest multiple of 32, at most about 10/7 S: 320 for 224 pixels,
          to which wider images are squashed. The maps of all images are laid in the
          upper left corner of a canvas of zeros, 320×320 pixels for 224, so that they
          have one shape; regions of empty cells respond with 0. It needs a network
          that takes images of any shape, and an image size that is a multiple of 32.
        - "center": what timm or torchvision passes to the network when it measures it,
          by their crop and interpolation, pixel for pixel (see docs/inputs.md).
    batch_size : int, default=32
        Number of images that are decoded and pass through the network together. On a
        CPU, they pass through it a few at a time.
    device : str, default="auto"
        ``"auto"`` (a GPU if there is one), or any of torch's device names.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Arithmetic of the network. "auto": float16 on a GPU of CUDA, float32 on other
        devices. "bfloat16" takes 0.5 to 0.7 of the time on CPUs that have it
        (AVX512-BF16, AMX), and changes maps by about 4 % of their norm. Maps are
        float32 for ``precision="float32"`` and float16 otherwise.
    num_workers : int or "auto", default="auto"
        Number of threads that read and decode images, on a GPU ahead of the network.
        "auto": the cores that the process may use (a worker process of joblib: its
        share), at most 32. 0: the calling thread decodes.
    memory : str or path, default=None
        Folder that keeps the maps by the content of the images, so that no image passes
        through the same network twice. For each call a module also computes the maps
        of one synthetic image, and a named network does so once in each process. If
        they differ from earlier ones by more than 0.1 % of their norm, or if any of the
        network's tensors or plain attributes has changed, all maps are computed anew.
        An array of maps that is too large for the computer's memory is a temporary file
        in the folder. `skdpnet.clear_memory` makes room in it. None: nothing is kept.
    verbose : int, default=0
        1 or more: a progress bar is shown.

    Attributes
    ----------
    map_shapes_ : tuple of (H, W, D)
        The shape of each map of an image.

    See Also
    --------
    GlobalFeatures : The average of the maps, as a descriptor.
    DPNetClassifier : A classifier that computes maps itself, or takes precomputed ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import FeatureMaps
    >>> images = np.zeros((2, 40, 60, 3), dtype=np.uint8)
    >>> FeatureMaps(image_size=64).fit_transform(images).shape
    (2, 3, 3, 1280)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **EXTRACTION_CONSTRAINTS,
        "batch_size": [Number(1, whole=True)],
    }

    # An estimator that computes its maps here may be fitted: it then names the usual
    # size of that time, and is told of the network before the first maps.
    _usual_size: int | None = None
    _on_network: OnNetwork | None = None

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        batch_size: int = 32,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        memory: str | os.PathLike | None = None,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.strides = strides
        self.image_size = image_size
        self.framing = framing
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.memory = memory
        self.verbose = verbose

    def fit(self, X, y=None) -> FeatureMaps:
        """Check parameters and images, and find the shapes of the maps.

        Nothing is learned. The headers of all images are read, and the first image
        passes through the network.

        Parameters
        ----------
        X : images
            List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors;
            or a data set (of Hugging Face, torchvision or torch) of images, tuples
            (image, label) or dicts, whose labels are not looked at.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters are unusable, if the network returns no finite maps, or if
            its maps cannot be kept in `memory`: those of a function, or of a network
            that computes other maps of the same image each time.
        skdpnet.images.ImageError
            If items are not readable images; the message names all of them.
        skdpnet.exceptions.BackboneUnavailableError
            If the weights of the backbone are missing and cannot be downloaded, or if
            the file `weights` is missing or cannot be read.
        """
        check_parameters(self)
        first = as_images(X).for_fit().checked().take([0])
        (maps,) = self._iter_checked(first, to_host=True)
        self.map_shapes_ = tuple(tuple(of_map.shape[1:]) for of_map in maps)
        return self

    def fit_transform(self, X, y=None) -> np.ndarray:
        """Compute the feature maps, and set `map_shapes_`.

        Parameters
        ----------
        X : images
            As in `fit`.
        y : ignored

        Returns
        -------
        ndarray of shape (n, H, W, D), or structured array of shape (n,)
            As from `transform`.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `fit` and `transform`.
        """
        maps = self.transform(as_images(X).for_fit())
        self.map_shapes_ = tuple(
            feature_map.shape[1:] for feature_map in separate(maps)
        )
        return maps

    def transform(self, X) -> np.ndarray:
        """Compute the feature maps.

        Parameters
        ----------
        X : images
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, H, W, D)
            float32 for ``precision="float32"``, float16 otherwise. If the backbone
            returns several maps, it is a structured array of shape (n,) with the fields
            ``"map0"``, ``"map1"``, … of shape (n, H, W, D). An array of more than a
            quarter of the free memory is a memory-mapped temporary file, in the folder
            `memory` if there is one.

        Raises
        ------
        ValueError
            If parameters are unusable, or if the network returns no finite maps.
        skdpnet.images.ImageError
            If items are not readable images; the message names all of them. Headers are
            checked before the network computes anything, the rest of an image when its
            batch is decoded; with `memory`, the maps of all others are kept.
        """
        images = as_images(X)
        out, n_done = np.empty(0), 0
        for batch in self.iter_maps(images):
            if n_done == 0:
                out = allocate(*array_type(len(images), batch), self.memory)
            for array, maps in zip(separate(out), batch, strict=True):
                array[n_done : n_done + len(maps)] = maps
            n_done += len(batch[0])
        return out if n_done == len(images) else out[:n_done]

    def set_output(self, *, transform=None) -> FeatureMaps:
        """Do nothing: maps have four axes, for which no data frame has a place.

        With this method, a Pipeline that begins with maps can have its output set.

        Parameters
        ----------
        transform : ignored

        Returns
        -------
        self
        """
        return self

    def iter_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Compute the feature maps of X, some images at a time.

        The memory that it takes does not grow with the number of images. The extractor
        need not be fitted.

        Parameters
        ----------
        X : images
            As in `fit`.

        Returns
        -------
        iterator of list of ndarray of shape (n', H, W, D)
            For each map of the backbone an array of the next n' images, at most
            `batch_size`, of the dtype that `transform` returns.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `transform`. Parameters and headers of images are checked by the call,
            before the first maps are computed.
        """
        batches = self.iter_tensors(X, to_host=True)
        return ([maps.numpy() for maps in batch] for batch in batches)

    def iter_tensors(self, X, *, to_host: bool = False) -> Iterator[list[torch.Tensor]]:
        """Compute the feature maps of X as `iter_maps` does, as tensors.

        Parameters
        ----------
        X : images
            As in `fit`.
        to_host : bool, default=False
            Whether the maps are on the CPU. If not, they are on the network's device,
            which those that are computed there do not leave.

        Returns
        -------
        iterator of list of tensors of shape (n', H, W, D)
        """
        check_parameters(self)
        return self._iter_checked(as_images(X).checked(), to_host=to_host)

    @in_usual_torch_state
    def _iter_checked(
        self, images: Images, *, to_host: bool
    ) -> Iterator[list[torch.Tensor]]:
        """Iterate over the maps of images whose headers were checked."""
        device = resolve_device(self.device)
        backbone = self._load_backbone()
        framing = self._framing_for(backbone)
        compute_dtype = extraction_dtype(self.precision, device)
        if self._on_network is not None:
            self._on_network(backbone, framing, device, compute_dtype)
        map_dtype = torch.float32 if self.precision == "float32" else torch.float16
        seen_by = backbone, framing, device, compute_dtype, map_dtype
        store = None
        if self.memory is not None:
            store = open_map_store(self.memory, *seen_by)
        extractor = Extractor(images, *seen_by, self.batch_size, self.num_workers)
        return self._run(extractor, store, len(images), backbone.name, to_host)

    @in_usual_torch_state
    def _load_backbone(self) -> Backbone:
        device = resolve_device(self.device)
        how = device, self.strides, self.weights
        backbone = load_backbone(self.backbone, self.image_size, *how)
        then = self._usual_size
        if self.image_size is not None or then in (None, backbone.image_size):
            return backbone
        return load_backbone(self.backbone, then, *how)

    def input_framing(self) -> Framing:
        """Return what the network sees of an image, and at what size.

        Returns
        -------
        Framing

        Raises
        ------
        ValueError, skdpnet.exceptions.BackboneUnavailableError
            As `transform`, for the network.
        """
        if not isinstance(self.backbone, str):
            # Such a network says nothing of its size and normalisation.
            size = self.image_size or self._usual_size or USUAL_SIZE
            return chosen_framing(self.framing, size, IMAGENET_MEAN, any_shape=False)
        return self._framing_for(self._load_backbone())

    def _framing_for(self, backbone: Backbone) -> Framing:
        return chosen_framing(
            self.framing,
            backbone.image_size,
            backbone.mean,
            any_shape=backbone.any_shape,
            crop=backbone.crop,
        )

    @in_usual_torch_state
    def _run(
        self,
        extractor: Extractor,
        store: ArrayStore | None,
        n_images: int,
        name: str,
        to_host: bool,
    ) -> Iterator[list[torch.Tensor]]:
        """Iterate over the maps, under a progress bar."""
        options = {"desc": f"{name} maps", "unit": "image"}
        bar = tqdm(total=n_images, disable=not self.verbose, **options)
        with extractor, bar:
            for batch in extractor.maps(store, to_host=to_host):
                bar.update(len(batch[0]))
                yield batch

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "backbone": on_cpu(self.backbone)}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags
