"""The report: what the page says is what the model says, and nothing else gets in."""

from __future__ import annotations

import base64
import io
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
)

from skdpnet import DPNetClassifier, explain_class
from skdpnet.reporting import report
from tests.explanations.test_localisation import Colours

NAMES = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "</script><b>bold & brave</b>",
    "طائر الدوري",
    "a name of more than forty characters without_any_break_at_all",
    "plain",
]
COLOURS = [(220, 30, 30), (30, 220, 30), (30, 30, 220)] + [
    (220, 220, 30),
    (30, 220, 220),
    (220, 30, 220),
]


def coloured(n, n_classes=6, seed=0, size=(96, 64)):
    """Wide noisy images with a square of their class's colour, and the classes."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    # Noise of blocks, which small JPEGs keep.
    coarse = random.integers(70, 130, (n, size[1] // 8, size[0] // 8, 3), np.uint8)
    X = coarse.repeat(8, axis=1).repeat(8, axis=2)
    for i, c in enumerate(y):
        left, top = random.integers(16, 48), random.integers(0, 32)
        X[i, top : top + 32, left : left + 32] = COLOURS[c]
    return X, y


def small(**params):
    settings = {
        "image_size": 64,
        "region_scales": (0.25, 0.5),
        "n_parts_per_class": 3,
        "n_components": None,
        "max_epochs": 0,
        "random_state": 0,
    }
    return DPNetClassifier(Colours(), **{**settings, **params})


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.children = []

    def __getitem__(self, name):
        return self.attributes[name]

    def all(self, tag=None, cls=None, **attributes):
        """Find the elements below this one, in the order of the page."""
        for child in self.children:
            if isinstance(child, Node):
                classes = (child.attributes.get("class") or "").split()
                if (
                    tag in (None, child.tag)
                    and (cls is None or cls in classes)
                    and attributes.items() <= child.attributes.items()
                ):
                    yield child
                yield from child.all(tag, cls, **attributes)

    def one(self, *args, **kwargs):
        (found,) = self.all(*args, **kwargs)
        return found

    @property
    def text(self):
        own = (c if isinstance(c, str) else c.text for c in self.children)
        return "".join(own)

    @property
    def value(self):
        return float(next(self.all("data"))["value"])


class Tree(HTMLParser):
    """Elements and text of a page; complains of elements that are not closed."""

    _VOID = frozenset({"meta", "link", "br", "img", "input", "wbr"})

    def __init__(self, html):
        super().__init__()
        self.root = self._open = Node("", {}, None)
        self.feed(html)
        self.close()
        assert self._open is self.root

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        node = Node(tag, attrs, self._open)
        self._open.children.append(node)
        if tag not in self._VOID:
            self._open = node

    def handle_startendtag(self, tag, attrs):
        self._open.children.append(Node(tag, attrs, self._open))

    def handle_endtag(self, tag):
        assert self._open.tag == tag, (tag, self._open.tag)
        self._open = self._open.parent

    def handle_data(self, data):
        self._open.children.append(data)


def pixels(uri):
    kind, data = re.fullmatch(r"data:image/(jpeg|png);base64,(.+)", uri).groups()
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)), formats=[kind]))


class Report:
    """A model, its data, and the page written about it."""

    def __init__(self, folder, model, X, y, X_test, y_test, **params):
        self.model, self.X, self.X_test, self.y_test = (
            model.fit(X, y),
            X,
            X_test,
            y_test,
        )
        self.path = report(model, X, X_test, y_test, folder / "r.html", **params)
        self.html = self.path.read_text(encoding="utf-8")
        self.page = Tree(self.html).root
        self.predicted = model.predict(X_test)
        self.labels = model.classes_.tolist()
        self.bitmaps = {
            f"i{number}": uri
            for number, uri in re.findall(
                r"\.i(\d+)\{background-image:url\(([^)]+)\)\}", self.html
            )
        }

    def element(self, id):
        return self.page.one(id=id)

    def bitmap(self, node):
        (cls,) = set(node["class"].split()) & set(self.bitmaps)
        return pixels(self.bitmaps[cls])


def nasty(folder):
    """Write the report of a model whose classes have odd names, with some errors."""
    X, y = coloured(36)
    X_test, z = coloured(30, seed=1)
    names = np.array(NAMES)
    truth = names[z]
    truth[[2, 5, 11]] = names[[5, 4, 4]]  # whatever the model says, some are wrong
    return Report(folder, small(), X, names[y], X_test, truth, n_parts=2, n_crops=3)


def many_classes(folder):
    """Write the report of 30 classes, which have an image in place of a table."""
    y = np.arange(60) % 30
    X = np.random.default_rng(0).integers(0, 255, (60, 32, 32, 3), np.uint8)
    labels = np.array([f"class {c:02d}" for c in range(30)])
    model = small(n_parts_per_class=1, image_size=32)
    return Report(folder, model, X, labels[y], X[:45], labels[y[:45]][::-1])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return nasty(tmp_path_factory.mktemp("report"))


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
    policy = written.page.one("meta", **{"http-equiv": "Content-Security-Policy"})
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
    assert json.loads(written.page.one(id="data").text)["names"] == written.labels
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
    told = float(written.element("mean-recall")["value"])
    assert told == pytest.approx(balanced_accuracy_score(truth, predicted))
    matrix = written.page.one("table", "matrix")
    cells = [
        [int(td.text) for td in tr.all("td")] for tr in matrix.one("tbody").all("tr")
    ]
    expected = confusion_matrix(truth, predicted, labels=labels)
    np.testing.assert_array_equal(cells, expected)
    assert expected.sum() - expected.trace() >= 3
    rows = list(written.element("class-table").one("tbody").all("tr"))
    for score, name in ((recall_score, "recall"), (precision_score, "precision")):
        expected_values = score(
            truth, predicted, labels=labels, average=None, zero_division=np.nan
        )
        told = np.array([float(row[f"data-{name}"]) for row in rows])
        told[told == -1] = np.nan
        np.testing.assert_allclose(told, expected_values, atol=1e-12)
    pairs = {
        tuple(map(int, row["data-classes"].split())): int(
            list(row.all("td"))[2].text.split()[0]
        )
        for row in next(written.element("confusions").all("table", "list"))
        .one("tbody")
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
    data = json.loads(written.page.one(id="data").text)
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
