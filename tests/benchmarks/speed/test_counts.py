"""The operations and bytes that the speed benchmark counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import counts, map_stages, plain, sizes
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.responses import soft_maximum
from tests.benchmarks.speed.conftest import as_tensors


def flops(function) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def cells_of_regions(size) -> int:
    """Count the cells of all regions of a map, cell by cell."""
    return sum(
        1
        for top, left, bottom, right in size.grid.cells
        for _ in range(top, bottom)
        for _ in range(left, right)
    )


def test_pooling_additions_by_hand():
    # Windows of 2×2 on 3×3: 3 rows of 2 pairs, then 2 pairs of rows of 2.
    size = sizes.Size(1, 3, 3, 1, None, 1, 2, (0.6,))
    assert size.grid.windows == ((2, 2),)
    assert counts.pooling_additions(size) == 3 * 2 + 2 * 2
    # Windows of one cell cost nothing; 2: 7·6 + 6·6, 3: 7·5 + 5·5.
    three = sizes.Size(1, 7, 7, 1, None, 1, 2, sizes.THREE_SCALES)
    assert three.grid.windows == ((1, 1), (2, 2), (3, 3))
    assert counts.pooling_additions(three) == 78 + 60


def test_pooling_takes_no_fewer_additions_than_counted(small):
    """The package's own sums, their additions counted one by one."""

    class Additions(torch.utils._python_dispatch.TorchDispatchMode):
        n = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if function is torch.ops.aten.add.Tensor:
                self.n += out.numel()
            return out

    with Additions() as mode:
        list(small.grid.sums(torch.ones(1, small.cells, 1)))
    least = counts.pooling_additions(small)
    assert least <= mode.n < cells_of_regions(small) - small.regions


def test_products_of_responses_are_those_of_pytorch(small, inputs):
    counted = flops(lambda: part_maxima(*as_tensors(inputs), beta=None))
    assert counts.responses(small, None).products == counted
    assert counts.explanation(small).products == counted


def test_products_of_whitening_are_those_of_pytorch(small, inputs):
    counted = flops(lambda: inputs.whitening(inputs.maps, small.grid))
    assert counts.whitening(small).products == counted
    unwhitened = small.replace(components=None)
    assert counts.whitening(unwhitened).products == 0


@pytest.mark.parametrize("beta", [None, 40.0])
def test_products_of_a_training_step_are_those_of_the_package(small, beta):
    step = map_stages.prepare_training(small, {"beta": beta}, torch.device("cpu"))
    way = step.ways["parts"]
    assert way.work.products == flops(way.run)


def test_products_as_defined_are_those_of_autograd_over_regions(small):
    n, r, k, p = small.images, small.regions, small.channels, small.parts
    regions, parts = torch.rand(n, r, k), torch.rand(p, k, requires_grad=True)
    classifier = nn.Linear(p, small.classes).requires_grad_(False)

    def step():
        logits = classifier(soft_maximum(regions @ parts.T, 40.0))
        logits.sum().backward()

    assert counts.defined_training(small, 40.0) == flops(step)
    assert counts.defined_training(small, None) == flops(step) - 2 * n * r * k * p


