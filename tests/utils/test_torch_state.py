"""The usual state of torch, in functions and between the items of generators."""

from __future__ import annotations

import inspect
import threading

import pytest
import torch

from skdpnet.utils.torch_state import (
    in_usual_torch_state,
    new_tensors_in_float32,
    usual_torch_state,
)


def _multiplied() -> torch.Tensor:
    x = torch.ones(2, 2, requires_grad=True)
    return x @ x


def test_tensors_have_gradients_and_their_precision():
    with torch.autocast("cpu"), torch.inference_mode(), torch.device("meta"):
        assert _multiplied().is_meta
        with usual_torch_state():
            got = _multiplied()
    assert got.dtype == torch.float32
    assert got.requires_grad and not got.is_inference()
    assert got.tolist() == [[2, 2], [2, 2]]


def test_a_function_keeps_its_signature_and_result():
    @in_usual_torch_state
    def function(first, *, second=2):
        """Return what there is."""
        return first, second, torch.is_grad_enabled()

    with torch.no_grad():
        assert function(1, second=3) == (1, 3, True)
    assert list(inspect.signature(function).parameters) == ["first", "second"]
    assert function.__doc__ == "Return what there is."


def test_the_callers_state_holds_between_the_items_of_a_generator():
    ended = []

    @in_usual_torch_state
    def generator():
        try:
            for i in range(3):
                yield i, torch.is_grad_enabled()
        finally:
            ended.append(torch.is_grad_enabled())

    with torch.no_grad():
        for i, (item, inside) in enumerate(generator()):
            assert (item, inside) == (i, True)
            assert not torch.is_grad_enabled()
        assert len(ended) == 1
        items = generator()
        next(items)
        items.close()
    assert len(ended) == 2


def test_errors_leave_the_callers_state():
    @in_usual_torch_state
    def failing():
        raise KeyError("x")

    with torch.inference_mode():
        with pytest.raises(KeyError):
            failing()
        assert torch.is_inference_mode_enabled()


def test_new_tensors_are_in_float32_until_the_last_thread_has_made_its_own():
    torch.set_default_dtype(torch.float64)
    made = []

    def make():
        with new_tensors_in_float32():
            made.extend(torch.zeros(1).dtype for _ in range(100))

    try:
        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(made) == {torch.float32}
        assert torch.zeros(1).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
