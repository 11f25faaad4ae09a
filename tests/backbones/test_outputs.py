"""Which outputs of a network are maps, and what is said of the others."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import pytest
import torch

from skdpnet.backbones.outputs import output_maps

MAPS = torch.arange(2 * 5 * 3 * 3, dtype=torch.float32).reshape(2, 5, 3, 3)
Pair = namedtuple("Pair", ["fine", "coarse"])


@pytest.mark.parametrize(
    "output",
    [
        (MAPS, MAPS + 1),
        [MAPS, MAPS + 1],
        {"fine": MAPS, "coarse": MAPS + 1},
        OrderedDict(b=MAPS, a=MAPS + 1),
        Pair(MAPS, MAPS + 1),
    ],
    ids=lambda output: type(output).__name__,
)
def test_several_maps_keep_their_order(output):
    first, second = output_maps("net", output, (2, 48, 48))
    assert torch.equal(first, MAPS)
    assert torch.equal(second, MAPS + 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32])
def test_numbers_of_all_dtypes_are_taken(dtype):
    (got,) = output_maps("net", MAPS.to(dtype), (2, 48, 48))
    assert torch.equal(got, MAPS.to(dtype))


def test_a_mask_is_a_map_of_zeros_and_ones():
    (got,) = output_maps("net", MAPS > 4, (2, 48, 48))
    assert torch.equal(got, (MAPS > 4).float())


@pytest.mark.parametrize("images", [(2, 48, 48), (2, 32, 64)])
@pytest.mark.parametrize("depth", [5, 700])
def test_maps_of_the_images_shape_are_taken(images, depth):
    n, height, width = images
    maps = torch.zeros(n, depth, height // 16, width // 16)
    assert output_maps("net", maps, images)[0] is maps
    # A network may average over one axis, or return a row of regions.
    for other in (maps.mean(3, keepdim=True), maps.flatten(2)[..., None]):
        assert output_maps("net", other, images)[0] is other


@pytest.mark.parametrize("images", [(2, 48, 48), (2, 32, 64)])
@pytest.mark.parametrize("depth", [5, 700])
@pytest.mark.parametrize("stride", [16, "image"])
def test_channels_last_are_named_with_the_cure(images, depth, stride):
    n, height, width = images
    rows, columns = (1, 1) if stride == "image" else (height // 16, width // 16)
    if (rows, columns) == (1, 1) and height != width:
        return
    maps = torch.zeros(n, rows, columns, depth)
    with pytest.raises(ValueError, match=r"'net' .*permute\(0, 3, 1, 2\)"):
        output_maps("net", maps, images)
    output_maps("net", maps.permute(0, 3, 1, 2), images)
    good = torch.zeros(n, depth, height // 16, width // 16)
    with pytest.raises(ValueError, match=r"output 'last' of .*'net' .*permute"):
        output_maps("net", {"first": good, "last": maps}, images)


@pytest.mark.parametrize(
    "output, message",
    [
        (MAPS.flatten(2).transpose(1, 2), r"\(2, 9, 5\).*unflatten\(2, \(H, W\)\)"),
        (MAPS.mean((2, 3)), r"\(2, 5\).*before its pooling"),
        (MAPS[0], r"\(5, 3, 3\).*before its pooling"),
        (None, "NoneType"),
        (MAPS.numpy(), "ndarray"),
        ((), "empty tuple"),
        ({}, "empty dict"),
        ((MAPS, MAPS.mean((2, 3))), r"output 1 of backbone 'net'.*\(2, 5\)"),
        ({"maps": MAPS, "logits": MAPS[:, 0, 0]}, "output 'logits' of backbone 'net'"),
        ([MAPS, (MAPS, MAPS)], "output 1 of .* tuple"),
        (MAPS[:1], "one feature map per image, got 1 for 2"),
        (MAPS[:, :0], "empty feature map"),
        (MAPS[:, :, :0], "empty feature map"),
        (MAPS + 1j, "complex64"),
        (MAPS.to_sparse(), "sparse"),
    ],
)
def test_what_is_no_map_is_named(output, message):
    with pytest.raises(ValueError, match=message) as caught:
        output_maps("net", output, (2, 48, 48))
    assert "'net'" in str(caught.value)
