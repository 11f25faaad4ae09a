"""Batches of region descriptors, from the memory of the CPU and from that of a GPU."""

import numpy as np
import pytest
import torch

from skdpnet.training.dataset import MapDataset

N = 7


@pytest.fixture
def arrays() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.random((N, n, 3), np.float32) for n in (4, 9)]


@pytest.mark.parametrize("moved", [False, True])
def test_a_batch_has_the_requested_rows(arrays, moved):
    labels, weights = np.arange(N) % 3, np.linspace(0, 1, N)
    dataset = MapDataset(arrays, labels, weights)
    if moved:
        # The CPU takes the place of a GPU: the maps become tensors.
        dataset._move_maps(torch.device("cpu"))
    rows = [5, 0, 5, 2]
    inputs, (batch_labels, batch_weights) = dataset.__getitems__(rows)
    for tensor, array in zip(inputs["maps"], arrays, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array[rows])
    np.testing.assert_array_equal(batch_labels, labels[rows])
    np.testing.assert_array_equal(batch_weights, weights[rows].astype(np.float32))
    assert len(dataset) == N


@pytest.mark.parametrize("free, fits", [(10**9, True), (2000, False)])
def test_maps_move_to_a_gpu_whose_memory_is_large_enough(
    arrays, free, fits, monkeypatch
):
    moved = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    monkeypatch.setattr(
        MapDataset, "_move_maps", lambda self, device: moved.append(device)
    )
    dataset = MapDataset(arrays, np.arange(N), np.ones(N))
    assert dataset.move_to_gpu(torch.device("cpu")) is dataset
    assert moved == []
    dataset.move_to_gpu(torch.device("cuda", 0))
    assert moved == ([torch.device("cuda", 0)] if fits else [])
