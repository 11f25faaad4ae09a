"""How Sphinx makes the site; `make docs` runs it, and warnings are errors."""

from __future__ import annotations

import inspect
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import skdpnet  # noqa: E402  (the folder above must be on the path first)

REPOSITORY = "https://github.com/skdpnet/skdpnet"

project = "skdpnet"
author = "skdpnet developers"
copyright = f"2026, {author}"
version = release = skdpnet.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
# Headings have the addresses that they have on GitHub, so that links work in both.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
# Commands and their output, in indented blocks, are no Python.
highlight_language = "none"
# `FeatureMaps` in a docstring is a link where there is such a name.
default_role = "autolink"
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = True

html_theme = "pydata_sphinx_theme"
html_title = "skdpnet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "icon_links": [
        {"name": "Source", "url": REPOSITORY, "icon": "fa-brands fa-github"},
    ],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
# These pages have no neighbours in a menu of their own.
html_sidebars = {"index": [], "five_minutes": [], "changelog": [], "which_method": []}

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    # Figures are shown as such, and not the text of the Display that has them.
    "capture_repr": (),
    "remove_config_comments": True,
    "doc_module": ("skdpnet",),
    "backreferences_dir": "gen_backreferences",
    "plot_gallery": os.environ.get("SKDPNET_GALLERY", "1") == "1",
    # Times differ from machine to machine, and the page would change with each build.
    "min_reported_time": 1e9,
    "show_signature": False,
}
suppress_warnings = ["config.cache"]

# Files of the repository that are pages of the site too.
_PAGES = {
    "benchmarks": "benchmarks/README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
}


def _link(match: re.Match, page: Path) -> str:
    """Return a link of a page as a link of the site."""
    target, _, anchor = match["target"].partition("#")
    file = (page.parent / target).resolve()
    names = {(ROOT / path).resolve(): name for name, path in _PAGES.items()}
    if file in names:
        new = f"/{names[file]}.md"
    elif file == ROOT / "README.md":
        new = "/index.md"
    elif file.is_relative_to(ROOT / "docs"):
        new = f"/{file.relative_to(ROOT / 'docs')}"
    else:
        new = f"{REPOSITORY}/blob/main/{file.relative_to(ROOT)}"
        anchor = ""
    # The name of a file says nothing here: without a text the page's title is shown.
    text = "" if match["text"].endswith(".md") else match["text"]
    return f"[{text}]({new}{'#' + anchor if anchor else ''})"


def read_page(app, docname: str, source: list[str]) -> None:
    """Read the pages that lie outside this folder, and make links those of the site."""
    page = ROOT / _PAGES.get(docname, f"docs/{docname}.md")
    if not page.exists():  # reStructuredText
        return
    # A change of a page that lies outside makes the page of the site out of date.
    app.env.note_dependency(str(page))
    text = page.read_text(encoding="utf-8")
    pattern = r"\[(?P<text>[^][]*)\]\((?P<target>(?![a-z]+:|#|/)[^)\s]+)\)"
    source[0] = re.sub(pattern, lambda match: _link(match, page), text)


def without_foreign_references(app, what, name, obj, options, lines) -> None:
    """Leave out references of inherited docstrings to the site of scikit-learn."""
    module = getattr(inspect.unwrap(obj) if callable(obj) else obj, "__module__", "")
    if str(module).startswith("sklearn"):
        text = "\n".join(lines)
        text = re.sub(r":[a-z:]+:`([^`<]+?)\s*<[^`>]+>`", r"\1", text)
        text = re.sub(r":(?:ref|term|class|func|meth):`~?([^`]+)`", r"\1", text)
        lines[:] = text.split("\n")


def setup(app) -> None:
    """Connect the two."""
    app.connect("source-read", read_page)
    # Before numpydoc, which parses the docstring.
    app.connect("autodoc-process-docstring", without_foreign_references, priority=1)
