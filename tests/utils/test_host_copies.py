"""Arrays and tensors on the device where they are wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.utils.host_copies import as_tensor, copy_to_host, device_of

CPU = torch.device("cpu")


def test_arrays_become_tensors_that_share_their_memory():
    array = np.arange(6.0).reshape(2, 3)
    tensor = as_tensor(array, CPU)
    array[0, 0] = 7
    assert tensor[0, 0] == 7
    assert as_tensor(tensor, CPU) is tensor


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["read-only", "reversed", "transposed"])
def test_arrays_that_torch_does_not_take_are_copied(kind):
    array = np.arange(6.0).reshape(2, 3)
    if kind == "read-only":
        array.flags.writeable = False
    array = {"reversed": array[::-1], "transposed": array.T}.get(kind, array)
    tensor = as_tensor(array, CPU)
    np.testing.assert_array_equal(tensor.numpy(), array)
    if kind == "read-only":
        tensor.zero_()
        assert array.any()


def test_what_is_on_the_cpu_is_not_copied():
    tensors = [torch.ones(3), torch.zeros(2)]
    copies = copy_to_host(tensors)
    assert [copy.data_ptr() for copy in copies.wait()] == [
        tensor.data_ptr() for tensor in tensors
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU of CUDA")
def test_copies_from_a_gpu_are_complete_once_they_are_waited_for():
    array = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)
    on_gpu = as_tensor(array, torch.device("cuda"))
    assert device_of(on_gpu).type == "cuda"
    for _ in range(20):
        on_gpu = on_gpu * 2
    (copied,) = copy_to_host([on_gpu]).wait()
    np.testing.assert_array_equal(copied.numpy(), array * 2**20)


def test_arrays_are_on_the_cpu():
    assert device_of(np.ones(2)) == CPU
    assert device_of(torch.ones(2)) == CPU
    assert device_of(torch.ones(2, device="meta")).type == "meta"
