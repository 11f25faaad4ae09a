"""`compare`: the same images for all methods, and a page that is complete in itself."""

from __future__ import annotations

import re

import pytest

from skdpnet.__main__ import main
from skdpnet.cli.methods import METHODS
from tests.cli.commands import error_of, run_json
from tests.reporting.pages import Tree, pixels

OPTIONS = ["--image-size", "64", "--test-fraction", "0.5", "--seed", "3"]
NAMES = ["dpnet", "prototree", "global", "global-maps"]


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return tmp_path_factory.mktemp("maps")


@pytest.fixture(scope="module")
def compared(class_folders, memory, tmp_path_factory):
    """The page of two methods with parts, and the JSON about it."""
    import contextlib
    import io
    import json

    page, printed = tmp_path_factory.mktemp("page") / "c.html", io.StringIO()
    arguments = ["compare", class_folders, "-o", page, *OPTIONS, "--memory", memory]
    arguments += ["--json", "--quiet", "--methods", "dpnet", "prototree", "dpnet"]
    with contextlib.redirect_stdout(printed):
        assert main([*map(str, arguments)]) == 0
    html = page.read_text(encoding="utf-8")
    return json.loads(printed.getvalue()), html, Tree(html).root


def test_all_methods_are_tested_on_the_split_of_fit(
    compared, class_folders, memory, tmp_path, capsys
):
    document, _, _ = compared
    rows = {row["name"]: row for row in document["methods"]}
    assert list(rows) == NAMES, "each once, and the global descriptors"
    for name in ("dpnet", "prototree"):
        arguments = ["fit", class_folders, "-o", tmp_path / "m", "--method", name]
        alone = run_json([*arguments, *OPTIONS, "--memory", memory], capsys)
        assert alone["accuracy"] == rows[name]["accuracy"]
        assert (alone["n_train"], alone["n_test"]) == (6, 6)
    assert (document["n_train"], document["n_test"], document["seed"]) == (6, 6, 3)
    assert rows["global"]["parts"] is None and rows["dpnet"]["parts"] > 0


def test_the_page_states_the_split_and_has_the_rows_of_the_document(compared):
    document, _, page = compared
    assert "50% of the images of each class, drawn with the seed 3" in page.text
    (table,) = page.all("table", "methods")
    rows = [row for row in table.all("tr") if row.parent.tag == "tbody"]
    for row, method in zip(rows, document["methods"], strict=True):
        assert row.only("th").text == method["method"] == METHODS[method["name"]].title
        assert f"{100 * method['accuracy']:.1f}%" in row.text
        assert ("best" in row.text) == method["is_best"]


def test_the_boxes_of_the_methods_are_beside_one_another(compared):
    _, html, page = compared
    images = list(page.all("article", "image"))
    assert len(images) == 2, "one of each class"
    for image in images:
        looks = list(image.all("figure", "look"))
        assert [look.only("figcaption").text for look in looks] == [
            "DP-Net",
            "ProtoTree",
        ]
        for look in looks:
            for svg in look.all("svg"):
                _, _, width, height = map(float, svg["viewbox"].split())
                for rect in svg.all("rect"):
                    x, y, w, h = (float(rect[n]) for n in ("x", "y", "width", "height"))
                    assert 0 <= x < x + w <= width and 0 <= y < y + h <= height
    assert list(page.all("g", "frame")), "some part speaks for a prediction"
    uris = re.findall(r"background-image:url\(([^)]+)\)", html)
    assert len(uris) == 2, "the methods share an image's pixels"
    assert all(pixels(uri).ndim == 3 for uri in uris)


def test_the_page_loads_nothing(compared):
    _, html, page = compared
    assert "default-src 'none'" in html
    assert not list(page.all("script"))
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", html)
    assert "http" not in re.sub(r"http-equiv", "", html)


def test_text_is_a_table_and_notes_are_on_standard_error(
    class_folders, memory, tmp_path, capsys
):
    page = tmp_path / "c.html"
    arguments = ["compare", class_folders, "-o", page, *OPTIONS, "--memory", memory]
    assert main([*map(str, arguments), "--methods", "global"]) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert "the same 6" in lines[0]
    assert lines[-1] == f"Page: {page}"
    titles = [METHODS[name].title for name in NAMES[2:]]
    for line, title in zip(lines[1:-1], titles, strict=True):
        assert line.startswith(title)
    for number, title in enumerate(titles, 1):
        assert f"Learning with {title} ({number} of 2)." in output.err


def test_unusable_arguments_are_rejected(class_folders, tmp_path, capsys):
    arguments = ["compare", class_folders, "-o", tmp_path / "c.html"]
    message = error_of([*arguments, "--test-fraction", "0"], capsys)
    assert "--test-fraction must be above 0" in message
    assert "Did you mean 'resnet50'?" in error_of(
        [*arguments, "--backbone", "resnet5"], capsys
    )
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments), "--methods", "svm"])
    assert end.value.code == 2
    assert "invalid choice: 'svm'" in capsys.readouterr().err


def test_images_that_cannot_be_decoded_are_left_out(class_folders, tmp_path, capsys):
    import shutil

    root = shutil.copytree(class_folders, tmp_path / "images")
    bad = sorted((root / "cat é").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:-2000])
    arguments = ["compare", root, "-o", tmp_path / "c.html", *OPTIONS, "--quiet"]
    assert main([*map(str, arguments), "--methods", "global"]) == 1
    output = capsys.readouterr()
    assert output.err.count("left out: ") == 1 and bad.name in output.err
    assert "1 of 12 images was left out" in output.err
    n_images = re.search(r"the same (\d+) images .* same (\d+):", output.out)
    assert sum(map(int, n_images.groups())) == 11
