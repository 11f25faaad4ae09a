"""Encodings of parts beside loops over images, parts and regions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.parts.region_encodings import ENCODINGS, encode_regions


@pytest.fixture
def regions():
    random = np.random.default_rng(0)
    regions = random.normal(size=(4, 6, 3)).astype(np.float32)
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    # One image fills half of its map, and one has nothing.
    regions[1, 3:] = 0
    regions[2] = 0
    return regions


def expected_of(regions, parts, encoding):
    out = []
    for image in regions:
        filled = [region for region in image if np.abs(region).sum() > 0]
        of_image = []
        for part in parts:
            responses = [float(part @ region) for region in filled]
            if encoding == "max":
                numbers = [max(float(part @ region) for region in image)]
            elif encoding == "mean_max":
                largest = max(float(part @ region) for region in image)
                numbers = [largest, np.mean(responses) if filled else 0.0]
            elif filled:
                numbers = filled[int(np.argmax(responses))].tolist()
            else:
                numbers = [0.0] * len(part)
            of_image.append(numbers)
        out.append(of_image)
    return np.array(out)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numbers_are_those_of_loops(regions, encoding):
    # The second part responds below 0 to all that the second image has.
    parts = np.array([[1, 2, -1], -regions[1, :3].sum(axis=0), [0, 1, 0]], np.float32)
    expected = expected_of(regions, parts, encoding)
    tensor = torch.from_numpy(regions)
    encoded = encode_regions(tensor, tensor @ torch.from_numpy(parts).T, encoding)
    assert_allclose(encoded.numpy(), expected, atol=1e-6)


def test_best_regions_are_of_the_image_also_where_all_responses_are_negative():
    regions = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    encoded = encode_regions(
        regions, regions @ torch.tensor([[-1.0], [0.0]]), "features"
    )
    assert encoded.tolist() == [[[1.0, 0.0]]]
