"""Exported ONNX files compute what their estimators compute, by onnxruntime."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import timm
import torch
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError
from torch import nn

from skdpnet import DPNetClassifier, DPNetRegressor, DPNetTransformer, load
from skdpnet.backbones import HOG, DenseSIFT
from skdpnet.datasets import make_part_images
from skdpnet.images import network_inputs

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = 64
# Float32 alone, so that the same maps are compared.
OPTIONS = {
    "image_size": SIZE,
    "precision": "float32",
    "n_parts_per_class": 4,
    "max_epochs": 2,
    "random_state": 0,
}
LARGEST = 1e-3
SIZED = DPNetClassifier(image_size=SIZE).input_framing()


class VisionTransformer(nn.Module):
    """A small vision transformer of random weights, whose tokens are the map."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.vit = timm.create_model(
            "vit_tiny_patch16_224", img_size=SIZE, num_classes=0, depth=2
        )

    def forward(self, images):
        tokens = self.vit.forward_features(images)[:, self.vit.num_prefix_tokens :]
        return tokens.transpose(1, 2).unflatten(2, (SIZE // 16, SIZE // 16))


@pytest.fixture(scope="module")
def images() -> tuple[list[np.ndarray], np.ndarray]:
    """Images of three shapes, of two classes."""
    made = make_part_images(18, n_classes=2, image_size=96, random_state=0)
    cut = [slice(None), slice(0, 66)]
    X = [
        image[cut[i % 2]] if i % 3 else image[:, cut[i % 2]]
        for i, image in enumerate(made.images)
    ]
    return X, made.target


def exported(model, path, **options):
    model.to_onnx(path, **options)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session, images) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"images": images}), strict=True))


def in_order_of_regions(out, number) -> np.ndarray:
    """The responses (N, R, P) of a map, from the windows' maps N×P×rows×columns."""
    windows = [out[name] for name in out if name.startswith(f"responses_{number}_")]
    flat = [window.reshape(*window.shape[:2], -1) for window in windows]
    return np.concatenate(flat, axis=2).transpose(0, 2, 1)


def check(model, session, X):
    """Compare all outputs for images one by one, and for each twice in a batch."""
    batches = list(model.iter_responses(X))
    n_maps = len(model.grids_)
    responses = [np.concatenate([b[k].numpy() for b in batches]) for k in range(n_maps)]
    inputs = network_inputs(X, model.input_framing())
    descriptors = model.transform(X)
    assert len({image.shape for image in inputs}) > 1 or model.framing == "crop"
    for i, image in enumerate(inputs):
        for n in (1, 2):
            out = run(session, np.stack([image] * n))
            assert {len(array) for array in out.values()} == {n}
            np.testing.assert_allclose(out["descriptor"][-1], descriptors[i], 0, 1e-3)
            for k in range(n_maps):
                got = in_order_of_regions(out, k)[-1]
                np.testing.assert_allclose(got, responses[k][i], 0, LARGEST)
    # What was compared is not constant.
    assert descriptors.std(axis=0).max() > 100 * LARGEST
    if not isinstance(model, DPNetClassifier):
        return
    scores = model.decision_function(X)
    for i, image in enumerate(inputs):
        out = run(session, image[None])
        by_hand = out["descriptor"] @ model.coef_.T + model.intercept_
        np.testing.assert_allclose(out["scores"], by_hand, 0, LARGEST)
        np.testing.assert_allclose(out["scores"][0] @ [-1, 1], scores[i], 0, LARGEST)
        np.testing.assert_allclose(out["probabilities"], softmax(by_hand, 1), 0, 1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region_scales": (0.3, 0.6), "foreground": 1.0, "beta": 10},
        {"context": False, "foreground": None, "n_components": None, "beta": 0.5},
        {"framing": "crop", "strides": ("average",), "context": False},
    ],
)
def test_the_embedded_network(options, images, tmp_path):
    model = DPNetClassifier(**OPTIONS, **options).fit(*images)
    session = exported(model, tmp_path / "model.onnx")
    assert session.get_inputs()[0].shape[:2] == ["batch", 3]
    check(model, session, images[0])


def test_a_vision_transformer(images, tmp_path):
    model = DPNetClassifier(VisionTransformer(), framing="crop", **OPTIONS).fit(*images)
    session = exported(model, tmp_path / "model.onnx")
    assert session.get_inputs()[0].shape == ["batch", 3, SIZE, SIZE]
    check(model, session, images[0])


def test_maps_of_half_precision_are_rounded_alike(images, tmp_path):
    """The largest difference is below that of maps that are not rounded."""
    X, y = images
    rounded = DPNetClassifier(**{**OPTIONS, "precision": "auto"}).fit(X, y)
    session = exported(rounded, tmp_path / "rounded.onnx")
    inputs = network_inputs(X, rounded.input_framing())
    out = [run(session, image[None])["descriptor"][0] for image in inputs]
    rounded_alike = abs(out - rounded.transform(X)).mean()
    plain = load_as_float32(rounded, tmp_path).transform(X)
    assert rounded_alike < abs(plain - rounded.transform(X)).mean() / 2


def load_as_float32(model, folder):
    model.save(folder / "model.safetensors")
    return load(folder / "model.safetensors").set_params(precision="float32")


