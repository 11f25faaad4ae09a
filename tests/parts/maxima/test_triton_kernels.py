"""The Triton kernels, compiled for CUDA, which needs no GPU."""

from __future__ import annotations

import pytest
import torch

from skdpnet.parts.maxima import triton_kernels as kernels

# Shared memory that a program may use, by compute capability; see the technical
# specifications in the CUDA C++ Programming Guide.
SHARED_MEMORY = {80: 163 * 1024, 86: 99 * 1024, 90: 227 * 1024}
# Types of the kernels' arguments that are no constants, in their order.
TYPES = {
    "describe": ["*bf16", "*i32", *["*fp32"] * 3, "*fp16", *["i32"] * 5],
    "maxima": ["*fp16", "*fp16", "*fp32", "*i32", "i32", "i32", "fp32"],
    "response_gradient": [
        *["*fp16", "*fp16", "*fp32", "*fp32", "*fp16"],
        *["i32", "i32", "i32", "i32", "fp32"],
    ],
    "part_gradient": ["*fp16", "*fp16", "*fp32", *["i32"] * 4],
}


def compiled(name: str, capability: int, n_channels: int, **constants):
    """Compile a kernel with the block sizes for a device."""
    triton = pytest.importorskip("triton")
    if not isinstance(getattr(kernels, name), triton.JITFunction):
        pytest.skip("Triton interprets here (TRITON_INTERPRET) and compiles nothing")
    blocks = kernels.choose_blocks(torch.device("cuda"), n_channels, exact=False)
    if name == "describe":
        arguments = {**kernels.POOLING_BLOCK, **kernels.COMPILER_OPTIONS}
    elif name == "part_gradient":
        arguments = {**blocks.part_gradient, **constants}
    else:
        arguments = {**blocks.responses, **constants}
    function = getattr(kernels, name)
    # Constants of the kernels are in capitals, options of Triton are not.
    options = {key: arguments.pop(key) for key in list(arguments) if key.islower()}
    types = dict(zip(function.arg_names, TYPES[name], strict=False))
    # Memory starts at a multiple of 16 bytes, which Triton's launcher would detect.
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, kind in enumerate(TYPES[name])
        if kind.startswith("*")
    }
    signature = {key: types.get(key, "constexpr") for key in function.arg_names}
    source = triton.compiler.ASTSource(function, signature, arguments, aligned)
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options=options)


@pytest.mark.parametrize(
    "name, capability, n_channels, constants",
    [
        ("describe", 90, 256, {}),
        ("maxima", 90, 256, {"SOFT": True}),
        ("maxima", 90, 2048, {"SOFT": False}),
        ("response_gradient", 90, 256, {}),
        ("part_gradient", 90, 2048, {}),
        ("response_gradient", 80, 256, {}),
        ("response_gradient", 86, 256, {}),
    ],
)
def test_kernels_compile_and_fit(
    monkeypatch, tmp_path, name, capability, n_channels, constants
):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    most = SHARED_MEMORY[capability]
    monkeypatch.setattr(kernels, "_shared_memory", lambda device: most)
    kernel = compiled(name, capability, n_channels, **constants)
    assert 0 < len(kernel.asm["cubin"])
    assert kernel.metadata.shared <= most
    # Products on the tensor cores, and asynchronous copies ahead of them.
    products = "wgmma" if capability == 90 else "mma.sync"
    for instruction in (products, "cp.async"):
        assert (instruction in kernel.asm["ptx"]) == (name != "describe")
