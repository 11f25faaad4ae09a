"""Networks cut at their last feature map, or at the last one of each stride."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from skdpnet.images.framing import STEP

__all__ = [
    "AVERAGE",
    "LAST",
    "Strides",
    "cut_timm",
    "cut_torchvision",
    "takes_any_shape",
]

# In place of a stride: the network's last map, whatever its stride.
LAST = "last"
# In place of a stride: the average of the last map over the image, a map of one cell.
AVERAGE = "average"
# Increasing strides, and `LAST`, `AVERAGE` or both after them.
Strides = tuple[int | str, ...]

# For torchvision's networks, by stride in pixels per cell: the number of layers up to
# and including the last one that gives a map of this stride.
_ENDS = {
    "resnet50": {4: 5, 8: 6, 16: 7, 32: 8},
    "vgg19": {1: 4, 2: 9, 4: 18, 8: 27, 16: 36, 32: 37},
}


def cut_torchvision(model: Any, name: str, strides: Strides | None) -> nn.Module:
    """Cut torchvision's ResNet-50 or VGG-19 at its last map, or at several maps.

    Parameters
    ----------
    model : torchvision model
    name : {"resnet50", "vgg19"}
    strides : increasing tuple of int, perhaps followed by "last" or "average", or None
        None: the last map. These networks' last map is that of stride 32.

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
    if strides is None or strides == (LAST,):
        return nn.Sequential(*layers[: max(ends.values())])
    if strides == (AVERAGE,):
        return _Averaged(nn.Sequential(*layers[: max(ends.values())]))
    available = _available(name, strides, list(ends))
    has_last = max(ends) in available
    if not has_last and (LAST in strides or AVERAGE in strides):
        available.append(max(ends))
    cuts = [0, *(ends[stride] for stride in available)]
    network = _Stages(
        nn.Sequential(*layers[start:end]) for start, end in itertools.pairwise(cuts)
    )
    # The average of a map that is returned says nothing new.
    is_averaged = not has_last and LAST not in strides and AVERAGE in strides
    return _Averaged(network) if is_averaged else network


def cut_timm(model: Any, strides: Strides | None, image_size: int) -> nn.Module:
    """Cut a timm model at its last map, or at its last map of each stride.

    If the model has a norm after its last map, that map is normalised. In some models
    further layers follow the stages, so that the last map is none of theirs.

    Parameters
    ----------
    model : timm model
        It is set to evaluation mode.
    strides : increasing tuple of int, perhaps followed by "last" or "average", or None
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
    if strides == (AVERAGE,):
        stages: int | list[int] = 1
        candidates = [_Averaged(_LastMap(model))]
    elif strides is None or strides == (LAST,) or len(set(all_strides)) == 1:
        stages = 1
        candidates = [_LastMap(model)]
    else:
        last = {stride: index for index, stride in enumerate(all_strides)}
        stages = [last[stride] for stride in _available(name, strides, all_strides)]
        if LAST in strides or AVERAGE in strides:
            with_last: list[nn.Module] = [
                _StageMapsAndLast(model, stages, norm) for norm in (True, False)
            ]
            module = _first_that_works(with_last, name, image_size)
            if not _last_is_repeated(module, image_size):
                return module if LAST in strides else _Averaged(module)
    # Some models cannot apply their norm to the maps of stages.
    candidates += [_StageMaps(model, stages, norm) for norm in (True, False)]
    return _first_that_works(candidates, name, image_size)


def _first_that_works(
    candidates: list[nn.Module], name: str, image_size: int
) -> nn.Module:
    """Return the first module that gives maps N×D×H×W for an image."""
    image = torch.zeros(1, 3, image_size, image_size, dtype=torch.float32)
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


def _available(name: str, strides: Strides, all_strides: list[int]) -> list[int]:
    """Return those of the strides that a network has maps of."""
    available = [stride for stride in all_strides if stride in strides]
    available = sorted(set(available))
    if not available:
        raise ValueError(
            f"backbone {name!r} has no feature map of strides={strides}; it has maps "
            f"of strides {tuple(dict.fromkeys(all_strides))}."
        )
    return available


def takes_any_shape(network: nn.Module, image_size: int) -> bool:
    """Find by trial whether a network takes images that are not square.

    Parameters
    ----------
    network : torch.nn.Module
        From images N×3×H×W to a map, or to a tuple of maps.
    image_size : int
        Side in pixels of the square images that it takes.

    Returns
    -------
    bool
        False too, if its maps do not have the proportions of the image: those of a
        stride that does not divide `STEP` have whole cells for some images alone. A map
        of one cell may have any.
    """
    height, width = image_size, image_size + STEP
    try:
        with torch.no_grad():
            output = network(torch.zeros(1, 3, height, width))
    except Exception:
        # Networks refuse shapes by errors of every kind.
        return False
    maps = output if isinstance(output, tuple) else (output,)
    shapes = [tuple(feature_map.shape[-2:]) for feature_map in maps]
    return all(
        rows * width == columns * height or (rows, columns) == (1, 1)
        for rows, columns in shapes
    )


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
        return _as_map(self.model, self.model.forward_features(x), x)


class _StageMapsAndLast(nn.Module):
    """Maps N×D×H×W of some stages of a timm model, and its last map after them."""

    def __init__(self, model: Any, stages: list[int], norm: bool):
        super().__init__()
        self.model = model
        self.stages = stages
        self.norm = norm

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        last, maps = self.model.forward_intermediates(
            x, indices=self.stages, norm=self.norm, output_fmt="NCHW"
        )
        return (*maps, _as_map(self.model, last, x))


class _Averaged(nn.Module):
    """The maps of a network, of which the last is averaged over the image."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = self.network(x)
        *maps, last = output if isinstance(output, tuple) else (output,)
        return (*maps, last.mean(dim=(2, 3), keepdim=True))


def _last_is_repeated(network: nn.Module, image_size: int) -> bool:
    """Return whether the last two maps of a network are the same."""
    random = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, image_size, image_size, generator=random)
    with torch.no_grad():
        *_, stage, last = network(image)
    return stage.shape == last.shape and torch.allclose(stage, last)


def _as_map(model: Any, output: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Bring the last map of a timm model, of any layout, to the form N×D×H×W."""
    if output.ndim == 3:
        # A vision transformer has class and register tokens before its patches.
        patches = output[:, getattr(model, "num_prefix_tokens", 0) :]
        height, width = model.patch_embed.dynamic_feat_size(images.shape[-2:])
        return patches.transpose(1, 2).unflatten(2, (height, width))
    if getattr(model, "output_fmt", "NCHW") == "NHWC":
        return output.permute(0, 3, 1, 2)
    return output