def test_bytes_and_the_rest_by_hand():
    # One image of 2×2 cells, 3 channels, whitened to one, one part, two classes; all
    # four regions of one cell.
    tiny = sizes.Size(1, 2, 2, 3, 1, 1, 2, (0.1,))
    soft, hard = counts.responses(tiny, 40.0), counts.responses(tiny, None)
    # Four regions, the part, the maximum.
    assert soft.bytes == hard.bytes == 4 * 6
    assert (soft.exponentials, hard.exponentials) == (4, 0)
    assert soft.additions == hard.additions == 4
    assert hard.products == 2 * 4
    whitening = counts.whitening(tiny)
    # Maps, projection, regions.
    assert whitening.bytes == 4 * (12 + 3 + 4)
    # Two for the norm and a division of 12 numbers; the same and a difference of 4.
    assert whitening.additions == 3 * 12 + 4 * 4
    unwhitened = counts.whitening(tiny.replace(components=None))
    assert (unwhitened.bytes, unwhitened.additions) == (4 * (12 + 12), 3 * 12)
    # All responses, and two numbers a part.
    assert counts.explanation(tiny).bytes == 4 * (4 + 1 + 4 + 2)
    soft, hard = counts.training(tiny, 40.0), counts.training(tiny, None)
    # Adam's steps on one number move seven.
    assert soft.bytes == 4 * (6 + 6 + 7)
    assert hard.bytes == 4 * (6 + 7)
    # Responses twice and their gradients; one region times a weight; Adam.
    assert soft.additions == 3 * 4 + 12
    assert hard.additions == 4 + 2 + 12
    assert soft.exponentials == 2 * 4
    # Regions that overlap are averaged one by one: 4·1 + 1·4 cells of 3 channels.
    larger = tiny.replace(scales=(0.1, 1.0), components=None)
    assert counts.plain_regions(larger).additions == 3 * 8 + 3 * 5 * 3
    assert cells_of_regions(larger) == 8
    # Responses are written and read, and their gradients, too.
    assert counts.plain_maxima(tiny, None).bytes == 4 * (6 + 2 * 4)
    assert counts.plain_learning(tiny).bytes == 4 * (2 * 4 + 5 + 7)


@pytest.mark.parametrize("components", [8, None])
def test_products_of_the_plain_way_are_those_of_pytorch(small, components):
    size = small.replace(components=components)
    inputs = sizes.make_inputs(size)
    maps = torch.from_numpy(inputs.maps).permute(0, 3, 1, 2).contiguous()
    boxes = plain.boxes_of(size.grid, size.images, maps.device)
    whitening = plain.whitening_of(inputs.whitening, components, maps.device)
    regions = plain.describe(maps, boxes, whitening)
    labels = torch.from_numpy(inputs.labels)

    def step(maxima) -> int:
        parts = torch.from_numpy(inputs.parts)
        net = plain.PlainNet(parts, size.classes, 40.0, maxima)
        optimizer = torch.optim.Adam(net.parameters())
        return flops(lambda: plain.step(net, optimizer, regions, labels))

    counted = flops(lambda: plain.describe(maps, boxes, whitening))
    assert counts.plain_regions(size).products == counted
    forward = counts.plain_maxima(size, 40.0)
    parts = torch.from_numpy(inputs.parts)
    assert forward.products == flops(lambda: plain.maxima(regions, parts, 40.0))
    whole_step = forward + counts.plain_learning(size)
    assert whole_step.products == step(plain.maxima)
    in_pieces = counts.checkpointed_training(size, 40.0)
    assert in_pieces.products == step(plain.checkpointed_maxima)


def test_products_and_bytes_of_a_network_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1, bias=False), nn.ReLU())
    work = counts.backbone(network, 5, 16)
    # 8×8 cells, each 8 channels of 3·9 multiplications and as many additions.
    assert work.products == 5 * 2 * 64 * 8 * 27
    assert work.bytes == 4 * (8 * 27 + 5 * (3 * 16 * 16 + 8 * 64))


def test_decoding_and_resizing_by_hand():
    work = counts.decoding(1000, 16, 8)
    # Per 8×8 block 16 transforms of 34 operations; three blocks for two of pixels.
    assert work.additions == 3 * 16 * 34 + 128 * 8
    assert work.bytes == 1000 + 3 * 128
    # To 4×4 from 8×8: 8 taps of two operations for 8 rows of 4, then 4 rows of 4.
    assert counts.resizing(4, 2.0).additions == 8 * 2 * 3 * (32 + 16)


def test_floor_is_the_slower_of_products_and_copies():
    rates = {
        "float32": 100.0, "bfloat16": 200.0, "copy": 10.0, "additions": 5.0,
        "exponentials": 1.0,
    }  # fmt: skip
    work = counts.Work(products=400, additions=10, exponentials=3, bytes=30)
    assert work.floor(rates) == 4
    assert work.floor(rates, "bfloat16") == 3
    assert work.in_turn(rates) == 4 + 2 + 3
    assert work.in_turn({"float32": 100.0, "copy": 10.0}) is None
    assert (work + work.times(2)).products == 1200
