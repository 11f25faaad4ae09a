"""Batches of whitened maps, from the processor's memory and from a device's."""

import numpy as np
import pytest
import torch

from skdpnet.regions.whitening import WhitenedMaps
from skdpnet.training.dataset import MapDataset

N = 7


@pytest.fixture
def arrays() -> list[WhitenedMaps]:
    random = np.random.default_rng(0)
    return [
        WhitenedMaps(
            *(random.random(shape, np.float32) for shape in ((N, c, 3), (N, 5), (N, 5)))
        )
        for c in (4, 9)
    ]


@pytest.mark.parametrize("moved", [False, True])
def test_a_batch_is_the_rows_asked_for(arrays, moved):
    labels, weights = np.arange(N) % 3, np.linspace(0, 1, N)
    dataset = MapDataset(arrays, labels, weights)
    if moved:
        # The CPU stands for a GPU: maps are tensors from here on.
        dataset._move(torch.device("cpu"))
    rows = [5, 0, 5, 2]
    inputs, (own_labels, own_weights) = dataset.__getitems__(rows)
    for found, one in zip(inputs["maps"], arrays, strict=True):
        for tensor, array in zip(found, one, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), array[rows])
    np.testing.assert_array_equal(own_labels, labels[rows])
    np.testing.assert_array_equal(own_weights, weights[rows].astype(np.float32))
    assert len(dataset) == N


@pytest.mark.parametrize("free, settles", [(10**9, True), (3000, False)])
def test_maps_settle_where_there_is_room(arrays, free, settles, monkeypatch):
    moved = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    monkeypatch.setattr(MapDataset, "_move", lambda self, device: moved.append(device))
    dataset = MapDataset(arrays, np.arange(N), np.ones(N))
    assert dataset.settle(torch.device("cpu")) is dataset
    assert moved == []
    dataset.settle(torch.device("cuda", 0))
    assert moved == ([torch.device("cuda", 0)] if settles else [])
