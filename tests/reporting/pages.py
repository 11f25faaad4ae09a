"""Reports of small models of coloured squares, and the pages' elements."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from skdpnet import DPNetClassifier
from skdpnet.reporting import report
from tests.display.models import Colours

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
    """Make wide noisy images with a square of their class's colour, and the classes."""
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
    """Make a model of coloured squares."""
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
    """An element of a page."""

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

    def only(self, *args, **kwargs):
        """Find the only element below this one that fits."""
        (element,) = self.all(*args, **kwargs)
        return element

    @property
    def text(self):
        """The text below this element."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def value(self):
        """The number of the first `data` element below this one."""
        return float(next(self.all("data"))["value"])


class Tree(HTMLParser):
    """The elements and the text of a page; refuses elements that are not closed."""

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
    """Decode an image of a page."""
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
        """Return the element of an id."""
        return self.page.only(id=id)

    def bitmap(self, node):
        """Return the pixels that an element shows."""
        (cls,) = set(node["class"].split()) & set(self.bitmaps)
        return pixels(self.bitmaps[cls])


def report_of_odd_names(folder):
    """Write the report of a model whose classes have odd names, with some errors."""
    X, y = coloured(36)
    X_test, z = coloured(30, seed=1)
    names = np.array(NAMES)
    truth = names[z]
    truth[[2, 5, 11]] = names[[5, 4, 4]]  # some are wrong in any case
    return Report(folder, small(), X, names[y], X_test, truth, n_parts=2, n_crops=3)


def many_classes(folder):
    """Write the report of 30 classes, whose confusion matrix is an image."""
    y = np.arange(60) % 30
    X = np.random.default_rng(0).integers(0, 255, (60, 32, 32, 3), np.uint8)
    labels = np.array([f"class {c:02d}" for c in range(30)])
    model = small(n_parts_per_class=1, image_size=32)
    return Report(folder, model, X, labels[y], X[:45], labels[y[:45]][::-1])


# Names of the first three colours of `coloured`.
SHARED_LABELS = np.array(["red", "green", "blue"])


def report_of_shared_parts(folder, make):
    """Write the report of a model of `tests.display.models` with shared parts."""
    X, y = coloured(30, 3)
    X_test, z = coloured(24, 3, seed=1)
    truth = SHARED_LABELS[z]
    truth[[2, 5, 10]] = SHARED_LABELS[[0, 1, 0]]  # some are wrong in any case
    model = make(Colours(), image_size=64)
    return Report(folder, model, X, SHARED_LABELS[y], X_test, truth, n_parts=3)
