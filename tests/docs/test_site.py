"""The sources of the site: what the reference lists, and where estimators link to."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sklearn.utils import estimator_html_repr

import skdpnet
from docs.check_links import dead_links
from tests.test_public_names import PUBLIC

DOCS = Path(__file__).parents[2] / "docs"
# Modules, whose names have pages of their own, and the version.
_NOT_LISTED = {"datasets", "display", "metrics", "open_set", "__version__"}


def reference() -> set[str]:
    """Return the names that the reference lists, as in ``skdpnet.<name>``."""
    text = (DOCS / "api.rst").read_text()
    return set(re.findall(r"^   ([A-Za-z_.]+)$", text, re.M))


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_has_a_page(module):
    prefix = module.removeprefix("skdpnet").lstrip(".")
    names = set(PUBLIC[module].split()) - _NOT_LISTED
    listed = {f"{prefix}.{name}" if prefix else name for name in names}
    assert listed <= reference()


class Links(HTMLParser):
    """The links of an HTML text."""

    def __init__(self, text):
        super().__init__()
        self.links = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.add(dict(attrs).get("href"))


@pytest.mark.parametrize("name", skdpnet.ESTIMATORS)
def test_the_representation_of_an_estimator_links_to_its_page(name):
    shown = Links(estimator_html_repr(getattr(skdpnet, name)()))
    page = f"generated/skdpnet.{name}.html"
    assert any(link and link.endswith(page) for link in shown.links)
    assert name in reference()


def test_an_estimator_of_others_links_to_no_page_of_ours():
    class Other(skdpnet.GlobalFeatures):
        pass

    assert Other()._get_doc_link() == ""


def test_dead_links_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><a href="sub/a.html#here"></a><a href="#top"></a>'
        '<a href="sub/a.html#gone"></a><img src="no.png"><a href="https://x.org"></a>'
    )
    (tmp_path / "sub" / "a.html").write_text(
        '<p id="here"></p><a href="../index.html?q=1"></a><a href="b.html"></a>'
    )
    dead, n_foreign = dead_links(tmp_path)
    assert sorted(dead) == [
        "index.html: no.png",
        "index.html: sub/a.html#gone",
        "sub/a.html: b.html",
    ]
    assert n_foreign == 1


def test_the_gallery_has_a_heading_and_a_figure_each():
    examples = sorted((DOCS / "examples").glob("plot_*.py"))
    assert len(examples) >= 12
    for path in examples:
        text = path.read_text()
        title, rule = text.split("\n")[1:3]
        assert set(rule) == {"="}, path.name
        assert len(rule) >= len(title), path.name
        assert "plot" in text.split("# %%", 1)[1], path.name
