"""Batch norms folded into the convolutions before them: the same maps, in less time."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["fold_batch_norms"]

# Of the maps' norm; float32 rounding in a hundred layers stays well below it.
_TOLERANCE = 1e-3


def fold_batch_norms(network: nn.Module, image_size: int) -> nn.Module:
    """Fold each batch norm that takes a convolution's output into that convolution.

    In evaluation a batch norm is a product and a sum a channel, which the weights
    and the bias of a convolution can hold. Which convolution feeds which norm is seen
    on one image that goes through the network, so that any code may lie between
    layers; a layer used twice, or whose output is used elsewhere too, stays.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU, in evaluation mode, and doing the same to every image: from
        N×3×S×S to maps. It stays as it is.
    image_size : int
        Side S in pixels of the images it takes.

    Returns
    -------
    torch.nn.Module
        A folded copy; `network` itself where there is nothing to fold, or where the
        copy gives other maps (layers that do more than their class says).
    """
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        return network
    random = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, image_size, image_size, generator=random)
    folded = copy.deepcopy(network)
    with torch.no_grad():
        for conv, norm in _pairs(folded, image):
            _replace(folded, conv, fuse_conv_bn_eval(conv, norm))
            _replace(folded, norm, _after(norm))
        same = _same(network(image), folded(image))
    return folded if same else network


class _Made:
    """What is known of a convolution's output: who made it and how often it is used."""

    def __init__(self, conv: nn.Conv2d):
        self.conv = conv
        self.norm: nn.BatchNorm2d | None = None
        self.n_uses = 0


class _Uses(TorchDispatchMode):
    """Count the operations that take each convolution's output."""

    def __init__(self, made: WeakTensorKeyDictionary):
        super().__init__()
        self.made = made

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for given in (*args, *(kwargs or {}).values()):
            for one in given if isinstance(given, (list, tuple)) else (given,):
                if isinstance(one, torch.Tensor) and one in self.made:
                    self.made[one].n_uses += 1
        return func(*args, **(kwargs or {}))


def _pairs(
    network: nn.Module, image: torch.Tensor
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Find the convolutions whose output goes to one batch norm and nowhere else."""
    made = WeakTensorKeyDictionary()
    records: list[_Made] = []
    calls: dict[nn.Module, int] = {}

    def before(layer: nn.Module, args: tuple) -> None:
        calls[layer] = calls.get(layer, 0) + 1
        if isinstance(layer, nn.BatchNorm2d) and args[0] in made:
            made[args[0]].norm = layer

    def after(layer: nn.Module, args: tuple, output: Any) -> None:
        if isinstance(layer, nn.Conv2d):
            records.append(_Made(layer))
            made[output] = records[-1]

    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))
    ]
    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    with _Uses(made):
        network(image)
    for hook in hooks:
        hook.remove()
    return [
        (one.conv, one.norm)
        for one in records
        if one.norm is not None
        and one.norm.running_mean is not None
        and one.n_uses == calls[one.conv] == calls[one.norm] == 1
    ]


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what is left of a batch norm: timm's has an activation in it."""
    rest = [getattr(norm, name, None) for name in ("drop", "act")]
    return nn.Sequential(
        *(
            one
            for one in rest
            if isinstance(one, nn.Module) and not isinstance(one, nn.Identity)
        )
    )


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    (name,) = (name for name, layer in network.named_modules() if layer is old)
    network.set_submodule(name, new)


def _same(expected: Any, got: Any) -> bool:
    several = isinstance(expected, (list, tuple))
    pairs = zip(expected, got, strict=True) if several else [(expected, got)]
    # Written so that NaN counts as different.
    return all(bool((a - b).norm() <= _TOLERANCE * a.norm()) for a, b in pairs)
