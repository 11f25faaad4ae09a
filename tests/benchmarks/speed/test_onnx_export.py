"""The benchmark of exported files: its comparison, and what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime")

from benchmarks.speed import onnx_export
from skdpnet import DPNetClassifier

IMAGES = [
    np.random.default_rng(i).integers(256, size=(32, 32, 3), dtype=np.uint8)
    for i in range(9)
]


@pytest.fixture(scope="module")
def model() -> DPNetClassifier:
    options = {"image_size": 32, "max_epochs": 1, "n_parts_per_class": 4}
    model = DPNetClassifier(**options, random_state=0, precision="float32")
    return model.fit(IMAGES, np.arange(9) % 3)


def inputs() -> list[np.ndarray]:
    return [image.transpose(2, 0, 1).astype(np.float32) / 255 for image in IMAGES]


def test_pixels_survive():
    for image, array in zip(IMAGES, inputs(), strict=True):
        np.testing.assert_array_equal(onnx_export.as_image(array), image)


def test_differences_are_found(model, tmp_path, monkeypatch):
    model.to_onnx(tmp_path / "model.onnx")
    session = onnx_export.open_session(tmp_path / "model.onnx")
    same = onnx_export.differences(model, session, inputs())
    assert set(same) == {"scores", "probabilities", "descriptor", "responses"}
    assert max(same.values()) < 1e-3
    monkeypatch.setattr(model, "coef_", model.coef_ * [[1], [1], [0]])
    monkeypatch.setattr(model, "intercept_", model.intercept_ + [0, 0, 5])
    other = onnx_export.differences(model, session, inputs())
    assert other["scores"] > 1 and other["descriptor"] == same["descriptor"]


def test_one_command(model, tmp_path, monkeypatch, capsys):
    for i, image in enumerate(IMAGES):
        for part in ("train", "test"):
            path = tmp_path / "data" / part / str(i % 3) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    small = model.get_params() | {"verbose": 0}
    monkeypatch.setattr(
        onnx_export, "models", lambda memory: {"small": DPNetClassifier(**small)}
    )
    output = tmp_path / "result.json"
    command = f"onnx_export --data {tmp_path / 'data'} --output {output}"
    monkeypatch.setattr(
        sys, "argv", [*command.split(), "--images", "4", "--repeats", "1"]
    )
    onnx_export.main()
    (row,) = json.loads(output.read_text())["rows"]
    assert row == json.loads(capsys.readouterr().out)
    assert (row["network"], row["images"], row["same_classes"]) == ("small", 4, 1.0)
    assert row["largest_difference"]["scores"] < 1e-3 < row["largest_score"]
    assert row["bytes"] > 10**6 and min(row["images_per_second"].values()) > 0


def test_networks_are_those_of_the_table():
    named = onnx_export.models(Path("maps"))
    assert list(named) == [
        "efficientnet_lite0",
        "vit_tiny_patch16_224, random weights",
    ]
