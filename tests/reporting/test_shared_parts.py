"""Reports of parts that classes share, and of decisions that are not linear."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from skdpnet import explain, part_gallery
from skdpnet.explanations.readout import read_model
from skdpnet.reporting import report
from tests.display.models import (
    ColourClassifier,
    Colours,
    shared_linear,
    shared_nonlinear,
)
from tests.reporting.pages import (
    SHARED_LABELS as LABELS,
)
from tests.reporting.pages import (
    Report,
    Tree,
    coloured,
    report_of_shared_parts,
)

CLASSES = ["blue", "green", "red"]
SHARED = [1, 4, 5]
MAKERS = [shared_linear, shared_nonlinear, ColourClassifier]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def written(request, tmp_path_factory):
    return report_of_shared_parts(tmp_path_factory.mktemp("report"), request.param)


@pytest.fixture
def decision(written):
    """The readout, and the descriptors of the test images."""
    parts, readout = read_model(written.model)
    return readout, parts.transform(written.X_test).astype(float)


def part_of(row):
    return int(next(row.all("a", "part"))["href"].removeprefix("#part-"))


def values_of(node):
    return [float(data["value"]) for data in node.all("data")]


def participation(written, decision):
    """Mean contributions (C, P) over the test images of each class."""
    readout, descriptors = decision
    return np.stack(
        [
            readout.contributions(descriptors[written.y_test == label], c).mean(axis=0)
            for c, label in enumerate(CLASSES)
        ]
    )


def is_linear(readout):
    return readout.weights(0) is not None


def use(written, decision):
    """How much each class uses each part: by weights, or by mean contributions."""
    readout, _ = decision
    if is_linear(readout):
        return np.stack([readout.weights(c) for c in range(3)])
    return participation(written, decision)


def test_links_lead_to_one_entry_of_each_part(written):
    ids = [node["id"] for node in written.page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    links = {node["href"] for node in written.page.all("a")}
    assert {link[1:] for link in links} <= set(ids)
    assert {f"part-{p}" for p in SHARED} <= set(ids)


def test_classes_list_their_parts_with_contributions_and_weights(written, decision):
    readout, descriptors = decision
    means = participation(written, decision)
    shared_rows = 0
    for c, label in enumerate(CLASSES):
        section = written.element(f"class-{c}")
        rows = list(next(section.all("ul", "parts")).all("li"))
        order = np.argsort(-means[c], kind="stable")
        weights = readout.weights(c)
        speaks_for = means[c] > 0
        if weights is not None:
            speaks_for &= weights > 0
        expected = [p for p in order if speaks_for[p]][:3]
        assert [part_of(row) for row in rows] == expected
        for row, p in zip(rows, expected, strict=True):
            contribution, *others = values_of(row.only("p", "numbers"))
            assert contribution == pytest.approx(means[c, p], rel=1e-5)
            if weights is None:
                assert not others
                assert "weight" not in row.text
            else:
                assert others == pytest.approx([weights[p]], rel=1e-5)
            assert ("a part that classes share" in row.text) == (p in SHARED)
            shared_rows += p in SHARED
        *_, summed = (p for p in section.all("p", "note") if "mean score" in p.text)
        scores = readout.scores(descriptors[written.y_test == label])[:, c]
        *rest, score = values_of(summed)
        assert score == pytest.approx(scores.mean(), rel=1e-5)
        assert sum(rest) + means[c, expected].sum() == pytest.approx(score, abs=1e-5)
    assert shared_rows


def test_shared_parts_have_a_section_with_the_classes_that_use_them(written, decision):
    section = written.element("shared-parts")
    entries = {part_of(entry): entry for entry in section.all("li")}
    assert sorted(entries) == SHARED
    used = use(written, decision)
    for p, entry in entries.items():
        assert entry["id"] == f"part-{p}"
        users = [c for c in np.argsort(-used[:, p], kind="stable") if used[c, p] > 0]
        assert [a["href"] for a in entry.all("a", "class")] == [
            f"#class-{c}" for c in users
        ]
        assert values_of(entry) == pytest.approx(used[users, p], rel=1e-5)
        assert entry["data-classes"].split() == [str(c) for c in users]
        by = "weight" if is_linear(decision[0]) else "mean contribution"
        assert f"speaks for, by {by}:" in entry.text
        gallery = part_gallery(written.model, p, written.X, 6)
        titles = [crop["title"] for crop in entry.all("span", "crop")]
        assert titles == [
            f"training image {i}, response {response:.2f}"
            for i, response in zip(gallery.images, gallery.responses, strict=True)
        ]
    assert "a part that classes share has a number alone" in written.page.text


def test_images_are_explained_by_the_model_s_contributions(written):
    for card in written.page.all("article", "image"):
        i = int(card["id"].removeprefix("image-"))
        why = explain(written.model, written.X_test[i], apply_exif=True)
        explanations = [why]
        if written.y_test[i] != why.predicted:
            explanations.append(why.difference(written.y_test[i]))
        for node, explanation in zip(
            card.all("div", "decision"), explanations, strict=True
        ):
            rows = list(node.only("tbody").all("tr"))
            listed = [row for row in rows if list(row.all("a", "part"))]
            parts = [part_of(row) for row in listed]
            np.testing.assert_allclose(
                [row.value for row in listed],
                explanation.contributions[parts],
                rtol=1e-5,
                atol=1e-9,
            )
            *summands, score = (row.value for row in rows)
            assert score == pytest.approx(explanation.score, rel=1e-5)
            assert sum(summands) == pytest.approx(score, abs=1e-5)


def test_the_script_gets_weights_where_there_are_any(written, decision):
    data = json.loads(written.page.only(id="data").text)
    readout, _ = decision
    expected = {"participation": participation(written, decision)}
    if is_linear(readout):
        expected["weights"] = use(written, decision)
    else:
        assert data["weights"] is None
    for name, values in expected.items():
        steps = np.frombuffer(base64.b64decode(data[name]["steps"]), "<i2")
        np.testing.assert_allclose(
            steps.reshape(3, -1) * data[name]["step"],
            values[:, data["parts"]],
            atol=np.abs(values).max() / 3e4,
        )


def test_the_page_says_what_a_contribution_is(written, decision):
    text = written.element("summary").text
    assert ("the part's weight for the class" in text) == is_linear(decision[0])
    assert ("decision is not linear" in text) != is_linear(decision[0])


def test_a_class_without_test_images_needs_weights_to_list_parts(tmp_path):
    X, y = coloured(30, 3)
    reds = y == 0
    for make in (shared_linear, shared_nonlinear):
        model = make(Colours(), image_size=64)
        written = Report(tmp_path, model, X, LABELS[y], X[reds], LABELS[y[reds]])
        section = written.element("class-0")
        assert "No test image is of this class" in section.text
        listed = [part_of(row) for ul in section.all("ul") for row in ul.all("li")]
        if make is shared_nonlinear:
            assert "it is unknown which parts speak for it" in section.text
            assert set(listed) <= {0}
        else:
            readout = read_model(model)[1]
            weights = readout.weights(0)
            assert listed == [p for p in np.argsort(-weights) if weights[p] > 0]


def test_parts_of_unknown_classes_are_listed_where_they_are_used_most(tmp_path):
    X, y = coloured(30, 3)
    model = shared_nonlinear(Colours(), image_size=64).fit(X, LABELS[y])
    model[0].classes_ = np.array(["azure", "emerald", "ruby"])
    path = report(model, X, X, LABELS[y], tmp_path / "r.html", n_parts=6)
    page = Tree(path.read_text("utf-8")).root
    readout, b = model[1], model[0].transform(X).astype(float)
    means = np.stack(
        [
            readout.contributions(b[LABELS[y] == label], c).mean(axis=0)
            for c, label in enumerate(CLASSES)
        ]
    )
    for p in (0, 2, 3):
        section = page.only(id=f"part-{p}").parent.parent
        assert section["id"] == f"class-{means[:, p].argmax()}"
