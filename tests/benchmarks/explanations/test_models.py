"""The explained models: the global descriptor with Grad-CAM."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.explanations import image_sets, models
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.images.framing import Framing


@pytest.fixture(scope="module", params=[2, 3])
def pipeline(request, photographs):
    """The global descriptor and an SVM, of two and of three classes."""
    paths, _ = photographs
    y = np.arange(len(paths)) % request.param
    features = GlobalFeatures(image_size=64, framing="crop", precision="float32")
    return make_pipeline(features, LinearSVC()).fit(paths, y), np.array(paths)


def test_the_network_scores_as_the_pipeline_does(pipeline):
    fitted, paths = pipeline
    network = models.GlobalNetwork(*fitted)
    squares = np.stack(image_sets.network_inputs(paths, Framing(64, "crop")))
    pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).float()
    scores = network(pixels.to(network.device)).detach().cpu().numpy()
    decision = fitted.decision_function(paths)
    if decision.ndim == 1:
        np.testing.assert_allclose(scores[:, 0], -decision, atol=1e-5)
        scores = scores[:, 1]
    np.testing.assert_allclose(scores, decision, atol=1e-5)
    assert np.ptp(decision) > 0.1
    class_scores = models.GlobalModel(fitted).scores(paths)
    np.testing.assert_array_equal(class_scores.argmax(axis=1), fitted.predict(paths))


def test_grad_cam(pipeline):
    pytest.importorskip("captum")
    fitted, paths = pipeline
    explained = models.GlobalModel(fitted).explain(paths)
    # The gradient of w · g/|g| with respect to the mean g of the cells, by hand.
    extractor = FeatureMaps(image_size=64, framing="crop", precision="float32")
    maps = extractor.fit_transform(paths)
    maps = maps.astype(np.float64)
    g = maps.mean(axis=(1, 2))
    length = np.linalg.norm(g, axis=1, keepdims=True)
    w = fitted[-1].coef_
    w = (np.vstack([-w, w]) if len(w) == 1 else w)[fitted.predict(paths)]
    slope = (w - g * (w * g).sum(axis=1, keepdims=True) / length**2) / length
    expected = np.einsum("nhwd,nd->nhw", maps, slope) / maps[0, :, :, 0].size
    np.testing.assert_allclose(explained.heat_maps, expected, atol=1e-6)
    assert (expected > 0).any() and (expected < 0).any()
    assert explained.top_parts is None


def test_grad_cam_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(SystemExit, match="pip install captum"):
        models.import_grad_cam()


def test_the_whole_image_is_no_part_with_a_place():
    data = image_sets.made_images(32, 8, Framing(64, "crop"))
    estimator = DPNetClassifier(
        strides=(16,),
        n_parts_per_class=2,
        image_size=64,
        framing="crop",
        context=True,
        max_epochs=0,
        random_state=0,
    )
    model = models.fit_model(estimator, data, 0)
    n_parts = len(estimator.parts_) - len(data.names)
    np.testing.assert_array_equal(model.placed_parts, np.arange(n_parts))
    explained = model.explain(data.test)
    assert explained.top_parts.max() < n_parts
