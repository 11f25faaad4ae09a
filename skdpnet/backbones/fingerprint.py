"""What a network computes, as a short text that changes whenever that may change."""

from __future__ import annotations

import contextlib
import dis
import functools
import hashlib
import platform
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

__all__ = ["fingerprint"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
# Functions, classes and modules name one another, in circles too.
_READ_ONCE = (types.FunctionType, type, types.ModuleType, nn.Module)


def fingerprint(value: Any) -> str:
    """Digest an object: its state, and the code that it runs.

    Objects are taken apart as for pickling; addresses, and the order of sets, leave
    no trace, so that every process finds the same. Functions are read with the
    globals that they use, as far as these can be taken apart, unless they are an
    installed package's, which its version tells.

    Parameters
    ----------
    value : object
        For instance a torch module.

    Returns
    -------
    str
        32 hexadecimal digits; empty where something cannot be taken apart.
    """
    reader = _Reader({})
    try:
        reader.read(value)
    except Exception:
        # Whatever an object's own pickling raises.
        return ""
    return reader.digest.hexdigest()


class _Reader:
    """Feeds an object to a digest.

    Parameters
    ----------
    met : dict
        What was read and is not read again, with its number.
    """

    def __init__(self, met: dict[Any, int]):
        self.digest = hashlib.blake2b(digest_size=16)
        self.met = met

    def read(self, *values: Any) -> None:
        self._note(str(len(values)))
        for value in values:
            self._note(type(value).__qualname__)
            if type(value) in _PLAIN:
                self._note(repr(value))
            elif isinstance(value, torch.Tensor):
                self._read_tensor(value)
            elif isinstance(value, _READ_ONCE):
                self._read_once(value)
            elif (parts := _parts(value)) is not None:
                self.read(*parts)
            elif isinstance(value, (set, frozenset)):
                self._read_set(value)
            else:
                self._read_reduced(value)

    def _note(self, text: str) -> None:
        raw = text.encode(errors="surrogatepass")
        self.digest.update(b"%d:%b" % (len(raw), raw))

    def _read_tensor(self, tensor: torch.Tensor) -> None:
        self._note(f"{tensor.dtype} {tuple(tensor.shape)}")
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        self.digest.update(raw.numpy().data)

    def _read_set(self, values: set | frozenset) -> None:
        each = []
        for value in values:
            # What one element met must not tell in which order they came.
            reader = _Reader(dict(self.met))
            reader.read(value)
            each.append(reader.digest.hexdigest())
        self.read(*sorted(each))

    def _read_once(self, value: Any) -> None:
        known = value in self.met
        self._note(str(self.met.setdefault(value, len(self.met))))
        if known:
            return
        if isinstance(value, nn.Module) and is_parametrized(value):
            # These refuse to be pickled.
            self.read(type(value), vars(value))
        elif isinstance(value, nn.Module):
            self._read_reduced(value)
        elif isinstance(value, types.ModuleType):
            version = _version(value.__name__)
            self._note(f"{value.__name__} {version}")
            if version is None:
                self.digest.update(Path(str(value.__file__)).read_bytes())
        elif address := _address(value):
            self._note(address)
        elif isinstance(value, type):
            self._read_class(value)
        else:
            self._read_function(value)

    def _read_class(self, cls: type) -> None:
        self.read(*cls.__bases__)
        for name, member in vars(cls).items():
            # Besides functions, what Python and `abc` write into a class themselves.
            special = name.startswith("__") and name.endswith("__")
            if isinstance(member, types.FunctionType) or not (
                special or name == "_abc_impl"
            ):
                self.read(name, member)

    def _read_function(self, function: types.FunctionType) -> None:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        self.read(function.__defaults__, function.__kwdefaults__, cells)
        self.read(function.__code__)
        around = function.__globals__
        if _version(around.get("__name__", "")) is None:
            for name in dict.fromkeys(_globals(function.__code__)):
                if name in around:
                    self._read_global(name, around[name])

    def _read_global(self, name: str, value: Any) -> None:
        # A lock, say: no number comes of it. Refusing would cost the whole cache.
        with contextlib.suppress(Exception):
            self.read(name, value)

    def _read_reduced(self, value: Any) -> None:
        """Read what pickle would make an object of again."""
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            # The name of a global, which may wrap a function.
            self.read(reduced, getattr(value, "__wrapped__", None))
        else:
            self.read(*(list(r) if isinstance(r, Iterator) else r for r in reduced))


def _parts(value: Any) -> tuple | None:
    """Return what containers and wrapped functions consist of; None for others."""
    if type(value) in (tuple, list):
        return tuple(value)
    if type(value) is dict:
        return (*value, *value.values())
    if isinstance(value, types.CodeType):
        return value.co_code, value.co_names, value.co_consts
    if isinstance(value, types.BuiltinFunctionType):
        return value.__qualname__, value.__self__
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget,)
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, torch.fx.Graph):
        # torchvision's feature extractors hold them: a long chain of nodes.
        return (value.python_code("self").src,)
    return None


def _version(module: str) -> str | None:
    """Tell an installed package's version; None where code may change without one."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return platform.python_version()
    if top == "skdpnet":
        # Wherever it is installed; what changes its maps is part of a cache's key.
        return ""
    package = sys.modules.get(top)
    place = Path(getattr(package, "__file__", None) or "").parts
    if "site-packages" in place or "dist-packages" in place:
        return str(getattr(package, "__version__", ""))
    return None


def _address(value: Any) -> str:
    """Name an installed package's class or function; empty for all others."""
    module, path = value.__module__ or "", value.__qualname__
    version = _version(module)
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    known = found is value and version is not None
    return f"{module} {version} {path}" if known else ""


def _globals(code: types.CodeType) -> Iterator[str]:
    """Name the globals that code uses, the functions inside it included."""
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals(inner)
