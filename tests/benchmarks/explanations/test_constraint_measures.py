"""The constraints of DP-Net, and what they are for, measured on fitted models."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.explanations import constraint_measures, image_sets, measures, models
from skdpnet import DPNetClassifier
from skdpnet.images.framing import Framing


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A small DP-Net on small made images."""
    data = image_sets.made_images(48, 16, Framing(64, "crop"))
    estimator = DPNetClassifier(
        random_state=0,
        n_parts_per_class=4,
        max_epochs=1,
        image_size=64,
        memory=tmp_path_factory.mktemp("maps"),
    )
    return data, models.fit_model(estimator, data, 0)


def test_terms_by_hand(fitted):
    data, model = fitted
    parts = model.transformer
    found = constraint_measures.terms(parts, data.train[:5])
    # Eight classes have four learned parts each; their contexts come last.
    learned, contexts = np.split(parts.get_feature_names_out(), [32])
    assert not any("context" in name for name in learned)
    assert len(contexts) == 8 and all("context" in name for name in contexts)
    twins = 0.0
    for p, part in enumerate(parts.parts_[:32]):
        for q, other in enumerate(parts.parts_[:32]):
            if p != q and parts.part_maps_[p] == parts.part_maps_[q]:
                twins += (part @ other) ** 2
    assert found["orthogonality"] == pytest.approx(twins / 32, rel=1e-4)
    entropies = []
    for batch in parts.iter_responses(data.train[:5]):
        for responses in batch[:2]:
            share = np.exp(responses.double().numpy() / 0.05)
            share /= share.sum(axis=-1, keepdims=True)
            entropies.append(-(share * np.log(share)).sum(axis=-1).ravel())
    expected = np.concatenate(entropies).mean()
    assert found["assignment"] == pytest.approx(expected, rel=1e-4)
    foreign = np.arange(8)[:, None] != parts.part_classes_[:32]
    assert found["specificity"] == pytest.approx(
        np.abs(parts.coef_[:, :32][foreign]).sum() / (7 * 32**0.5), rel=1e-4
    )


def test_weights_of_parts_of_other_classes():
    coef = np.array([[3.0, 1, 0, -1], [0, 0, -2, 1]])
    found = constraint_measures.foreign_weights(coef, np.array([0, 0, 1, 1]))
    assert found == {"foreign": 1 / 8, "zeros": 3 / 4}
    coef[1, :2] = 0.002, 0.02
    found = constraint_measures.foreign_weights(coef, np.array([0, 0, 1, 1]))
    assert found["zeros"] == 1 / 4


def test_twins_are_on_the_same_map():
    parts = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]])
    # The second part is a twin of both its neighbours, the fourth of none on its map.
    maps = np.array([0, 0, 0, 1])
    assert constraint_measures.twins(parts, maps) == 3 / 4
    # Opposite parts are twins.
    assert constraint_measures.twins(parts[[0, 3]], maps[:2]) == 1


def test_all_measures(fitted):
    data, model = fitted
    found = constraint_measures.measure(model, data, n_perturbed=3, seed=0)
    assert set(found) == {
        "accuracy", "peak", "top part", "purity", "consistency", "stability", "keep",
        "flip", "redundancy", "closest pair", "orthogonality", "assignment",
        "specificity", "foreign", "zeros", "twins",
    }  # fmt: skip
    accuracy = model.estimator.score(data.test, data.test_y)
    assert found["accuracy"] == {"value": accuracy, "chance": 1 / 8}
    # Chance is drawn in another order there.
    same = measures.measure(model, data, n_perturbed=3, n_steps=2, seed=0)
    for name in ("top part", "purity", "consistency", "stability", "keep", "flip"):
        assert found[name]["value"] == same[name].value
    assert found["specificity"].keys() == {"value"}


def test_unknown_parts_are_not_measured(fitted):
    data, model = fitted
    plain = image_sets.ImageSet(
        "pond",
        data.framing,
        data.train,
        data.train_y,
        data.test,
        data.test_y,
        data.names,
    )
    found = constraint_measures.measure(model, plain, n_perturbed=3, seed=0)
    assert not found.keys() & {"top part", "peak", "purity", "stability"}
    assert found["accuracy"]["value"] == model.estimator.score(data.test, data.test_y)
