"""Backbones by name: frozen, pretrained networks that compute feature maps."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.batchnorm_folding import fold_batch_norms
from skdpnet.backbones.custom import freeze, load_custom
from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD, DenseSIFT
from skdpnet.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    LITE_MEAN,
    LITE_STD,
    efficientnet_lite_classifier,
    efficientnet_lite_weights,
)
from skdpnet.backbones.fingerprint import fingerprint, weights_digest
from skdpnet.backbones.hog import HOG
from skdpnet.backbones.stages import (
    AVERAGE,
    LAST,
    Strides,
    cut_timm,
    cut_torchvision,
    takes_any_shape,
)
from skdpnet.backbones.weight_files import (
    FileVersion,
    file_version,
    load_weights,
    read_weights,
)
from skdpnet.exceptions import BackboneUnavailableError
from skdpnet.images.framing import ModelCrop
from skdpnet.utils.torch_state import new_tensors_in_float32

__all__ = ["Backbone", "load_backbone"]

# Modules without weights, of their default settings.
_HANDCRAFTED: dict[str, Callable[[], nn.Module]] = {"dense_sift": DenseSIFT, "hog": HOG}
_WITHOUT_WEIGHTS = (*_HANDCRAFTED, "precomputed")
# Of their weights IMAGENET1K_V1: 224 of 256 pixels.
_TORCHVISION_CROP = ModelCrop(224 / 256, "center", "bilinear")
# The layers that are the classifiers of torchvision's networks.
_TORCHVISION_HEADS = {"resnet50": ("fc",), "vgg19": ("classifier",)}

_OFFLINE_HINT = (
    'Without a network, backbone="efficientnet_lite0" (its weights come with the '
    'package), backbone="dense_sift", "hog" and "precomputed" work.'
)


def load_backbone(
    backbone: str | Callable,
    image_size: int | None,
    device: torch.device,
    strides: Sequence[int | str] | None = None,
    weights: str | os.PathLike | None = None,
) -> Backbone:
    """Load a frozen backbone.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable
        ``"efficientnet_lite0"`` (weights embedded, no download),
        ``"efficientnet_lite2"`` (weights of the extra ``skdpnet[lite2]``, no
        download), ``"resnet50"``, ``"vgg19"`` (torchvision, IMAGENET1K_V1),
        ``"timm/<name>"`` (any timm model with a map: CNNs, vision transformers' patch
        tokens), ``"dense_sift"`` or ``"hog"`` (`DenseSIFT` and `HOG` of default
        settings, no networks); or a module or callable from ImageNet-normalised images
        N×3×S×S to maps N×D×H×W, or a tuple, list or dict of several; see
        `load_custom`.
    image_size : int or None
        Side of the input images in pixels; None: the backbone's usual size.
    device : torch.device
        Where the network will run.
    strides : sequence of int, "last" or "average", default=None
        The maps that a named network returns: its last map of each of these strides,
        in pixels of the input per cell, finest first. Strides of which it has no map
        are left out. "last": its last map too, where that is none of these. "average":
        the average of this last map, a map of one cell, in its place. None, and
        for networks whose maps all have the same stride: its last map. A module or
        callable, dense SIFT and HOG always return all their maps.
    weights : str or path, default=None
        A file with the weights of a network that comes by name, in place of those that
        it comes with: a state dict that ``torch.save`` wrote, which is read without
        running code, or a file of safetensors. Those of the classifier may be absent.

    Returns
    -------
    Backbone

    Raises
    ------
    ValueError
        If the name is not known, if the network cannot take images of this size, if it
        has none of the strides, or if `weights` are not its own.
    BackboneUnavailableError
        If weights can be neither found nor downloaded, or if their file is missing or
        cannot be read.
    """
    if weights is not None:
        if not isinstance(backbone, str) or backbone in _WITHOUT_WEIGHTS:
            raise ValueError(
                "weights= is for networks that come by name, and backbone "
                f"{_name_of(backbone)} has no such weights: use weights=None. The "
                "weights of a module are loaded before it is passed."
            )
    if isinstance(backbone, str):
        file = None if weights is None else file_version(weights)
        return _load_named(backbone, image_size, device, _increasing(strides), file)
    if callable(backbone):
        return load_custom(backbone, image_size, device)
    raise ValueError(
        f"backbone must be a name, a torch module or a callable, got an "
        f"object of type {type(backbone).__name__}."
    )


def _name_of(backbone: str | Callable) -> str:
    return repr(backbone) if isinstance(backbone, str) else type(backbone).__name__


def _increasing(strides: Sequence[int | str] | None) -> Strides | None:
    """Sort strides, which may be NumPy's numbers, with words after them."""
    if strides is None:
        return None
    words = [word for word in (LAST, AVERAGE) if word in list(strides)]
    numbers = {int(stride) for stride in strides if stride not in words}
    return (*sorted(numbers), *words)


