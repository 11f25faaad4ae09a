"""Networks that users pass: modules, methods of modules, and functions."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.backbones.fingerprint import fingerprint

__all__ = ["freeze", "load_custom"]

_USUAL_SIZE = 224
# Those of weights that are converted to float32.
_OTHER_DTYPES = (torch.float16, torch.bfloat16, torch.float64)
# Layers whose output for an image depends on chance, or on the other images of a batch,
# as long as they are in training mode.
_CHANGING_LAYERS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.dropout._DropoutNd,
)


def load_custom(
    backbone: Callable, image_size: int | None, device: torch.device
) -> Backbone:
    """Load a network that the user passed.

    Parameters
    ----------
    backbone : torch.nn.Module or callable
        From ImageNet-normalised images N×3×S×S to maps N×D×H×W. A module is copied, and
        so is the module of a bound method; the user's own is not changed. Weights of
        another precision than float32 become float32, unless the network takes float32
        images as it is. Other callables are called as they are.
    image_size : int or None
        Side of the input images in pixels; None: 224.
    device : torch.device
        Where the network will run.

    Returns
    -------
    Backbone

    Raises
    ------
    ValueError
        If the network has no weights yet, if it cannot be copied, or if a function
        calls a module that is in training mode.
    """
    size = image_size or _USUAL_SIZE
    settings = size, IMAGENET_MEAN, IMAGENET_STD
    module = _as_module(backbone)
    if module is None:
        name = getattr(backbone, "__name__", type(backbone).__name__)
        _check_modes(name, backbone)
        return Backbone(name, backbone, *settings, "")
    name = module.name if isinstance(module, _Call) else type(module).__name__
    _check_weights(name, module)
    _check_frozen_script(name, module)
    # With gradients, copies of TorchScript's parameters could not be frozen.
    with torch.no_grad():
        module = freeze(_copied(name, module), device)
        module = _in_float32(module, size, device)
    return Backbone(name, module, *settings, fingerprint(module))


def freeze(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a module, and set evaluation mode (fixed batch norms) and no gradients.

    Parameters
    ----------
    module : torch.nn.Module
        It is changed.
    device : torch.device

    Returns
    -------
    torch.nn.Module
    """
    module = module.to(device)
    try:
        module = module.eval()
    except NotImplementedError:
        # The graph of an exported program is fixed in the mode of its export.
        pass
    # Modules of TorchScript have no method for all parameters.
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module.to(memory_format=torch.channels_last)


class _Call(nn.Module):
    """A call of a module's method, with further arguments."""

    def __init__(self, module: nn.Module, method: str, args: tuple, keywords: dict):
        super().__init__()
        self.module, self.method = module, method
        self.args, self.keywords = args, keywords

    @property
    def name(self) -> str:
        """The name of the module and of its method, for messages."""
        name = type(self.module).__name__
        return name if self.method == "__call__" else f"{name}.{self.method}"

    def forward(self, images: torch.Tensor) -> Any:
        """Call the method."""
        return getattr(self.module, self.method)(*self.args, images, **self.keywords)


def _as_module(backbone: Callable) -> nn.Module | None:
    """Return the module whose weights a callable uses, None if it is a function."""
    if isinstance(backbone, nn.Module):
        return backbone
    if isinstance(backbone, functools.partial):
        module = _as_module(backbone.func)
        if isinstance(module, _Call):
            keywords = {**module.keywords, **backbone.keywords}
            args = (*module.args, *backbone.args)
            return _Call(module.module, module.method, args, keywords)
        if module is not None:
            return _Call(module, "__call__", backbone.args, backbone.keywords)
    if isinstance(backbone, MethodType) and isinstance(backbone.__self__, nn.Module):
        module, name = backbone.__self__, backbone.__name__
        # A method that was put into another class's instance has no name there.
        if getattr(module, name, None) == backbone:
            return _Call(module, name, (), {})
    return None


