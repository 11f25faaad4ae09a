"""`predict`, `explain` and `report`: one model, small images, real output."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet import reporting
from skdpnet.__main__ import main
from skdpnet.images.digest import digest_of_file

matplotlib.use("agg")
SETTINGS = {
    "image_size": 64,
    "n_parts_per_class": 4,
    "max_epochs": 2,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def folders(photographs, tmp_path_factory):
    """Six images of a cat and six of coffee, whose names begin with a dash."""
    root = tmp_path_factory.mktemp("cli") / "my images"
    for i, (path, label) in enumerate(zip(*photographs, strict=True)):
        place = root / f"{label} é"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"-{i}.png")
    return root


@pytest.fixture(scope="module")
def learned(folders):
    """Four images of each class."""
    return [path for name in folders.iterdir() for path in sorted(name.iterdir())[:4]]


@pytest.fixture(scope="module")
def model(folders, learned, tmp_path_factory):
    """A file as `fit` writes it."""
    fitted = skdpnet.DPNetClassifier(**SETTINGS)
    fitted.fit(learned, [path.parent.name for path in learned])
    prints = [digest_of_file(path.read_bytes()) for path in learned]
    fitted.notes_ = {"training_images": prints}
    path = tmp_path_factory.mktemp("model") / "the model"
    fitted.save(path)
    return str(path)


@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def called(arguments, capsys):
    """Run a command that succeeds, and give its JSON."""
    assert main([*map(str, arguments), "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    assert not told.err
    return json.loads(told.out)


def refused(arguments, capsys):
    """Run a command that fails, and give its sentence."""
    assert main([*map(str, arguments), "--quiet"]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_from_class_folders_to_a_report(folders, tmp_path, capsys):
    """As a user would; the images are renamed and moved on the way."""
    file = tmp_path / "cats or coffee"
    fitted = called(
        ["fit", folders, "-o", file, "--image-size", 64, "--test-fraction", 0.34],
        capsys,
    )
    assert (fitted["n_train"], fitted["n_test"]) == (8, 4)
    moved = tmp_path / "moved"
    for i, path in enumerate(sorted(folders.rglob("*.png"))):
        place = moved / path.parent.name / f"deeper {i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"{i * 7 % 12}.PNG")
    one = next(moved.rglob("*.PNG"))
    (found,) = called(["predict", file, one], capsys)
    why = called(["explain", file, one, "-o", tmp_path / "why.svg"], capsys)
    assert why["predicted"] == found["class"]
    page = tmp_path / "page.html"
    told = called(["report", file, moved, "-o", page], capsys)
    assert told == {
        "path": str(page),
        "accuracy": fitted["accuracy"],
        "n_test": 4,
        "bytes": page.stat().st_size,
    }
    assert "cats or coffee" in page.read_text(encoding="utf-8")


# --------------------------------------------------------------------------- predict


def test_probabilities_are_the_model_s(model, learned, capsys):
    found = called(["predict", model, "--top", 2, *learned], capsys)
    fitted = skdpnet.load(model)
    expected = fitted.predict_proba(learned)
    assert [one["path"] for one in found] == list(map(str, learned))
    for one, row in zip(found, expected, strict=True):
        named = {top["class"]: top["probability"] for top in one["top"]}
        assert [named[label] for label in fitted.classes_] == pytest.approx(list(row))
        assert one["probability"] == one["top"][0]["probability"] == max(row)
        assert one["class"] == one["top"][0]["class"]


def test_one_line_a_image(model, learned, capsys):
    assert main(["predict", model, *map(str, learned[:3]), "--top", "2"]) == 0
    told = capsys.readouterr()
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert [row[0] for row in rows] == list(map(str, learned[:3]))
    assert all({row[1], row[3]} == {"cat é", "coffee é"} for row in rows)
    assert all(float(row[2]) >= float(row[4]) for row in rows)
    assert "3/3" in told.err, "progress"
    assert main(["predict", model, str(learned[0])]) == 0
    assert len(capsys.readouterr().out.split("\t")) == 3


def test_names_that_begin_with_a_dash(model, learned, capsys, monkeypatch):
    monkeypatch.chdir(learned[0].parent)
    arguments = ["predict", model, "--json", "--", learned[0].name]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == learned[0].name
    with pytest.raises(SystemExit):
        main(["predict", model, learned[0].name])


def test_names_that_are_no_text(model, learned, tmp_path, capsys):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        shutil.copy(learned[0], path)
    except OSError as error:
        pytest.skip(f"this file system takes text only: {error}")
    (found,) = called(["predict", model, os.fsdecode(path)], capsys)
    assert os.fsencode(found["path"]) == path


def test_predict_refuses_what_is_no_image(model, learned, tmp_path, capsys):
    told = refused(["predict", model, tmp_path], capsys)
    assert f"{tmp_path} is a folder: name the images in it" in told
    told = refused(["predict", model, learned[0], tmp_path / "no.png"], capsys)
    assert told.startswith(f"error: '{tmp_path / 'no.png'}': there is no such file")
    told = refused(["predict", model, model], capsys)
    assert "not an image" in told


def test_models_that_cannot_be_used(model, learned, tmp_path, capsys):
    told = refused(["predict", tmp_path / "no", learned[0]], capsys)
    assert f"there is no file {tmp_path / 'no'}" in told
    damaged = tmp_path / "damaged"
    data = bytearray(Path(model).read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    told = refused(["predict", damaged, learned[0]], capsys)
    assert f"{damaged} is damaged" in told
    damaged.write_bytes(data[:1000])
    assert f"{damaged} is damaged" in refused(
        ["explain", damaged, learned[0], "-o", tmp_path / "a.png"], capsys
    )
    told = refused(["predict", learned[0], learned[0]], capsys)
    assert "is not a model that skdpnet saved" in told
    told = refused(["predict", model, learned[0], "--device", "none"], capsys)
    assert "device='none'" in told


def test_models_of_another_kind(learned, tmp_path, capsys):
    labels = [path.parent.name for path in learned]
    file = tmp_path / "transformer"
    skdpnet.DPNetTransformer(**SETTINGS).fit(learned, labels).save(file)
    told = refused(["predict", file, learned[0]], capsys)
    assert "holds a DPNetTransformer, which names no classes" in told
    features = np.random.default_rng(0).normal(size=(8, 5))
    given = skdpnet.DPNetClassifier("precomputed", max_epochs=1, random_state=0)
    given.fit(features, labels).save(file)
    told = refused(["predict", file, learned[0]], capsys)
    assert "fitted on features, not on images" in told


def test_a_bug_is_not_taken_for_a_user_s_mistake(model, learned, monkeypatch):
    def broken(self, X):
        return np.zeros(2) + np.zeros(3)

    monkeypatch.setattr(skdpnet.DPNetClassifier, "predict_proba", broken)
    with pytest.raises(ValueError, match="broadcast"):
        main(["predict", model, str(learned[0])])


# --------------------------------------------------------------------------- explain


def test_contributions_add_up_and_differ_as_the_probabilities_do(
    model, learned, tmp_path, capsys
):
    arguments = ["explain", model, learned[0], "-o", tmp_path / "why.png"]
    why = called(arguments, capsys)
    added = sum(part["contribution"] for part in why["parts"])
    assert added + why["other_parts"] + why["bias"] == pytest.approx(why["score"])
    (found,) = called(["predict", model, "--top", 2, learned[0]], capsys)
    assert why["predicted"] == why["class"] == found["class"]
    first, second = found["top"]
    why = called([*arguments, "--against", second["class"]], capsys)
    assert why["against"] == second["class"]
    ratio = np.log(first["probability"] / second["probability"])
    assert why["score"] == pytest.approx(ratio, abs=1e-5)
    why = called([*arguments, "--class", second["class"]], capsys)
    assert (why["predicted"], why["class"]) == (first["class"], second["class"])


def test_the_parts_that_add_most_are_listed(model, learned, tmp_path, capsys):
    arguments = ["explain", model, learned[0], "-o", tmp_path / "why.png"]
    parts = called(arguments, capsys)["parts"]
    added = [part["contribution"] for part in parts]
    assert len(added) >= 2
    assert added == sorted(added, reverse=True)
    assert called([*arguments, "--parts", 1], capsys)["parts"] == parts[:1]


def test_boxes_are_those_of_the_turned_image(model, learned, tmp_path, capsys):
    """An image that lies on its side in the file is upright for a viewer."""
    file = tmp_path / "upright.png"
    with Image.open(learned[0]) as opened:
        image = opened.resize((120, 90))
    image.save(file)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    image.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    one, other = (
        called(["explain", model, path, "-o", tmp_path / "w.png"], capsys)["parts"]
        for path in (file, turned)
    )
    assert one == other
    assert one
    edges = np.array([part["box"] for part in one])
    assert (edges >= 0).all() and (edges <= [120, 90, 120, 90]).all()


@pytest.mark.parametrize("suffix", [".png", ".PDF", ".jpg"])
def test_the_figure_has_the_format_of_its_suffix(
    suffix, model, learned, tmp_path, capsys
):
    file = tmp_path / f"it's why{suffix}"
    assert main(["explain", model, str(learned[0]), "-o", str(file)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Predicted: c")
    assert told[-1] == f"Figure: {file}"
    summands = [float(line.split()[0]) for line in told[2:-1]]
    score = float(told[1].split(": ")[1].split(",")[0])
    assert sum(summands) == pytest.approx(score, abs=0.05), "but for rounding"
    start = {".png": b"\x89PNG", ".PDF": b"%PDF", ".jpg": b"\xff\xd8\xff"}[suffix]
    assert file.read_bytes().startswith(start)


def test_explain_refuses_what_it_cannot_do(model, learned, tmp_path, capsys):
    start = ["explain", model, learned[0], "-o"]
    told = refused([*start, tmp_path / "why"], capsys)
    assert "has no suffix, but figures are written as" in told
    told = refused([*start, tmp_path / "why.docx"], capsys)
    assert "has the suffix '.docx'" in told
    assert "png" in told
    told = refused([*start, tmp_path / "no" / "why.png"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in told
    told = refused([*start, tmp_path / "why.png", "--class", "cofee é"], capsys)
    assert "did you mean 'coffee é'?" in told
    (found,) = called(["predict", model, learned[0]], capsys)
    told = refused([*start, tmp_path / "w.png", "--against", found["class"]], capsys)
    assert "name another one" in told
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------- report


@pytest.fixture
def reported(monkeypatch):
    """What `report` is called with, in place of writing the page."""
    calls = []

    def record(estimator, X_train, X_test, y_test, path, **options):
        calls.append((X_train, X_test, list(y_test), options))
        Path(path).write_text("page")
        return Path(path)

    monkeypatch.setattr(reporting, "report", record)
    return calls


def test_training_images_are_known_by_their_content(
    model, folders, learned, tmp_path, capsys, reported
):
    moved = tmp_path / "moved"
    for i, path in enumerate(sorted(folders.rglob("*.png"), reverse=True)):
        place = moved / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"{i}.png")
    page = tmp_path / "p"
    told = called(["report", model, moved, "-o", page, "--title", "T"], capsys)
    ((X_train, X_test, y_test, options),) = reported

    def contents(paths):
        return sorted(Path(path).read_bytes() for path in paths)

    assert contents(X_train) == contents(learned)
    others = set(folders.rglob("*.png")) - set(learned)
    assert contents(X_test) == contents(others)
    assert y_test == [Path(path).parent.name for path in X_test]
    assert options == {"title": "T", "verbose": 0}
    found = called(["predict", model, *X_test], capsys)
    right = [one["class"] == Path(one["path"]).parent.name for one in found]
    assert told == {
        "path": str(page),
        "accuracy": np.mean(right),
        "n_test": 4,
        "bytes": 4,
    }


def test_galleries_without_training_images(
    model, folders, learned, tmp_path, capsys, reported
):
    """One class only, all its images new: a report nonetheless."""
    new = tmp_path / "new" / "cat é"
    new.mkdir(parents=True)
    for path in (folders / "cat é").iterdir():
        if path not in learned:
            shutil.copy(path, new)
    arguments = ["report", model, str(tmp_path / "new"), "-o", str(tmp_path / "p")]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert "test images illustrate the parts" in told.err
    assert "on 2 test images" in told.out
    assert main([*arguments, "--train", str(folders)]) == 0
    told = capsys.readouterr()
    assert "illustrate" not in told.err
    without, named = reported
    assert without[0] == without[1] == named[1]
    assert named[0] == sorted(map(str, folders.rglob("*.png")))
    assert named[3]["title"] == "the model"


def test_report_refuses_what_it_cannot_do(
    model, folders, learned, tmp_path, capsys, reported
):
    known = tmp_path / "known"
    for path in learned:
        (known / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, known / path.parent.name)
    told = refused(["report", model, known, "-o", tmp_path / "p"], capsys)
    assert "learned from all 8 images" in told
    assert "--test-fraction" in told
    (known / "cat é").rename(known / "cats é")
    told = refused(["report", model, known, "-o", tmp_path / "p"], capsys)
    assert f"{known / 'cats é'} is no folder of a class of {model}" in told
    assert "did you mean 'cat é'?" in told
    told = refused(["report", model, tmp_path / "no"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in told
    told = refused(["report", model, learned[0]], capsys)
    assert "is no folder" in told
    told = refused(["report", model, folders, "-o", tmp_path / "no" / "p"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in told
    assert not reported


def test_a_model_with_numbers_for_classes_that_remembers_nothing(
    learned, tmp_path, capsys, reported
):
    y = [int("coffee" in str(path)) for path in learned]
    file = tmp_path / "m"
    skdpnet.DPNetClassifier(**SETTINGS).fit(learned, y).save(file)
    for path, label in zip(learned, y, strict=True):
        (tmp_path / "x" / str(label)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "x" / str(label))
    assert (
        main(["report", str(file), str(tmp_path / "x"), "-o", str(tmp_path / "p")]) == 0
    )
    assert "does not tell which images it learned from" in capsys.readouterr().err
    ((_, X_test, y_test, _),) = reported
    assert sorted(y_test) == [0, 0, 0, 0, 1, 1, 1, 1]
    why = called(
        ["explain", file, X_test[0], "--class", "1", "-o", tmp_path / "w.png"], capsys
    )
    assert why["class"] == 1
