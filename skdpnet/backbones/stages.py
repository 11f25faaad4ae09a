"""Networks cut at their last feature map, or at the last one of each stride."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["cut_timm", "cut_torchvision"]

# For torchvision's networks, by stride in pixels per cell: the number of layers up to
# and including the last one that gives a map of this stride.
_ENDS = {
    "resnet50": {4: 5, 8: 6, 16: 7, 32: 8},
    "vgg19": {1: 4, 2: 9, 4: 18, 8: 27, 16: 36, 32: 37},
}


def cut_torchvision(
    model: Any, name: str, strides: tuple[int, ...] | None
) -> nn.Module:
    """Cut torchvision's ResNet-50 or VGG-19 at its last map, or at several maps.

    Parameters
    ----------
    model : torchvision model
    name : {"resnet50", "vgg19"}
    strides : increasing tuple of int, or None
        None: the last map.

    Returns
    -------
    torch.nn.Module
        From images N×3×S×S to a map N×D×H×W, or to a tuple of maps, finest first.

    Raises
    ------
    ValueError
        If the network has maps of none of the strides.
    """
    ends = _ENDS[name]
    layers = list(model.features if name == "vgg19" else model.children())
    if strides is None:
        return nn.Sequential(*layers[: max(ends.values())])
    cuts = [0, *(ends[stride] for stride in _available(name, strides, list(ends)))]
    return _Stages(
        nn.Sequential(*layers[start:end]) for start, end in itertools.pairwise(cuts)
    )


def cut_timm(model: Any, strides: tuple[int, ...] | None, image_size: int) -> nn.Module:
    """Cut a timm model at its last map, or at its last map of each stride.

    If the model has a norm after its last map, that map is normalised.

    Parameters
    ----------
    model : timm model
        It is set to evaluation mode.
    strides : increasing tuple of int, or None
        None, and for models whose maps all have the same stride: the last map.
    image_size : int
        Side S in pixels of the images that the network will take.

    Returns
    -------
    torch.nn.Module
        From images N×3×S×S to a map N×D×H×W, or to a tuple of maps, finest first.

    Raises
    ------
    ValueError
        If the model has maps of none of the strides, or gives no map for images of this
        size.
    """
    model = model.eval()
    all_strides = [info["reduction"] for info in model.feature_info]
    name = model.default_cfg.get("architecture", type(model).__name__)
    candidates: list[nn.Module] = []
    if strides is None or len(set(all_strides)) == 1:
        stages: int | list[int] = 1
        candidates = [_LastMap(model)]
    else:
        last = {stride: index for index, stride in enumerate(all_strides)}
        stages = [last[stride] for stride in _available(name, strides, all_strides)]
    # Some models cannot apply their norm to the maps of stages.
    candidates += [_StageMaps(model, stages, norm) for norm in (True, False)]
    return _first_that_works(candidates, name, image_size)


def _first_that_works(
    candidates: list[nn.Module], name: str, image_size: int
) -> nn.Module:
    """Return the first module that gives maps N×D×H×W for an image."""
    image = torch.zeros(1, 3, image_size, image_size)
    problems: list[Exception] = []
    for candidate in candidates:
        try:
            with torch.no_grad():
                output = candidate(image)
            maps = output if isinstance(output, tuple) else (output,)
            shapes = [tuple(feature_map.shape) for feature_map in maps]
            if any(len(shape) != 4 for shape in shapes):
                raise ValueError(f"shapes {shapes}")
        except Exception as error:
            # timm raises errors of many kinds for what a model does not support.
            problems.append(error)
        else:
            return candidate
    raise ValueError(
        f"backbone {name!r} gives no feature map N×D×H×W of images of {image_size} "
        f"pixels: {problems[0]}"
    ) from problems[0]


def _available(
    name: str, strides: tuple[int, ...], all_strides: list[int]
) -> list[int]:
    """Return those of the strides that a network has maps of."""
    available = [stride for stride in strides if stride in all_strides]
    if not available:
        raise ValueError(
            f"backbone {name!r} has no feature map of strides={strides}; it has maps "
            f"of strides {tuple(dict.fromkeys(all_strides))}."
        )
    return available


class _Stages(nn.Sequential):
    """Modules in sequence, the outputs of which are all returned as maps."""

    def __init__(self, stages: Iterable[nn.Module]):
        super().__init__(*stages)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(x := stage(x) for stage in self)


class _StageMaps(nn.Module):
    """Maps N×D×H×W of some stages of a timm model, or of its last n stages."""

    def __init__(self, model: Any, stages: int | list[int], norm: bool):
        super().__init__()
        self.model = model
        self.stages = stages
        self.norm = norm

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(
            self.model.forward_intermediates(
                x,
                indices=self.stages,
                norm=self.norm,
                stop_early=True,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        )


class _LastMap(nn.Module):
    """The last feature map N×D×H×W of a timm model, whatever the model's layout."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.model.forward_features(x)
        if maps.ndim == 3:
            # A vision transformer has class and register tokens before its patches.
            patches = maps[:, getattr(self.model, "num_prefix_tokens", 0) :]
            height, width = self.model.patch_embed.dynamic_feat_size(x.shape[-2:])
            return patches.transpose(1, 2).unflatten(2, (height, width))
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return maps.permute(0, 3, 1, 2)
        return maps