def _check_weights(name: str, module: nn.Module) -> None:
    """Check that all tensors of a module have values."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for key, tensor in tensors:
        if is_lazy(tensor):
            raise ValueError(
                f"backbone {name!r} has a parameter without a shape, {key!r}, as lazy "
                "layers have. Call the network once, and load its weights, before it "
                "is passed."
            )
        if tensor.is_meta:
            raise ValueError(
                f"backbone {name!r} has no weights: its tensor {key!r} is on the "
                'device "meta", which keeps shapes alone. Make the network on another '
                "device, or call its to_empty(device=...), and load the weights."
            )


def _check_frozen_script(name: str, module: nn.Module) -> None:
    """Check that the weights in a frozen script are of float32.

    They are constants of its graph, which cannot be converted. Some versions of torch
    crash where such a graph is run on images of another dtype.
    """
    if not isinstance(module, torch.jit.ScriptModule) or [*module.parameters()]:
        return
    graph = getattr(module, "inlined_graph", None)
    for node in graph.findAllNodes("prim::Constant") if graph is not None else ():
        if "value" not in node.attributeNames() or node.kindOf("value") != "t":
            continue
        tensor = node.t("value")
        if tensor.ndim and tensor.dtype in _OTHER_DTYPES:
            raise ValueError(
                f"backbone {name!r} is a frozen script with weights of {tensor.dtype}. "
                "Convert the network by its method float() before "
                "torch.jit.freeze(torch.jit.script(network))."
            )


def _copied(name: str, module: nn.Module) -> nn.Module:
    """Copy a module, so that the user's own is never changed."""
    # torch copies no tensor that was computed from others, such as the weights of
    # torch.nn.utils.weight_norm and prune, or activations that a hook keeps.
    memo: dict[int, Any] = {}
    seen: set[int] = set()
    for part in module.modules():
        for tensor in _computed_tensors(vars(part), seen):
            memo[id(tensor)] = tensor.detach().clone()
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        # What an attribute's own code raises may be of any kind.
        raise ValueError(
            f"backbone {name!r} cannot be copied, which protects it from changes: "
            f"{type(error).__name__}: {error}. Remove the attribute that "
            "copy.deepcopy(network) fails on, or pass a function that calls the "
            "network, which must be in evaluation mode."
        ) from error


def _computed_tensors(value: Any, seen: set[int]) -> Iterator[torch.Tensor]:
    """Yield the tensors in an object's containers that were computed from others."""
    if isinstance(value, torch.Tensor):
        if not value.is_leaf:
            yield value
    elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _computed_tensors(item, seen)


def _in_float32(module: nn.Module, size: int, device: torch.device) -> nn.Module:
    """Convert a module's weights to float32, if it does not take float32 images."""
    if not any(tensor.dtype in _OTHER_DTYPES for tensor in module.parameters()):
        return module
    image = torch.zeros(1, 3, size, size, dtype=torch.float32, device=device)
    try:
        module(image)
    except Exception:
        # Whatever is wrong with it otherwise will be told with the first image.
        return module.float()
    return module


def _check_modes(name: str, function: Callable) -> None:
    """Check that the modules that a function refers to are in evaluation mode."""
    for module in _modules_of(function):
        for layer in module.modules():
            if layer.training and isinstance(layer, _CHANGING_LAYERS):
                raise ValueError(
                    f"backbone {name!r} calls a {type(module).__name__} in training "
                    f"mode, where {type(layer).__name__} makes the maps of an image "
                    "depend on chance or on other images. Call its eval() first, or "
                    "pass the module itself."
                )


def _modules_of(function: Callable) -> Iterator[nn.Module]:
    """Yield the modules in a function's closure, names and attributes."""
    values = list(getattr(function, "__dict__", {}).values())
    if isinstance(function, functools.partial):
        values += [function.func, *function.args, *function.keywords.values()]
    if inspect.isfunction(function):
        names = {*function.__code__.co_names} & function.__globals__.keys()
        values += [function.__globals__[name] for name in names]
        values += function.__defaults__ or ()
        for cell in function.__closure__ or ():
            # A name of the enclosing function may have no value yet.
            with contextlib.suppress(ValueError):
                values.append(cell.cell_contents)
    for value in values:
        if isinstance(value, MethodType):
            value = value.__self__
        if isinstance(value, nn.Module):
            yield value
