"""What a network returns: one map or several, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["output_maps"]


def output_maps(
    name: str, output: Any, images: tuple[int, int, int]
) -> list[torch.Tensor]:
    """Return the maps in what a network returned.

    Parameters
    ----------
    name : str
        The network's name, for messages.
    output : tensor of shape (N, D, H, W), or tuple, list or dict of several
        What the network returned.
    images : (int, int, int)
        Number, height and width of the images that it was given.

    Returns
    -------
    list of tensors of shape (N, D, H, W)
        In the order of the tuple, list or dict; of numbers that are not complex.

    Raises
    ------
    ValueError
        If one of them is no such map; the message says which, and what to do.
    """
    if isinstance(output, Mapping):
        named = [(f"output {key!r} of ", value) for key, value in output.items()]
    elif isinstance(output, (tuple, list)):
        named = [(f"output {i} of ", value) for i, value in enumerate(output)]
    else:
        named = [("the output of ", output)]
    if not named:
        raise ValueError(
            f"backbone {name!r} returned an empty {type(output).__name__}. It must "
            "return a feature map N×D×H×W, or a tuple, list or dict of several."
        )
    return [
        _checked(f"{which}backbone {name!r}", value, images) for which, value in named
    ]


def _checked(which: str, value: Any, images: tuple[int, int, int]) -> torch.Tensor:
    """Check one map."""
    if not isinstance(value, torch.Tensor) or value.ndim != 4:
        raise ValueError(
            f"{which} must be a feature map N×D×H×W (a 4-D tensor), got "
            f"{_described(value)}. {_remedy(value, images[0])}"
        )
    shape = tuple(value.shape)
    if value.layout != torch.strided or value.is_complex():
        raise ValueError(
            f"{which} must be a dense tensor of real numbers, got one of {value.dtype} "
            f"and layout {value.layout}."
        )
    n, height, width = images
    if len(value) != n:
        raise ValueError(
            f"{which} must be one feature map per image, got {len(value)} for {n} "
            f"images (shape {shape})."
        )
    if 0 in shape:
        raise ValueError(f"{which} is an empty feature map, of shape {shape}.")
    _, rows, columns, depth = shape
    # Read as N×D×H×W, it would not be of the images' shape, which read otherwise it is.
    if columns * width != depth * height and rows * width == columns * height:
        raise ValueError(
            f"{which} has its channels last: its map of images of {height}×{width} "
            f"pixels is of shape {shape}, but must be N×D×H×W. Return "
            "maps.permute(0, 3, 1, 2)."
        )
    return value.float() if value.dtype == torch.bool else value


def _remedy(value: Any, n: int) -> str:
    """Return how to get a map from something else that a network returned."""
    if isinstance(value, torch.Tensor) and value.ndim == 3 and len(value) == n:
        return (
            "Tokens N×R×D of H×W cells become a map by "
            "tokens.transpose(1, 2).unflatten(2, (H, W)), without class tokens."
        )
    return (
        "Cut the network before its pooling and classification layers, so that it "
        "returns such a tensor, or a tuple, list or dict of several."
    )


def _described(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"an object of type {type(value).__name__}"
