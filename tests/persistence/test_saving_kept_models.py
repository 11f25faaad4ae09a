"""Model files of the first format load, and decide as they did when they were saved."""

from pathlib import Path

import numpy as np
import pytest

import skdpnet

FOLDER = Path(__file__).parents[1] / "data" / "models"
MODELS = sorted(FOLDER.glob("*.safetensors"))


def outputs_of(model, maps: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a model computes, under the names in ``expected.npz``."""
    outputs = {
        "transform": model.transform(maps),
        "feature_names": model.get_feature_names_out().astype(str),
    }
    if not isinstance(model, skdpnet.GlobalFeatures):
        regions = skdpnet.best_regions(model, maps)
        outputs |= {"boxes": regions.boxes, "responses": regions.responses}
    if isinstance(model, skdpnet.DPNetClassifier):
        why = model.explain(maps[:1])
        outputs |= {
            "decision_function": model.decision_function(maps),
            "predict_proba": model.predict_proba(maps),
            "predict": model.predict(maps),
            "contributions": why.contributions,
            "heat_map": why.heat_map(),
        }
    return outputs


def test_there_are_two_files_for_each_of_four_estimators():
    assert len(MODELS) == 8


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.stem)
def test_a_kept_model_computes_what_it_computed_before(file):
    name, kind = file.stem.split("_")
    expected = np.load(FOLDER / "expected.npz")
    model = skdpnet.load(file, device="cpu")
    assert type(model).__name__ == name
    # The only framing that there was.
    assert model.framing == "crop"
    # The default of then, which is a number.
    assert model.num_workers == 2
    assert model.notes_ == {"labels": kind}
    outputs = outputs_of(model, expected[f"{kind}/maps"])
    prefix = f"{kind}/{name}/"
    assert {key for key in expected if key.startswith(prefix)} == {
        prefix + key for key in outputs
    }
    for key, value in outputs.items():
        before = expected[prefix + key]
        assert value.dtype.kind == before.dtype.kind
        if before.dtype.kind == "f":
            # Other processors, and versions that sum in another order, may round the
            # last digits differently.
            np.testing.assert_allclose(value, before, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("kind", ["numbers2", "strings3"])
def test_a_kept_model_can_be_trained_further(kind):
    model = skdpnet.load(FOLDER / f"DPNetClassifier_{kind}.safetensors", device="cpu")
    assert "classifier_lr" not in model.get_params()
    maps = np.load(FOLDER / "expected.npz")[f"{kind}/maps"]
    labels, n_epochs = model.predict(maps), model.n_iter_
    model.partial_fit(maps, labels)
    assert model.n_iter_ == n_epochs + 1
    assert (model.predict(maps) == labels).all()
