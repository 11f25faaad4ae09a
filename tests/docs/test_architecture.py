"""docs/architecture.md names files and folders that are there, in the tested order."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_house import ORDER

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_files_and_folders_exist():
    named = set(re.findall(r"`((?:[\w]+/)*[\w]+(?:/|\.py))`", TEXT))
    assert len(named) > 40
    for name in named:
        places = [
            ROOT / name,
            ROOT / "skdpnet" / name,
            ROOT / "skdpnet" / "parts" / name,
        ]
        assert any(place.exists() for place in places), name


def test_each_question_has_one_file_of_its_own():
    rows = re.findall(r"^\| (.*\?) \| `(skdpnet/.*\.py)` \|$", TEXT, re.M)
    assert len(rows) >= 20
    assert len({file for _, file in rows}) == len(rows)


def test_the_order_of_the_folders_is_the_tested_one():
    words = re.search(r"\): (exceptions, .*?cli)\.", TEXT, re.S)[1]
    assert re.split(r",\s+", words) == ORDER


def test_every_folder_is_described():
    for folder in (ROOT / "skdpnet").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"`{folder.name}/`" in TEXT, folder.name
