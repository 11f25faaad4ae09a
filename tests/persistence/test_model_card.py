"""The page of a published model: true, and safe whatever the model's texts are."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

import skdpnet
from skdpnet import DPNetClassifier, DPNetRegressor, GlobalFeatures, SoftAssignParts
from skdpnet.base.map_estimator import MapEstimator
from skdpnet.persistence.markdown import code_span, table
from skdpnet.persistence.model_card import model_card

# Each would leave its place if it were not escaped.
HOSTILE = [
    "---\nlicense: mit\n---",
    "a: b # c",
    "*bold* _it_ [link](https://evil.example)",
    "<script>alert(1)</script>",
    "# Title",
    "```\ncode",
    "`tick`",
    "``",
    "| a | b |",
    "\x1b[31mred\u202egnp.exe",
    "   ",
    "https://evil.example",
    "é ñ 鳥",
    "\\",
]


def fitted_on(names, **params):
    y = np.repeat(names, 3)
    X = np.random.default_rng(0).random((len(y), 2, 2, 4))
    settings = {"n_parts_per_class": 1, "max_epochs": 1, "random_state": 0, **params}
    return DPNetClassifier("precomputed", **settings).fit(X, y)


def parts_of(card):
    """The metadata as YAML reads them, and the page below."""
    _, front, page = re.split(r"^---$", card, maxsplit=2, flags=re.M)
    return yaml.safe_load(front), page


def read_span(line):
    """What a code span shows, by the rules of CommonMark (section 6.1)."""
    fence = re.match("`+", line)[0]
    assert line.endswith(fence)
    inner = line[len(fence) : -len(fence)]
    assert not re.search(rf"(?<!`){fence}(?!`)", inner)
    padded = inner.startswith(" ") and inner.endswith(" ") and inner.strip(" ")
    return inner[1:-1] if padded else inner


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_stay_in_their_code_spans(name):
    span = code_span(name)
    assert span.isprintable()
    shown = read_span(span)
    if name.strip() and name.isprintable():
        assert shown == name
    elif name.strip():
        assert shown == name.encode("unicode_escape").decode().replace("\\\\", "\\")
    else:
        assert shown == repr(name)


def test_long_texts_are_cut():
    assert code_span("x" * 100) == f"`{'x' * 100}`"
    assert code_span("x" * 101) == f"`{'x' * 99}…`"


def test_bars_stay_in_their_cells():
    assert table(("a",), [("`x|y`",)]).splitlines()[2] == r"| `x\|y` |"


def test_names_of_classes_change_nothing_else():
    # Of blank ones, fit warns.
    names = [name for name in HOSTILE if name.strip()]
    model = fitted_on(names)
    front, page = parts_of(model_card(model, "garden/roses"))
    plain = [f"class{i:02}" for i in range(len(names))]
    plain_front, plain_page = parts_of(model_card(fitted_on(plain), "garden/roses"))
    assert front == plain_front
    lines, plain_lines = page.splitlines(), plain_page.splitlines()
    assert len(lines) == len(plain_lines)
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- `")]
    assert listed == [code_span(name) for name in model.classes_]
    # Everything but the list of classes and the figures of training is the same.
    others = [
        line
        for line in lines
        if not line.startswith("- `") and "last epoch" not in line
    ]
    assert others == [
        line
        for line in plain_lines
        if not line.startswith("- `") and "last epoch" not in line
    ]


def test_the_card_says_what_the_model_knows():
    model = fitted_on(["oak", "ash"], orthogonality_weight=0.5)
    model.notes_ = {
        "training_digests": ["1", "2"],
        "test_fraction": 0.2,
        "secret": "of mine",
    }
    front, page = parts_of(model_card(model, "garden/trees", "BSD-3-Clause"))
    assert front == {
        "library_name": "skdpnet",
        "license": "bsd-3-clause",
        "tags": ["skdpnet", "scikit-learn", "interpretability"],
    }
    rows = dict(re.findall(r"^\| (.+) \| (.+) \|$", page, re.M))
    assert rows["backbone"] == "`precomputed`"
    assert rows["parts"] == str(len(model.part_classes_))
    assert rows["classes"] == "2"
    assert rows["feature maps"] == "2×2×4"
    assert rows["saved by"] == f"skdpnet {skdpnet.__version__}"
    assert rows["`orthogonality_weight`"] == "`0.5`"
    assert rows["epochs or iterations"] == "1"
    assert rows["distinct training images"] == "2"
    assert rows["share of the images that was held out"] == "0.2"
    loss = model.history_[-1]["train_loss"]
    assert float(rows["`train_loss` in the last epoch"]) == pytest.approx(
        loss, rel=1e-3
    )
    assert "`memory`" not in rows and "secret" not in page
    assert "The model keeps no accuracy." in page
    assert "2404.15037" in page and "`bsd-3-clause`" in page


def test_a_model_of_images_has_its_size_and_its_task(photographs):
    paths, y = photographs
    model = DPNetClassifier(
        image_size=64, n_parts_per_class=2, max_epochs=1, memory=None, random_state=0
    ).fit(paths, y)
    front, page = parts_of(model_card(model, "garden/cats"))
    assert front["pipeline_tag"] == "image-classification"
    assert "license" not in front and "None is stated." in page
    assert "| backbone | `efficientnet_lite0` |" in page
    assert "| image size | 64 px |" in page
    assert f"| parts | {len(model.part_classes_)} |" in page
    assert "- `cat`\n- `coffee`" in page


def test_numbers_nobody_measured_are_not_there():
    X = np.ones((2, 3))
    _, page = parts_of(model_card(GlobalFeatures("precomputed").fit(X), "a/b"))
    training = page.partition("## Training")[2].partition("##")[0]
    assert not re.search(r"\d", training)
    model = fitted_on(["oak", "ash"])
    model.history_[-1]["train_loss"] = float("nan")
    assert "`train_loss`" not in model_card(model, "a/b")


class Own(GlobalFeatures):
    """An estimator from outside the package."""


def test_the_card_of_several_labels_and_of_numbers():
    X = np.random.default_rng(0).random((12, 2, 2, 4))
    Y = np.arange(12)[:, None] % [2, 3] == 0
    settings = {"max_epochs": 1, "random_state": 0}
    labels = DPNetClassifier("precomputed", n_parts_per_class=1, **settings).fit(X, Y)
    card = model_card(labels, "me/birds")
    assert "several classes, or none" in card
    assert "one of its classes for every image" not in card
    numbers = DPNetRegressor("precomputed", **settings).fit(X, np.arange(12.0))
    card = model_card(numbers, "me/birds")
    assert "which predicts numbers" in card
    assert "model.predict(maps)" in card


def test_an_estimator_from_outside_is_passed_to_from_pretrained():
    model = Own("precomputed").fit(np.ones((2, 3)))
    _, page = parts_of(model_card(model, "a/b"))
    assert 'skdpnet.from_pretrained("a/b", estimators=[Own])' in page
    assert "model.transform(maps)" in page


def test_many_classes_are_counted():
    X = np.random.default_rng(0).random((205, 2, 2, 4))
    model = SoftAssignParts("precomputed", n_parts_per_class=1)
    model.fit(X[:4], [0, 0, 1, 1])
    model.classes_ = np.arange(205)
    _, page = parts_of(model_card(model, "a/b"))
    assert len(re.findall(r"^- `\d+`$", page, re.M)) == 200
    assert "- and 5 more" in page


@pytest.mark.parametrize("licence", ["", "no way", 'x"', "a\nb", 3])
def test_licences_are_identifiers(licence):
    model = GlobalFeatures("precomputed").fit(np.ones((2, 3)))
    with pytest.raises(ValueError, match="is not an identifier of a licence"):
        model_card(model, "a/b", licence)


def test_every_estimator_has_the_method():
    for name in skdpnet.ESTIMATORS:
        assert issubclass(getattr(skdpnet, name), MapEstimator)
        assert callable(getattr(skdpnet, name).push_to_hub)
