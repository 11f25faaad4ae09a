"""Values come back from JSON trees and arrays as they were, and others are refused."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from skdpnet.persistence.codec import Encoder, UnsavableError, decode
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening


def encode_and_decode(value):
    encoder = Encoder()
    tree = json.loads(json.dumps(encoder(value, "value"), allow_nan=False))
    return decode(tree, encoder.tensors)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 2**70, -0.0, 0.1, float("inf"), float("nan")),
        *("kākāpō", "", [], (), {}),
        *(np.float32(0.1), np.int8(-3), np.bool_(True)),
        [1, (2.5, [None, "a"]), {"b": (1,)}],
        {0: "int", "0": "str", (1, None): {"nested": [True]}},
    ],
    ids=repr,
)
def test_plain_values_and_their_types_come_back(value):
    decoded = encode_and_decode(value)
    assert type(decoded) is type(value)
    assert repr(decoded) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.zeros((0, 4), np.float16),
        np.array(2.5),
        np.arange(4, dtype=">f4"),
        np.array([["owl", "kākāpō"], ["", "wren"]]),
        np.array(["owl", "kākāpō"], dtype=object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_as_copies_of_the_same_layout(array):
    decoded = encode_and_decode(array)
    assert decoded.dtype == array.dtype.newbyteorder("=")
    assert decoded.shape == array.shape
    assert decoded.tolist() == array.tolist()
    if array.ndim > 1 and array.size:
        assert decoded.flags.c_contiguous == array.flags.c_contiguous
    assert not np.shares_memory(decoded, array)


def test_grids_and_whitenings_come_back():
    grid = RegionGrid.from_scales(4, 5, (0.3, 0.6))
    assert encode_and_decode([grid]) == [grid]
    side_by_side = RegionGrid(4, 5, ((2, 3),), pooling="concat")
    assert encode_and_decode(side_by_side) == side_by_side
    projection = np.arange(6.0).reshape(2, 3).T
    whitening = encode_and_decode(Whitening(np.ones(3), projection))
    np.testing.assert_array_equal(whitening.mean, np.ones(3))
    np.testing.assert_array_equal(whitening.projection, projection)
    assert whitening.projection.strides == projection.strides


def test_arrays_of_similar_keys_have_different_names():
    value = {"1": np.zeros(1), 1: np.ones(1), "a": np.full(1, 2.0)}
    encoder = Encoder()
    encoder(value, "value")
    arrays = [array for name, array in encoder.tensors.items() if "key" not in name]
    assert sorted(float(array[0]) for array in arrays) == [0, 1, 2]
    assert "value.a" in encoder.tensors


@pytest.mark.parametrize(
    "value",
    [
        object(),
        [print],
        {1: {2}},
        1j,
        date(2024, 1, 1),
        np.array([1j]),
        np.longdouble(1),
    ],
    ids=repr,
)
def test_other_types_are_refused(value):
    with pytest.raises(UnsavableError, match="are not saved"):
        Encoder()(value, "value")


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"code": "print"}, "unknown kind"),
        ({"float": "1e5"}, "unknown kind"),
        ({"array": "missing"}, "the tensor 'missing' is missing"),
        ({"text": "floats"}, "the tensor 'floats' holds no text"),
        ({"text": "codes"}, "the tensor 'codes' holds no text"),
    ],
)
def test_trees_of_another_form_are_refused(tree, message):
    tensors = {"floats": np.ones(3), "codes": np.full((1, 2), 2**31, np.uint32)}
    with pytest.raises(ValueError, match=message):
        decode(tree, tensors)
