"""Maps, models that were fitted on them, and their parts."""

from __future__ import annotations

import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdpnet.base.part_estimator
import skdpnet.parts.map_parts
import skdpnet.parts.soft_assign.sinkhorn
from skdpnet import DPNetClassifier, SoftAssignParts
from tests.explanations.models import SVM, learned
from tests.parts.dpnet.made_maps import SETTINGS, part_maps, two_maps


@pytest.fixture(scope="module", params=[2, 3], ids=["binary", "3 classes"])
def data(request):
    """Maps and their labels."""
    # So noisy that the scores of some classes are close.
    labels = ["bird", "cat", "dog"][: request.param]
    X, y, _ = part_maps(100, n_classes=request.param, labels=labels, strength=1.0)
    return X, y


@pytest.fixture(scope="module")
def three():
    """Maps and labels of three classes, and their parts."""
    X, y, _ = part_maps(40, labels=["sparrow", "swallow", "heron"])
    return X, y, learned().fit(X, y)


@pytest.fixture(scope="module", params=["DPNet", "two stages"])
def fitted(request):
    """A model, its parts, and 40 other images, of which it processes some at a time."""
    X, y, _ = two_maps(60)
    if request.param == "DPNet":
        model = DPNetClassifier(**SETTINGS, max_epochs=1).fit(X, y)
        parts = model
    else:
        steps = SoftAssignParts(**SETTINGS), StandardScaler(), clone(SVM)
        model = make_pipeline(*steps).fit(X, y)
        parts = model[0]
    images = two_maps(40, seed=1)[0]
    with pytest.MonkeyPatch.context() as patch:
        n_bytes = 2**13
        patch.setattr(skdpnet.base.part_estimator, "_RESPONSE_BYTES", n_bytes)
        patch.setattr(skdpnet.parts.soft_assign.sinkhorn, "PIECE_BYTES", n_bytes)
        patch.setattr(skdpnet.parts.map_parts, "PIECE_BYTES", n_bytes)
        n_batches = sum(1 for _ in parts.iter_responses(images))
        assert n_batches > 3
        yield model, parts, images
