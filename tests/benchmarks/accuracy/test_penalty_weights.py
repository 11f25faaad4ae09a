"""The benchmark of the penalties' weights."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from PIL import Image

from benchmarks.accuracy import penalty_weights
from benchmarks.accuracy.penalty_figure import curves, markdown
from benchmarks.data.readers import Split
from skdpnet import DPNetClassifier
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import SETTINGS, two_maps


@pytest.fixture(scope="module")
def model():
    X, y, _ = two_maps(30)
    # `cosines` are those of regions that count alike; no penalty leaves no weight at 0.
    model = DPNetClassifier(
        **SETTINGS, foreground=None, specificity_weight=0, max_epochs=1
    )
    return model.fit(X, y), X


def test_terms_follow_their_formulas(model):
    model, X = model
    found = penalty_weights.terms(model, X)
    twins, entropies = 0.0, []
    for number, name in enumerate(X.dtype.names):
        u = model.parts_[model.part_maps_ == number].astype(float)
        for i, j in permutations(range(len(u)), 2):
            twins += (u[i] @ u[j]) ** 2
        s = np.exp(cosines(model, X[name], number) / model.assignment_temperature)
        s /= s.sum(axis=2, keepdims=True)
        entropies.append(-(s * np.log(np.maximum(s, 1e-300))).sum(axis=2).ravel())
    assert found["orthogonality"] == pytest.approx(twins / 15, rel=1e-4)
    assert found["assignment"] == pytest.approx(
        np.concatenate(entropies).mean(), rel=1e-3
    )
    # The three contexts, which are no learned parts, come last.
    names = model.get_feature_names_out()
    assert [name.endswith("_context") for name in names] == 15 * [False] + 3 * [True]
    own = foreign = 0.0
    for label, row in enumerate(model.coef_[:, :15]):
        for part_class, weight in zip(model.part_classes_[:15], row, strict=True):
            own += abs(weight) * (part_class == label)
            foreign += abs(weight) * (part_class != label)
    assert found["specificity, absolute"] == pytest.approx(foreign / (2 * 15**0.5))
    assert found["own_share"] == pytest.approx(own / (own + foreign))
    assert found["zeros"] == 0


def line(accuracy, twins, **changes):
    terms = {"orthogonality": twins, "assignment": 1.0, "own_share": 0.5, "zeros": 0.25}
    terms |= {f"specificity, {form}": 2.0 for form in ("absolute", "square", "signed")}
    return {
        "data": "owls", "seed": 0, "n_parts": 6, "n_held": 9, "terms": terms,
        "accuracy": accuracy, "changes": {"n_parts_per_class": 2, **changes},
    }  # fmt: skip


LINES = [
    line(0.5, 2.0),
    line(0.7, 1.0, orthogonality_weight=3.0, specificity_weight=0.0),
    line(0.6, 2.0, specificity_weight=1.0, specificity_form="square"),
    line(0.8, 3.0, lr=0.5, assignment_weight=1.0),
]


def test_a_curve_starts_with_the_fit_that_differs_in_the_weight_alone():
    found = curves(LINES)
    assert [(c.penalty, c.weights) for c in found] == [
        ("orthogonality", [0.0, 3.0]),
        ("specificity", [0.0, 1.0]),
    ]
    assert found[0].means(found[0].term) == [2.0, 1.0]
    assert found[1].term == "specificity, square"


def test_table():
    rows = markdown(LINES).splitlines()
    assert rows[3] == "| owls | orthogonality | 6 | 3 | 1 | -50 | 50 | 25 | 70.0 |"


def test_a_run_measures_what_is_missing_and_draws_it(tmp_path, monkeypatch, capsys):
    X, y, _ = two_maps(30)
    split = Split(["a"] * 20, y[:20], ["b"] * 10, y[20:], ["x", "y", "z"])
    monkeypatch.setattr(penalty_weights, "read_folders", lambda *args: split)
    monkeypatch.setattr(penalty_weights, "extractors", lambda **kwargs: {"parts": None})
    monkeypatch.setattr(
        penalty_weights,
        "extract",
        lambda extractor, paths: X[:20] if len(paths) == 20 else X[20:],
    )
    output, figure = tmp_path / "lines.jsonl", tmp_path / "figure.png"
    command = [
        "--data", str(tmp_path / "owls"), "--parts", "2", "--weights", "1",
        "--set", "max_epochs=1", "n_components=8", "--output", str(output),
    ]  # fmt: skip
    penalty_weights.main(command)
    found = [json.loads(text) for text in output.read_text().splitlines()]
    assert len(found) == 4  # one without a penalty, one with each
    weights = [
        [line["settings"][f"{name}_weight"] for name in penalty_weights.PENALTIES]
        for line in found
    ]
    assert weights == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert all(
        line["n_parts"] == 3 * (2 + 1) and line["n_held"] == 10 for line in found
    )
    penalty_weights.main(command)
    assert len(output.read_text().splitlines()) == 4
    assert capsys.readouterr().out.count("| owls/train | assignment, ") == 4
    penalty_weights.main(["--figure", str(figure), "--output", str(output)])
    with Image.open(figure) as image:
        assert image.format == "PNG"


def test_first_classes():
    y = np.array([0, 1, 2, 0])
    split = Split(["a", "b", "c", "d"], y, ["e", "f", "g", "h"], y, ["x", "y", "z"])
    kept = penalty_weights.first_classes(split, 2)
    assert kept.train_paths == ["a", "b", "d"] and kept.names == ["x", "y"]
    assert kept.test_y.tolist() == [0, 1, 0]
    assert penalty_weights.first_classes(split, None).train_paths == split.train_paths
