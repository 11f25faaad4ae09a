"""Maps, parts and the two orders of pooling, for the tests of maxima."""

import pytest

import skdpnet.parts.maxima.autograd
from skdpnet.parts.maxima.pooling_first import PoolingFirst
from skdpnet.parts.maxima.projection_first import ProjectionFirst
from tests.parts.by_loops import random_maps, random_parts


@pytest.fixture
def maps():
    return random_maps()


@pytest.fixture
def parts():
    return random_parts()


@pytest.fixture(params=[ProjectionFirst, PoolingFirst])
def order(request, monkeypatch):
    """Compute the maxima in each order, whichever `part_maxima` would choose."""
    monkeypatch.setattr(
        skdpnet.parts.maxima.autograd, "choose_order", lambda *args: request.param
    )
