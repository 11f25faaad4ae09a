"""Maps with known parts, and a classifier that learned them."""

from __future__ import annotations

import pytest

from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import PLAIN, part_maps, quick


@pytest.fixture(scope="package")
def train():
    """Maps, labels, and the cells of the classes' directions."""
    return part_maps(150)


@pytest.fixture(scope="package")
def model(train):
    """A classifier with parts alone, which tests must not change."""
    return quick(DPNetClassifier, **PLAIN).fit(*train[:2])
