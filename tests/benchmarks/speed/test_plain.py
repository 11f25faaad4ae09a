"""The plain way computes what the package computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from benchmarks.speed import plain, sizes
from skdpnet.parts.maxima import part_maxima
from tests.benchmarks.speed.conftest import as_tensors


@pytest.mark.parametrize("beta", [None, 40.0])
@pytest.mark.parametrize("components", [8, None])
def test_the_plain_ways_compute_what_the_package_does(small, components, beta):
    size = small.replace(components=components)
    inputs = sizes.make_inputs(size)
    expected = in_float64(inputs, size, beta)

    maps = torch.from_numpy(inputs.maps).permute(0, 3, 1, 2).contiguous()
    described, parts = as_tensors(inputs)
    boxes = plain.boxes_of(size.grid, size.images, maps.device)
    whitening = plain.whitening_of(inputs.whitening, components, maps.device)
    results = {
        "plain": plain.maxima(plain.describe(maps, boxes, whitening), parts, beta),
        "plain from regions": plain.maxima(described, parts, beta),
        "checkpointed": plain.checkpointed_maxima(described, parts, beta),
        "package": part_maxima(described, parts, beta=beta)[0],
    }
    for name, maxima in results.items():
        np.testing.assert_allclose(maxima.numpy(), expected, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_checkpoints_keep_no_responses_and_give_the_same_gradient(
    small, inputs, beta, monkeypatch
):
    two_images = 4 * 2 * small.regions * small.parts
    monkeypatch.setitem(plain._PIECE_BYTES, "cpu", two_images)
    regions, parts = as_tensors(inputs)
    gradients, kept = [], []
    for maxima in (plain.maxima, plain.checkpointed_maxima):
        learned = parts.clone().requires_grad_()
        shapes: list[torch.Size] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, shapes=shapes: shapes.append(tensor.shape) or tensor,
            lambda tensor: tensor,
        ):
            out = maxima(regions, learned, beta)
        out.square().sum().backward()
        gradients.append(learned.grad)
        kept.append([shape[-2:] == (small.regions, small.parts) for shape in shapes])
    torch.testing.assert_close(*gradients)
    assert any(kept[0]) and not any(kept[1])


def in_float64(inputs, size, beta) -> np.ndarray:
    """Maxima of cosines, region by region, in float64."""

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    maps = inputs.maps.astype(np.float64)
    means = [
        maps[:, top:bottom, left:right].mean(axis=(1, 2))
        for top, left, bottom, right in size.grid.cells
    ]
    regions = unit(np.stack(means, axis=1))
    if size.components is not None:
        whitening = inputs.whitening
        regions = unit((regions - whitening.mean) @ whitening.projection)
    responses = regions @ inputs.parts.T.astype(np.float64)
    if beta is None:
        return responses.max(axis=1)
    return (logsumexp(beta * responses, axis=1) - np.log(size.regions)) / beta
