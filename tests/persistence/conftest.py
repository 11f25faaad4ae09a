"""A fitted model, and a file that it was saved to."""

from __future__ import annotations

import pytest

from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import two_maps
from tests.persistence.models import SETTINGS


@pytest.fixture(scope="module")
def fitted():
    """Maps, labels, and a classifier that was fitted on them."""
    X, y, _ = two_maps(30)
    return X, y, DPNetClassifier(**SETTINGS, max_epochs=2).fit(X, y)


@pytest.fixture
def saved(fitted, tmp_path):
    """Path of the file of the fitted classifier."""
    path = tmp_path / "model.safetensors"
    fitted[2].save(path)
    return path