# Cached, because a grid search fits many times with the same frozen network.
@functools.lru_cache(maxsize=2)
@new_tensors_in_float32()
def _load_named(
    name: str,
    image_size: int | None,
    device: torch.device,
    strides: Strides | None,
    file: FileVersion | None,
) -> Backbone:
    # The file's version is an argument, so that another one is not taken for it.
    path = None if file is None else file[0]
    module: nn.Module
    crop = None
    if name in EFFICIENTNET_LITE:
        size = image_size or EFFICIENTNET_LITE[name].image_size
        model = _efficientnet_lite(name, path)
        module, crop = cut_timm(model, strides, size), _timm_crop(model)
        mean, std = LITE_MEAN, LITE_STD
    elif name in ("resnet50", "vgg19"):
        module, size = _torchvision(name, strides, path), image_size or 224
        mean, std, crop = IMAGENET_MEAN, IMAGENET_STD, _TORCHVISION_CROP
    elif name in _HANDCRAFTED:
        module, size = _HANDCRAFTED[name](), image_size or 224
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif name.startswith("timm/"):
        module, size, mean, std, crop = _timm(name, image_size, strides, path)
    elif name == "precomputed":
        raise ValueError(
            'backbone="precomputed" has no network to run: pass the maps themselves to '
            "the estimators."
        )
    else:
        names = [
            *EFFICIENTNET_LITE,
            *("resnet50", "vgg19", *_HANDCRAFTED, "precomputed"),
        ]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"unknown backbone {name!r}.{hint} Known: "
            f"{', '.join(map(repr, names))}, 'timm/<model name>', a module or a "
            "callable."
        )
    module = module.eval().requires_grad_(False)
    digest, weights_alone = fingerprint(module), weights_digest(module)
    any_shape = takes_any_shape(module, size)
    module = freeze(fold_batch_norms(module, size), device)
    known = digest, any_shape, weights_alone, crop
    return Backbone(name, module, size, mean, std, *known)


def _efficientnet_lite(name: str, path: str | None) -> nn.Module:
    """Build a network with its own weights, or with those of a file."""
    if path is None:
        return efficientnet_lite_classifier(name, efficientnet_lite_weights(name))
    import timm

    model = timm.create_model(f"tf_{name}", pretrained=False)
    load_weights(model, read_weights(path), _timm_heads(model), name, path)
    return model


def _torchvision(name: str, strides: Strides | None, path: str | None) -> nn.Module:
    """Load one of torchvision's networks, cut at its maps."""
    from torchvision import models

    if path is not None:
        model = models.get_model(name)
        load_weights(model, read_weights(path), _TORCHVISION_HEADS[name], name, path)
        return cut_torchvision(model, name, strides)
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        model = models.get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:
        file = weights.url.rsplit("/", 1)[-1]
        raise BackboneUnavailableError(
            f"the weights of backbone {name!r} ({weights}) could not be loaded: "
            f"{error}. They are looked for as {torch.hub.get_dir()}/checkpoints/"
            f"{file} and downloaded from {weights.url} otherwise; put the file "
            f"there by hand, or set TORCH_HOME to where it is. {_OFFLINE_HINT}"
        ) from error
    return cut_torchvision(model, name, strides)


def _timm(name: str, image_size: int | None, strides: Strides | None, path: str | None):
    """Load a timm model, cut at its maps; return it, and how images are passed to it.

    Returns
    -------
    module, image_size, mean, std, crop
    """
    import timm

    model_name = name.removeprefix("timm/")
    architecture = model_name.partition(".")[0]
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        raise ValueError(
            f"timm knows no model {architecture!r}."
            + (f" Close names: {', '.join(close)}." if close else "")
        )
    options: dict[str, Any] = {"pretrained": path is None, "num_classes": 0}
    size_args: dict[str, Any] = {} if image_size is None else {"img_size": image_size}
    try:
        try:
            model = timm.create_model(model_name, **options, **size_args)
        except TypeError:
            # Convolutional networks take any size and have no such argument.
            model = timm.create_model(model_name, **options)
    except Exception as error:
        # The client of the Hugging Face hub raises exceptions of unrelated classes.
        raise BackboneUnavailableError(
            f"backbone {name!r} could not be loaded: {type(error).__name__}: {error}. "
            "Its weights are looked for in the Hugging Face cache (HF_HOME) and "
            f"downloaded otherwise. {_OFFLINE_HINT}"
        ) from error
    if path is not None:
        load_weights(model, read_weights(path), _timm_heads(model), name, path)
    config = timm.data.resolve_model_data_config(model)
    size = image_size or config["input_size"][-1]
    module = cut_timm(model, strides, size)
    mean, std = tuple(config["mean"]), tuple(config["std"])
    return module, size, mean, std, _timm_crop(model)


def _timm_heads(model: Any) -> Sequence[str]:
    """Return the names of the layers that are a timm model's classifier."""
    heads = model.pretrained_cfg.get("classifier") or ()
    return (heads,) if isinstance(heads, str) else tuple(heads)


def _timm_crop(model: Any) -> ModelCrop | None:
    """Return what of an image timm passes to a model when it measures it."""
    import timm

    config = timm.data.resolve_model_data_config(model)
    interpolation = config["interpolation"]
    if interpolation.upper() not in Image.Resampling.__members__:
        return None
    return ModelCrop(float(config["crop_pct"]), config["crop_mode"], interpolation)
