"""The weights of penalties that docs/method.md recommends do something to their terms.

The terms are computed in NumPy, from the cosines of regions and parts and from V.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import PLAIN

METHOD = Path(__file__).parents[3] / "docs" / "method.md"
# Larger steps, with which the assignment's weights are recommended, with few images.
LARGER_STEPS = {"lr": 0.01, "ridge": 0.01}


@pytest.fixture(scope="module")
def images():
    """Maps of a few synthetic images by the embedded network, and labels."""
    made = make_part_images(48, image_size=96, random_state=0)
    # Without the empty cells of a canvas, whose regions have no direction.
    settings = {"strides": (16, 32), "image_size": 96, "framing": "crop"}
    maps = FeatureMaps(**settings).fit_transform(made.images)
    return maps, made.target


@pytest.fixture(scope="module")
def fitted(images):
    """Return a function that fits with changed settings, once."""
    models: dict[str, DPNetClassifier] = {}

    def fit(**changes) -> DPNetClassifier:
        if repr(changes) not in models:
            # Batches of 8, for as many steps as a few hundred photographs give.
            model = DPNetClassifier(
                "precomputed",
                n_parts_per_class=6,
                batch_size=8,
                random_state=0,
                **{**PLAIN, "region_scales": (0.15, 0.3, 0.45), **changes},
            )
            models[repr(changes)] = model.fit(*images)
        return models[repr(changes)]

    return fit


def smallest_weight(penalty: str) -> float:
    """Smallest weight of a penalty in the table of recommended ones."""
    text = METHOD.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{penalty}_weight` \| ([\d.]+) to [\d.]+ \|", text, re.M)
    return float(row)


def twins(model: DPNetClassifier) -> float:
    """Sum of squared cosines of different parts of a map, per part of all maps."""
    total = 0.0
    for number in (0, 1):
        u = model.parts_[model.part_maps_ == number].astype(np.float64)
        gram = u @ u.T
        total += (gram**2).sum() - (np.diag(gram) ** 2).sum()
    return total / len(model.parts_)


def entropy(model: DPNetClassifier, maps: np.ndarray) -> float:
    """Mean entropy of regions of both maps over the parts of their own map."""
    found = []
    for number, name in enumerate(maps.dtype.names):
        scaled = cosines(model, maps[name], number) / model.assignment_temperature
        s = np.exp(scaled - scaled.max(axis=2, keepdims=True))
        s /= s.sum(axis=2, keepdims=True)
        found.append(-(s * np.log(np.maximum(s, 1e-300))).sum(axis=2).ravel())
    return float(np.concatenate(found).mean())


def foreign_share(model: DPNetClassifier) -> float:
    """Share of Σ|V| on parts of other classes: it does not depend on V's scale."""
    size = np.abs(model.coef_)
    is_foreign = np.arange(len(size))[:, None] != model.part_classes_
    return size[is_foreign].sum() / size.sum()


def test_orthogonality(fitted):
    weight = smallest_weight("orthogonality")
    assert twins(fitted(orthogonality_weight=weight)) < 0.9 * twins(fitted())


def test_assignment(fitted, images):
    weight = smallest_weight("assignment")
    without = entropy(fitted(**LARGER_STEPS), images[0])
    penalised = fitted(**LARGER_STEPS, assignment_weight=weight)
    assert entropy(penalised, images[0]) < 0.9 * without


def test_specificity(fitted):
    weight = smallest_weight("specificity")
    penalised = fitted(specificity_weight=weight)
    assert foreign_share(penalised) < 0.9 * foreign_share(fitted())


@pytest.mark.parametrize("penalty", ["orthogonality", "assignment", "specificity"])
def test_estimators_document_the_same_range(penalty):
    text = METHOD.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{penalty}_weight` \| ([\d.]+ to [\d.]+) \|", text, re.M)
    found = re.search(rf"\n    {penalty}_weight : .*?\n    \w", DOC, re.S)
    assert found is not None
    assert f"Weights of {row}" in " ".join(found[0].split())


DOC = DPNetClassifier.__doc__ or ""
