"""Images that cannot be used are left out by the commands, which name all of them."""

from __future__ import annotations

import json
import shutil

import pytest

import skdpnet
from skdpnet.__main__ import main
from tests.cli.commands import run_json

SMALL = ["--image-size", "64", "--parts-per-class", "4"]


def cut(path):
    """Cut off the end of a file, which only decoding it shows."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_image(path):
    path.write_text("<html>not found</html>")


def empty(path):
    path.write_bytes(b"")


DAMAGES = (cut, no_image, empty, cut)


@pytest.fixture
def images(class_folders, tmp_path):
    """The class folders, with four bad images, the first and last among them."""
    folder = tmp_path / "images"
    shutil.copytree(class_folders, folder)
    paths = sorted(folder.rglob("*.png"))
    bad = [paths[0], paths[5], paths[6], paths[-1]]
    for path, damage in zip(bad, DAMAGES, strict=True):
        damage(path)
    return folder, [path for path in paths if path not in bad], bad


def run(arguments, capsys):
    """Run a command that leaves images out; return its JSON and its messages."""
    assert main([*map(str, arguments), "--json", "--quiet"]) == 1
    output = capsys.readouterr()
    *lines, summary = output.err.splitlines()
    return json.loads(output.out), lines, summary


def assert_named(lines, bad):
    """Each bad image has a line of its own."""
    assert sorted(line.split("'")[1] for line in lines) == sorted(map(str, bad))
    assert all(line.startswith("left out: '") for line in lines)


@pytest.mark.parametrize("with_memory", [False, True])
def test_predict(images, model_file, capsys, tmp_path, with_memory):
    _, good, bad = images
    memory = ["--memory", tmp_path / "maps"] if with_memory else []
    missing = tmp_path / "no such file.png"
    named = [missing, bad[0], *good[:3], bad[1], *good[3:], bad[2], bad[3], bad[0]]
    for _ in range(2):  # the second time from the cache
        document, lines, summary = run(["predict", model_file, *named, *memory], capsys)
        assert_named(lines, [missing, *bad])
        assert summary.startswith("error: 5 of 14 images were left out")
        assert document == run_json(["predict", model_file, *good], capsys)


def test_predict_without_any_good_image(images, model_file, capsys):
    _, _, bad = images
    assert main(["predict", model_file, *map(str, bad), "--quiet"]) == 1
    output = capsys.readouterr()
    assert not output.out
    lines = output.err.splitlines()
    assert lines[0] == "error: 4 of 4 images cannot be used:"
    assert [line.split("'")[1] for line in lines[1:]] == list(map(str, bad))


@pytest.mark.parametrize("share", ["0", "0.34"])
def test_fit_learns_from_the_others(images, share, tmp_path, capsys):
    folder, good, bad = images
    options = ["--test-fraction", share, *SMALL]
    document, lines, summary = run(
        ["fit", folder, "-o", tmp_path / "m", *options], capsys
    )
    assert_named(lines, bad)
    assert summary.startswith("error: 4 of 12 images were left out")
    assert sorted(document["left_out"]) == sorted(map(str, bad))
    assert document["n_train"] + document["n_test"] == len(good)
    model = skdpnet.load(tmp_path / "m")
    assert len(model.notes_["training_digests"]) == document["n_train"]
    if share == "0":
        y = [path.parent.name for path in good]
        model.set_params(memory=None)
        again = skdpnet.DPNetClassifier(**model.get_params()).fit(good, y)
        assert (again.predict_proba(good) == model.predict_proba(good)).all()


def test_report_shows_the_others(images, model_file, tmp_path, capsys):
    folder, good, bad = images
    page = tmp_path / "page.html"
    document, lines, summary = run(
        ["report", model_file, folder, "-o", page, "--train", folder], capsys
    )
    assert_named(lines, bad)
    assert summary.startswith("error: 4 of 12 images were left out")
    assert sorted(document["left_out"]) == sorted(map(str, bad))
    learned = set(skdpnet.load(model_file).notes_["training_digests"])
    from tests.cli.test_fit import digest

    assert document["n_test"] == sum(digest(path) not in learned for path in good)
    assert document["bytes"] == page.stat().st_size > 0


def test_explain_needs_its_image(images, model_file, tmp_path, capsys):
    _, _, bad = images
    for path in bad:
        output = tmp_path / "why.png"
        assert main(["explain", model_file, str(path), "-o", str(output)]) == 1
        assert str(path) in capsys.readouterr().err
        assert not output.exists()
