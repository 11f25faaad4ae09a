"""Devices by their names, and the precision that each computes in."""

from __future__ import annotations

import pytest
import torch

from skdpnet.utils.devices import extraction_dtype, learning_dtype, resolve_device

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_device_auto_is_an_available_device():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.backends.mps.is_available():
        assert resolve_device("auto").type == expected


@pytest.mark.parametrize("number", [0, 1])
def test_device_auto_has_the_number_of_the_gpu(monkeypatch, number):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: number)
    assert resolve_device("auto") == torch.device("cuda", number)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_device_cuda_has_the_number_of_the_current_gpu():
    current = torch.cuda.current_device()
    assert resolve_device("cuda") == torch.device("cuda", current)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "", None, 1.5])
def test_unknown_and_missing_devices_are_refused(device):
    with pytest.raises(ValueError, match='cannot be used here.*device="auto"'):
        resolve_device(device)


@pytest.mark.parametrize("device", ["mps", "xpu", "hpu", "xla", "vulkan"])
def test_a_backend_that_torch_lacks_is_refused_in_a_sentence(device):
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError):
        with pytest.raises(ValueError, match=f"device='{device}' cannot") as refused:
            resolve_device(device)
        assert len(str(refused.value)) < 300
        assert 'device="auto" takes' in str(refused.value)
    else:
        assert resolve_device(device).type == device


def test_a_device_without_values_is_refused():
    with pytest.raises(ValueError, match="device='meta' cannot be used.*no values"):
        resolve_device("meta")


def test_the_backbone_computes_in_float16_on_cuda_by_default():
    assert extraction_dtype("auto", CUDA) == torch.float16
    assert extraction_dtype("auto", CPU) == torch.float32
    for precision in ("float32", "bfloat16", "float16"):
        assert extraction_dtype(precision, CPU) == getattr(torch, precision)


@pytest.mark.parametrize("has_amx", [True, False])
def test_parts_are_learned_in_bfloat16_by_default_where_it_is_much_faster(
    monkeypatch, has_amx
):
    capabilities = {"avx512_bf16": True, "amx_bf16": has_amx}
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: capabilities, raising=False
    )
    expected = torch.bfloat16 if has_amx else None
    assert learning_dtype("auto", CPU) == expected


def test_parts_are_learned_in_bfloat16_by_default_on_gpus_that_have_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for is_native in (True, False):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda native=is_native, **options: native
        )
        expected = torch.bfloat16 if is_native else None
        assert learning_dtype("auto", CUDA) == expected


def test_parts_are_learned_in_the_precision_that_is_chosen():
    assert learning_dtype("float32", CPU) is None
    assert learning_dtype("bfloat16", CPU) == torch.bfloat16
    assert learning_dtype("float16", CPU) == torch.bfloat16
