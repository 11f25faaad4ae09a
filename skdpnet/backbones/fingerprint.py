"""Fingerprints of networks, which change whenever their maps may change."""

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
# Read once and then referred to by number, because they can refer to one another in
# circles.
_READ_ONCE = (types.FunctionType, type, types.ModuleType, nn.Module)


def fingerprint(value: Any) -> str:
    """Digest an object: its state, and the code that it runs.

    Objects are read as `pickle` reads them, independently of memory addresses and of
    the order of sets, so that every process computes the same fingerprint. Functions
    are read with the globals that they use, except globals that cannot be read.

    Classes and functions of installed packages are represented by name and version of
    their package. Those of skdpnet itself are represented by their names alone,
    wherever skdpnet is installed; changes of skdpnet that change maps must change the
    key of the cache (see `skdpnet.features.feature_maps`).

    Parameters
    ----------
    value : object
        For instance a torch module.

    Returns
    -------
    str
        32 hexadecimal digits; empty if something cannot be read.
    """
    reader = _Reader({})
    try:
        reader.read(value)
    except Exception:
        # Pickling an object can raise almost any exception.
        return ""
    return reader.digest.hexdigest()


class _Reader:
    """Adds objects to a digest.

    Parameters
    ----------
    numbers : dict
        Numbers of the functions, classes and modules that have been read already.
    """

    def __init__(self, numbers: dict[Any, int]):
        self.digest = hashlib.blake2b(digest_size=16)
        self._numbers = numbers

    def read(self, *values: Any) -> None:
        """Add values and their types to the digest.

        Parameters
        ----------
        *values : object

        Raises
        ------
        Exception
            Of any kind, if a value cannot be read.
        """
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
        # With its length, so that "ab", "c" differs from "a", "bc".
        raw = text.encode(errors="surrogatepass")
        self.digest.update(b"%d:%b" % (len(raw), raw))

    def _read_tensor(self, tensor: torch.Tensor) -> None:
        self._note(f"{tensor.dtype} {tuple(tensor.shape)}")
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        self.digest.update(raw.numpy().data)

    def _read_set(self, values: set | frozenset) -> None:
        digests = []
        for value in values:
            # Each element has a reader of its own: numbers that another element
            # assigned would depend on the order of the set.
            reader = _Reader(dict(self._numbers))
            reader.read(value)
            digests.append(reader.digest.hexdigest())
        self.read(*sorted(digests))

    def _read_once(self, value: Any) -> None:
        was_read = value in self._numbers
        self._note(str(self._numbers.setdefault(value, len(self._numbers))))
        if was_read:
            return
        if isinstance(value, nn.Module) and is_parametrized(value):
            # torch refuses to pickle them.
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
            # Python and `abc` add attributes of their own, which may differ between
            # processes; functions with special names are the user's code.
            special = name.startswith("__") and name.endswith("__")
            if isinstance(member, types.FunctionType) or not (
                special or name == "_abc_impl"
            ):
                self.read(name, member)

    def _read_function(self, function: types.FunctionType) -> None:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        self.read(function.__defaults__, function.__kwdefaults__, cells)
        self.read(function.__code__)
        namespace = function.__globals__
        if _version(namespace.get("__name__", "")) is None:
            for name in dict.fromkeys(_globals(function.__code__)):
                if name in namespace:
                    self._read_global(name, namespace[name])

    def _read_global(self, name: str, value: Any) -> None:
        # Globals that cannot be read, locks for instance, rarely affect what is
        # computed; without a fingerprint the network could not use the cache at all.
        with contextlib.suppress(Exception):
            self.read(name, value)

    def _read_reduced(self, value: Any) -> None:
        """Read what `pickle` would store of an object."""
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            # The name of a global, which may wrap a function.
            self.read(reduced, getattr(value, "__wrapped__", None))
        else:
            self.read(*(list(r) if isinstance(r, Iterator) else r for r in reduced))


def _parts(value: Any) -> tuple | None:
    """Return what containers and wrapped functions consist of, None for others."""
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
        # In torchvision's feature extractors; read node by node they would exceed the
        # limit on recursion.
        return (value.python_code("self").src,)
    return None


def _version(module: str) -> str | None:
    """Return an installed package's version, None for code without a version."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return platform.python_version()
    if top == "skdpnet":
        # Wherever it is installed, from a checkout too; see `fingerprint`.
        return ""
    package = sys.modules.get(top)
    folders = Path(getattr(package, "__file__", None) or "").parts
    if "site-packages" in folders or "dist-packages" in folders:
        return str(getattr(package, "__version__", ""))
    return None


def _address(value: Any) -> str:
    """Return version and name of a packaged class or function, "" for all others."""
    module, path = value.__module__ or "", value.__qualname__
    version = _version(module)
    named: Any = sys.modules.get(module)
    for name in path.split("."):
        named = getattr(named, name, None)
    is_packaged = named is value and version is not None
    return f"{module} {version} {path}" if is_packaged else ""


def _globals(code: types.CodeType) -> Iterator[str]:
    """Yield the names of the globals that code uses, including inner functions."""
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals(inner)
