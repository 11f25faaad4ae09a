"""The page as a whole: its links, its security, its numbers and its images."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
)

from skdpnet import explain_class
from tests.reporting.pages import NAMES


def test_links_lead_to_something_and_nothing_leads_out(written):
    nodes = list(written.page.all())
    ids = [node["id"] for node in nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    links = [node["href"] for node in written.page.all("a")]
    assert len(links) > 100
    assert {link[0] for link in links} == {"#"}
    assert {link[1:] for link in links} <= set(ids)
    for node in nodes:
        for name in ("href", "src", "srcset", "action", "poster", "data"):
            if node.tag != "a" and name in node.attributes:
                assert node[name].startswith("data:"), node.tag
        assert "://" not in " ".join(filter(None, node.attributes.values()))
    styles = "".join(node.text for node in written.page.all("style"))
    assert set(re.findall(r"url\((.{5})", styles)) == {"data:"}
    assert "@import" not in styles
    labels = {
        node["for"] for node in written.page.all("label") if "for" in node.attributes
    }
    assert labels <= set(ids)


def test_only_the_page_s_own_script_may_run(written):
    data, script = written.page.all("script")
    assert data["type"] == "application/json"
    policy = written.page.only("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in policy["content"]
    digest = base64.b64encode(sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy["content"]
    assert not [
        name
        for node in written.page.all()
        for name in node.attributes
        if name.startswith("on")
    ]


def test_names_of_classes_stay_text(written):
    assert sorted(written.labels) == sorted(NAMES)
    assert json.loads(written.page.only(id="data").text)["names"] == written.labels
    for c, label in enumerate(written.labels):
        section = written.element(f"class-{c}")
        heading = next(section.all("h3"))
        assert heading.text == label
        assert next(heading.all("bdi")).text == label
    assert not list(written.page.all("img"))
    assert not [b for b in written.page.all("b") if b.text == "bold & brave"]


def test_accuracy_and_confusions_are_scikit_learn_s(written):
    truth, predicted, labels = written.y_test, written.predicted, written.labels
    assert written.element("accuracy")["value"] == str(accuracy_score(truth, predicted))
    recall = float(written.element("mean-recall")["value"])
    assert recall == pytest.approx(balanced_accuracy_score(truth, predicted))
    matrix = written.page.only("table", "matrix")
    cells = [
        [int(td.text) for td in tr.all("td")] for tr in matrix.only("tbody").all("tr")
    ]
    expected = confusion_matrix(truth, predicted, labels=labels)
    np.testing.assert_array_equal(cells, expected)
    assert expected.sum() - expected.trace() >= 3
    rows = list(written.element("class-table").only("tbody").all("tr"))
    for score, name in ((recall_score, "recall"), (precision_score, "precision")):
        expected_values = score(
            truth, predicted, labels=labels, average=None, zero_division=np.nan
        )
        values = np.array([float(row[f"data-{name}"]) for row in rows])
        values[values == -1] = np.nan
        np.testing.assert_allclose(values, expected_values, atol=1e-12)
    pairs = {
        tuple(map(int, row["data-classes"].split())): int(
            list(row.all("td"))[2].text.split()[0]
        )
        for row in next(written.element("confusions").all("table", "list"))
        .only("tbody")
        .all("tr")
    }
    wrong = expected - np.diag(expected.diagonal())
    assert pairs == {(int(t), int(p)): wrong[t, p] for t, p in np.argwhere(wrong)}
    assert list(pairs.values()) == sorted(pairs.values(), reverse=True)


def test_every_image_is_in_the_file_once(written):
    uris = re.findall(r"data:image/jpeg;base64,[^)\"]+", written.html)
    assert len(uris) == len(set(uris)) == len(written.bitmaps)
    used = {
        cls
        for node in written.page.all("span")
        for cls in (node.attributes.get("class") or "").split()
        if re.fullmatch(r"i\d+", cls)
    }
    assert used == set(written.bitmaps)


def test_numbers_for_the_script_are_the_model_s(written):
    data = json.loads(written.page.only(id="data").text)
    for name, expected in (
        ("weights", written.model.coef_),
        (
            "participation",
            np.stack(
                [
                    explain_class(
                        written.model, label, written.X_test[written.y_test == label]
                    ).contributions
                    for label in written.labels
                ]
            ),
        ),
    ):
        steps = np.frombuffer(base64.b64decode(data[name]["steps"]), "<i2")
        values = steps.reshape(6, -1) * data[name]["step"]
        np.testing.assert_allclose(
            values, expected[:, data["parts"]], atol=np.abs(expected).max() / 3e4
        )
    counts = confusion_matrix(written.y_test, written.predicted, labels=written.labels)
    assert data["confusions"] == [
        [*p, counts[*p]] for p in np.argwhere(counts).tolist()
    ]
