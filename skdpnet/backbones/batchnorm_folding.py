"""Batch norms folded into the convolutions before them, which saves time."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["fold_batch_norms"]

# How far folding may move the maps, as a fraction of their norm. Float32 rounding in a
# hundred layers moves them much less.
_TOLERANCE = 1e-3


def fold_batch_norms(network: nn.Module, image_size: int) -> nn.Module:
    """Fold batch norms that take a convolution's output into that convolution.

    In evaluation mode a batch norm multiplies each channel by a factor and adds a
    constant, which the weights and the bias of the convolution can do instead. Which
    norm follows which convolution is observed while an image goes through the network,
    so that it does not matter how the network's code is written. Layers that are used
    twice, and convolutions whose output is also used elsewhere, are not folded.

    Parameters
    ----------
    network : torch.nn.Module
        From images N×3×S×S to maps; on the CPU and in evaluation mode. It must do the
        same operations for every image. It is not changed.
    image_size : int
        Side S in pixels of the images that it takes.

    Returns
    -------
    torch.nn.Module
        A folded copy; `network` itself if it has no batch norms, or if the maps of the
        copy differ (because a layer does more than its base class).
    """
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        return network
    random = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, image_size, image_size, generator=random)
    folded = copy.deepcopy(network)
    with torch.no_grad():
        for conv, norm in _pairs(folded, image):
            _replace(folded, conv, fuse_conv_bn_eval(conv, norm))
            _replace(folded, norm, _rest_of(norm))
        same = _same(network(image), folded(image))
    return folded if same else network


class _ConvOutput:
    """The output of a convolution, and what takes it.

    Parameters
    ----------
    conv : nn.Conv2d

    Attributes
    ----------
    norm : nn.BatchNorm2d or None
        The batch norm that takes the output.
    n_uses : int
        Number of operations that take the output.
    """

    def __init__(self, conv: nn.Conv2d):
        self.conv = conv
        self.norm: nn.BatchNorm2d | None = None
        self.n_uses = 0


class _Uses(TorchDispatchMode):
    """Count the operations that take each convolution's output."""

    def __init__(self, outputs: WeakTensorKeyDictionary):
        super().__init__()
        self._outputs = outputs

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for argument in (*args, *(kwargs or {}).values()):
            is_list = isinstance(argument, (list, tuple))
            for value in argument if is_list else (argument,):
                if isinstance(value, torch.Tensor) and value in self._outputs:
                    self._outputs[value].n_uses += 1
        return func(*args, **(kwargs or {}))


def _pairs(
    network: nn.Module, image: torch.Tensor
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Find convolutions whose output is taken by a batch norm and nothing else."""
    by_tensor = WeakTensorKeyDictionary()
    outputs: list[_ConvOutput] = []
    calls: dict[nn.Module, int] = {}

    def before(layer: nn.Module, args: tuple) -> None:
        calls[layer] = calls.get(layer, 0) + 1
        if isinstance(layer, nn.BatchNorm2d) and args[0] in by_tensor:
            by_tensor[args[0]].norm = layer

    def after(layer: nn.Module, args: tuple, output: Any) -> None:
        if isinstance(layer, nn.Conv2d):
            outputs.append(_ConvOutput(layer))
            by_tensor[output] = outputs[-1]

    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))
    ]
    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    with _Uses(by_tensor):
        network(image)
    for hook in hooks:
        hook.remove()
    return [
        (output.conv, output.norm)
        for output in outputs
        if output.norm is not None
        and output.norm.running_mean is not None
        and output.n_uses == calls[output.conv] == calls[output.norm] == 1
    ]


def _rest_of(norm: nn.BatchNorm2d) -> nn.Module:
    """Return the layers inside a batch norm: timm's have dropout and an activation."""
    layers = [getattr(norm, name, None) for name in ("drop", "act")]
    return nn.Sequential(
        *(
            layer
            for layer in layers
            if isinstance(layer, nn.Module) and not isinstance(layer, nn.Identity)
        )
    )


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a layer in the place of another."""
    (name,) = (name for name, layer in network.named_modules() if layer is old)
    network.set_submodule(name, new)


def _same(expected: Any, got: Any) -> bool:
    """Return whether two networks' maps of an image agree within the tolerance."""
    several = isinstance(expected, (list, tuple))
    pairs = zip(expected, got, strict=True) if several else [(expected, got)]
    # The comparison is false for NaN, which thus counts as a difference.
    return all(bool((a - b).norm() <= _TOLERANCE * a.norm()) for a, b in pairs)
