"""Where in a network its feature maps are: the last map, or the last of each stride."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["cut_timm", "cut_torchvision"]

# torchvision's layers up to which maps have a stride, in pixels a cell.
_ENDS = {
    "resnet50": {4: 5, 8: 6, 16: 7, 32: 8},
    "vgg19": {1: 4, 2: 9, 4: 18, 8: 27, 16: 36, 32: 37},
}


def cut_torchvision(
    model: Any, name: str, strides: tuple[int, ...] | None
) -> nn.Module:
    """Cut torchvision's ResNet-50 or VGG-19 at its last map, or at several.

    Parameters
    ----------
    model : torchvision model
    name : {"resnet50", "vgg19"}
    strides : increasing tuple of int, or None
        None: the last map.

    Returns
    -------
    torch.nn.Module
        N×3×S×S -> N×D×H×W, or a tuple of them, finest first.

    Raises
    ------
    ValueError
        If it has maps of none of the strides.
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
    """Cut a timm model at its last map, or at its last maps of some strides.

    Where a model's norm is after its last map, that map is normalised.

    Parameters
    ----------
    model : timm model
        Is set to evaluation mode.
    strides : increasing tuple of int, or None
        None, and for models whose maps all have one stride: the last map.
    image_size : int
        Side S in pixels of the images that it will take.

    Returns
    -------
    torch.nn.Module
        N×3×S×S -> N×D×H×W, or a tuple of them, finest first.

    Raises
    ------
    ValueError
        If it has maps of none of the strides, or gives no map of images of this size.
    """
    model = model.eval()
    found = [info["reduction"] for info in model.feature_info]
    name = model.default_cfg.get("architecture", type(model).__name__)
    ways: list[nn.Module] = []
    if strides is None or len(set(found)) == 1:
        stages: int | list[int] = 1
        ways = [_LastMap(model)]
    else:
        last = {stride: index for index, stride in enumerate(found)}
        stages = [last[stride] for stride in _available(name, strides, found)]
    # Some models have no norm to offer.
    ways += [_StageMaps(model, stages, norm) for norm in (True, False)]
    return _first_that_works(ways, name, image_size)


def _first_that_works(ways: list[nn.Module], name: str, image_size: int) -> nn.Module:
    """Return the first module that gives a map of an image, or maps."""
    image = torch.zeros(1, 3, image_size, image_size)
    problems: list[Exception] = []
    for way in ways:
        try:
            with torch.no_grad():
                output = way(image)
            maps = output if isinstance(output, tuple) else (output,)
            if any(one.ndim != 4 for one in maps):
                raise ValueError(f"shapes {[tuple(one.shape) for one in maps]}")
        except Exception as error:
            # What a model lacks, timm tells with errors of many kinds.
            problems.append(error)
        else:
            return way
    raise ValueError(
        f"backbone {name!r} gives no feature map N×D×H×W of images of {image_size} "
        f"pixels: {problems[0]}"
    ) from problems[0]


def _available(name: str, strides: tuple[int, ...], found: list[int]) -> list[int]:
    """Return those of the strides that a network has maps of."""
    chosen = [stride for stride in strides if stride in found]
    if not chosen:
        raise ValueError(
            f"backbone {name!r} has no feature map of strides={strides}; it has maps "
            f"of strides {tuple(dict.fromkeys(found))}."
        )
    return chosen


class _Stages(nn.Sequential):
    """Modules in a row; the output of each is a map."""

    def __init__(self, stages: Iterable[nn.Module]):
        super().__init__(*stages)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(x := stage(x) for stage in self)


class _StageMaps(nn.Module):
    """Maps of some stages of a timm model, or of its last n, as N×D×H×W."""

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
    """A timm model's last feature map as N×D×H×W, whatever the model's own layout."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.model.forward_features(x)
        if maps.ndim == 3:
            # A vision transformer: class and register tokens first, then patches.
            patches = maps[:, getattr(self.model, "num_prefix_tokens", 0) :]
            height, width = self.model.patch_embed.dynamic_feat_size(x.shape[-2:])
            return patches.transpose(1, 2).unflatten(2, (height, width))
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return maps.permute(0, 3, 1, 2)
        return maps