def test_probabilities_of_several_labels(images, tmp_path):
    X, y = images
    model = DPNetClassifier(**OPTIONS).fit(X, np.column_stack([y == 0, y == 1]))
    out = run(exported(model, tmp_path / "m.onnx"), network_inputs(X[:1], SIZED))
    np.testing.assert_allclose(
        out["probabilities"], model.predict_proba(X[:1]), atol=LARGEST
    )
    # Each is the sigmoid of its own score: they need not sum to 1.
    np.testing.assert_allclose(out["probabilities"], expit(out["scores"]), atol=1e-6)


def test_predictions_of_a_regressor_are_in_the_units_of_the_targets(images, tmp_path):
    X, y = images
    model = DPNetRegressor(
        image_size=SIZE, precision="float32", max_epochs=2, random_state=0
    ).fit(X, 1000 + 50 * y)
    out = run(exported(model, tmp_path / "m.onnx"), network_inputs(X[:1], SIZED))
    np.testing.assert_allclose(
        out["predictions"][:, 0], model.predict(X[:1]), rtol=1e-4
    )
    np.testing.assert_allclose(out["descriptor"], model.transform(X[:1]), atol=LARGEST)


def test_a_transformer_has_no_scores(images, tmp_path):
    model = DPNetTransformer(**OPTIONS).fit(*images)
    session = exported(model, tmp_path / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    assert names == ["descriptor", "responses_0_0", "responses_1_0", "responses_2_0"]
    check(model, session, images[0])


def test_a_loaded_model_and_a_fixed_batch(images, tmp_path):
    X, y = images
    model = DPNetClassifier(**OPTIONS).fit(X, np.array(["owl", "crow"])[y])
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    session = exported(loaded, tmp_path / "model.onnx", batch_size=3)
    assert session.get_inputs()[0].shape == [3, 3, "height", "width"]
    same = [image for image in X if image.shape == X[0].shape][:3]
    out = run(session, np.stack(network_inputs(same, model.input_framing())))
    expected = model.decision_function(same)
    np.testing.assert_allclose(out["scores"] @ [-1, 1], expected, 0, LARGEST)


def test_metadata(images, tmp_path):
    X, y = images
    model = DPNetClassifier(**OPTIONS).fit(X, np.array(["owl", "crow"])[y])
    session = exported(model, tmp_path / "model.onnx")
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["classes"]) == ["crow", "owl"]
    names = json.loads(texts["parts"])
    assert names == model.get_feature_names_out().tolist()
    assert names[-1] == "owl_context"
    framing = [json.loads(texts[k]) for k in ("framing", "image_size", "canvas_side")]
    assert framing == ["aspect", SIZE, 96]
    assert "RGB in [0, 1]" in texts["input"]
    # The strongest window of a part is the strongest region of `part_responses`.
    (image,) = network_inputs(X[:1], model.input_framing())
    out = run(session, image[None])
    entry = json.loads(texts["response_maps"])[1]
    of_part = out[entry["output"]][0, 2]
    top, left = np.unravel_index(of_part.argmax(), of_part.shape)
    height, width = entry["window"]
    grid = model.grids_[1]
    box = grid.cells[next(model.iter_responses(X[:1]))[1][0, :, 2].argmax()]
    assert box.tolist() == [top, left, top + height, left + width]
    assert entry["map"] == [grid.height, grid.width]
    on_map = slice(entry["first_part"], entry["first_part"] + entry["n_parts"])
    assert (model.part_maps_[on_map] == 1).all()


def test_images_beyond_the_canvas_are_an_error(images, tmp_path):
    session = exported(DPNetClassifier(**OPTIONS).fit(*images), tmp_path / "model.onnx")
    with pytest.raises(Exception, match="(?i)shape|dimension|invalid"):
        run(session, np.zeros((1, 3, SIZE, 128), np.float32))


def test_refusals(images, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(NotFittedError):
        DPNetClassifier(**OPTIONS).to_onnx(path)
    y = np.arange(12) % 2
    maps = np.random.default_rng(0).random((12, 3, 3, 5), np.float32)
    precomputed = DPNetClassifier("precomputed", max_epochs=1).fit(maps, y)
    with pytest.raises(ValueError, match=r"precomputed.*no network: fit .* on images"):
        precomputed.to_onnx(path)
    X = [np.random.default_rng(i).random((32, 32, 3)) for i in range(12)]
    small = {"image_size": 32, "max_epochs": 1, "n_parts_per_class": 4}
    handcrafted = {"dense_sift": "dense_sift", "hog": "hog"}
    handcrafted |= {"DenseSIFT": DenseSIFT(), "HOG": HOG()}
    for name, backbone in handcrafted.items():
        model = DPNetClassifier(backbone, **small).fit(X, y)
        with pytest.raises(ValueError, match=f"backbone '{name}' is none"):
            model.to_onnx(path)
    assert not list(tmp_path.iterdir())


def test_bad_arguments(images, tmp_path, monkeypatch):
    model = DPNetClassifier(**OPTIONS).fit(*images)
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        model.to_onnx(tmp_path / "model.onnx", batch_size=0)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.to_onnx(tmp_path)
    other = DPNetClassifier(**OPTIONS).fit(*images).set_params(image_size=96)
    with pytest.raises(ValueError, match="was fitted on"):
        other.to_onnx(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "skdpnet\[onnx\]"'):
        model.to_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
