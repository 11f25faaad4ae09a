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


def cut_timm(model: Any, strides: tuple[int, ...] | None) -> nn.Module:
    """Cut a timm model at its last map, or at its last maps of some strides.

    Parameters
    ----------
    model : timm model
    strides : increasing tuple of int, or None
        None, and for models whose maps all have one stride: the last map.

    Returns
    -------
    torch.nn.Module
        N×3×S×S -> N×D×H×W, or a tuple of them, finest first.

    Raises
    ------
    ValueError
        If it has maps of none of the strides.
    """
    found = [info["reduction"] for info in model.feature_info]
    if strides is None or len(set(found)) == 1:
        return _LastMap(model)
    last = {stride: index for index, stride in enumerate(found)}
    name = model.default_cfg.get("architecture", type(model).__name__)
    return _StageMaps(model, [last[s] for s in _available(name, strides, found)])


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
    """Maps of some stages of a timm model, as N×D×H×W."""

    def __init__(self, model: Any, stages: list[int]):
        super().__init__()
        self.model = model
        self.stages = stages

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(
            self.model.forward_intermediates(
                x,
                indices=self.stages,
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
