"""The recipe for onnxruntime on the page about ONNX gives the estimator's scores."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skdpnet import DPNetClassifier

pytest.importorskip("onnxruntime")

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


@pytest.mark.parametrize("framing", ["aspect", "squash"])
def test_the_recipe(framing, photographs, tmp_path, monkeypatch):
    paths, y = photographs
    options = {"image_size": 64, "max_epochs": 1, "n_parts_per_class": 4}
    model = DPNetClassifier(framing=framing, random_state=0, **options).fit(paths, y)
    model.to_onnx(tmp_path / "model.onnx")
    (recipe,) = (
        code
        for code in re.findall("```python\n(.*?)```", PAGE.read_text(), re.S)
        if "InferenceSession" in code
    )
    assert not re.search("skdpnet|torch|sklearn", recipe)
    monkeypatch.chdir(tmp_path)
    with Image.open(paths[0]) as image:
        wide = image.convert("RGB").crop((0, 0, 180, 120))
    wide.save("image.jpg", quality=95)
    for name in ("image.jpg", paths[7]):
        told: dict = {}
        exec(recipe.replace("image.jpg", name.replace("\\", "/")), told)
        shape = (1, 3, 64, 96) if (framing, name) == ("aspect", "image.jpg") else None
        assert told["images"].shape == (shape or (1, 3, 64, 64))
        difference = told["outputs"]["scores"][0] @ [-1, 1]
        expected = model.decision_function([name])[0]
        np.testing.assert_allclose(difference, expected, rtol=0.05, atol=0.1)
        assert told["label"] == model.predict([name])[0]


def test_the_page_names_all_that_the_file_has(photographs, tmp_path):
    import onnxruntime

    options = {"image_size": 64, "max_epochs": 1, "n_parts_per_class": 4}
    model = DPNetClassifier(**options, random_state=0).fit(*photographs)
    model.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    text = PAGE.read_text()
    for key in session.get_modelmeta().custom_metadata_map:
        assert f"`{key}`" in text, key
    for output in session.get_outputs():
        name = re.sub(r"_\d+_\d+$", "_m_s", output.name)
        assert f"| `{name}` |" in text, name
