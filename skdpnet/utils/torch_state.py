"""The state in which torch computes, whatever state the caller has set.

Callers may have turned gradients off, turned autocast on, or chosen another device for
new tensors; each holds for one thread. What an estimator computes does not depend on
them. The dtype of new tensors holds for the whole process, so it is not set here: code
of this package names the dtype of each tensor that it makes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from skdpnet.utils.forks import ForkSafeLock

__all__ = ["in_usual_torch_state", "new_tensors_in_float32", "usual_torch_state"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_dtype_lock = ForkSafeLock(reentrant=True)


@contextlib.contextmanager
def usual_torch_state() -> Iterator[None]:
    """Let torch compute as in a new process: with gradients, on the CPU, as written."""
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def in_usual_torch_state(function: _Function) -> _Function:
    """Decorate a function or a generator function to run in `usual_torch_state`.

    Between two items of a generator, the caller's state holds.
    """
    if not inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def run(*args, **kwargs):
            with usual_torch_state():
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    @functools.wraps(function)
    def iterate(*args, **kwargs):
        with contextlib.closing(function(*args, **kwargs)) as items:
            while True:
                with usual_torch_state():
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

    return iterate  # type: ignore[return-value]


@contextlib.contextmanager
def new_tensors_in_float32() -> Iterator[None]:
    """Let other libraries make their tensors in float32, in one thread at a time.

    Where the user has chosen another default, other threads see float32 meanwhile.
    """
    with _dtype_lock:
        default = torch.get_default_dtype()
        if default == torch.float32:
            yield
            return
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)
