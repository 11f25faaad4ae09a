"""The code of the user guide runs as printed, on a small folder of images."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from skdpnet.datasets import make_part_images

matplotlib.use("agg")
DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "five_minutes.md", *sorted((DOCS / "guide").glob("*.md"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Make the folder in which the guide's code runs."""
    root = tmp_path_factory.mktemp("guide")
    for part, n, seed in (("train", 18, 0), ("test", 6, 1)):
        birds = make_part_images(n, 3, image_size=64, random_state=seed)
        for i, (image, c) in enumerate(zip(birds.images, birds.target, strict=True)):
            path = root / "birds" / part / birds.target_names[c] / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_in_order(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    blocks = re.findall("```python\n(.*?)```", page.read_text(), re.S)
    names: dict = {}
    for number, code in enumerate(blocks):
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)
    matplotlib.pyplot.close("all")


def test_pages_with_code_are_found():
    with_code = [page.stem for page in PAGES if "```python" in page.read_text()]
    assert {"five_minutes", "images", "parts", "searches", "saving"} <= set(with_code)
