"""`report`: which images illustrate parts, which are tested, and the accuracy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import skdpnet
from skdpnet import reporting
from skdpnet.__main__ import main
from tests.cli.commands import SETTINGS, error_of, run_json


def test_the_commands_work_together(class_folders, tmp_path, capsys):
    """From class folders to a report; the images are renamed and moved meanwhile."""
    file = tmp_path / "cats or coffee"
    fitted = run_json(
        ["fit", class_folders, "-o", file, "--image-size", 64, "--test-fraction", 0.34],
        capsys,
    )
    assert (fitted["n_train"], fitted["n_test"]) == (8, 4)
    moved = tmp_path / "moved"
    for i, path in enumerate(sorted(class_folders.rglob("*.png"))):
        folder = moved / path.parent.name / f"deeper {i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{i * 7 % 12}.PNG")
    image = next(moved.rglob("*.PNG"))
    (prediction,) = run_json(["predict", file, image], capsys)
    why = run_json(["explain", file, image, "-o", tmp_path / "why.svg"], capsys)
    assert why["predicted"] == prediction["class"]
    page = tmp_path / "page.html"
    output = run_json(["report", file, moved, "-o", page], capsys)
    assert output == {
        "path": str(page),
        "accuracy": fitted["accuracy"],
        "n_test": 4,
        "bytes": page.stat().st_size,
        "left_out": [],
    }
    assert "cats or coffee" in page.read_text(encoding="utf-8")


@pytest.fixture
def report_calls(monkeypatch):
    """Record the arguments of `skdpnet.reporting.report`, and write a short file."""
    calls = []

    def record(estimator, X_train, X_test, y_test, path, **options):
        calls.append((X_train, X_test, list(y_test), options))
        Path(path).write_text("page")
        return Path(path)

    monkeypatch.setattr(reporting, "report", record)
    return calls


def test_training_images_are_recognised_by_their_content(
    model_file, class_folders, training_images, tmp_path, capsys, report_calls
):
    moved = tmp_path / "moved"
    for i, path in enumerate(sorted(class_folders.rglob("*.png"), reverse=True)):
        folder = moved / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{i}.png")
    page = tmp_path / "p"
    output = run_json(["report", model_file, moved, "-o", page, "--title", "T"], capsys)
    ((X_train, X_test, y_test, options),) = report_calls

    def contents(paths):
        return sorted(Path(path).read_bytes() for path in paths)

    assert contents(X_train) == contents(training_images)
    others = set(class_folders.rglob("*.png")) - set(training_images)
    assert contents(X_test) == contents(others)
    assert y_test == [Path(path).parent.name for path in X_test]
    assert options == {"title": "T", "verbose": 0}
    predictions = run_json(["predict", model_file, *X_test], capsys)
    is_right = [
        prediction["class"] == Path(prediction["path"]).parent.name
        for prediction in predictions
    ]
    assert output == {
        "path": str(page),
        "accuracy": np.mean(is_right),
        "n_test": 4,
        "bytes": 4,
        "left_out": [],
    }


def test_without_training_images_test_images_illustrate_the_parts(
    model_file, class_folders, training_images, tmp_path, capsys, report_calls
):
    """The folder holds a single class, with images that are all new."""
    new = tmp_path / "new" / "cat é"
    new.mkdir(parents=True)
    for path in (class_folders / "cat é").iterdir():
        if path not in training_images:
            shutil.copy(path, new)
    arguments = ["report", model_file, str(tmp_path / "new"), "-o", str(tmp_path / "p")]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert "test images illustrate the parts" in output.err
    assert "on 2 test images" in output.out
    assert main([*arguments, "--train", str(class_folders)]) == 0
    output = capsys.readouterr()
    assert "illustrate" not in output.err
    default, with_train = report_calls
    assert default[0] == default[1] == with_train[1]
    assert with_train[0] == sorted(map(str, class_folders.rglob("*.png")))
    assert with_train[3]["title"] == "the model"


def test_invalid_arguments_are_rejected(
    model_file, class_folders, training_images, tmp_path, capsys, report_calls
):
    folder = tmp_path / "training images"
    for path in training_images:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    output = error_of(["report", model_file, folder, "-o", tmp_path / "p"], capsys)
    assert "learned from all 8 images" in output
    assert "--test-fraction" in output
    (folder / "cat é").rename(folder / "cats é")
    output = error_of(["report", model_file, folder, "-o", tmp_path / "p"], capsys)
    assert f"{folder / 'cats é'} is not the folder of a class of {model_file}" in output
    assert "did you mean 'cat é'?" in output
    output = error_of(["report", model_file, tmp_path / "no"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in output
    output = error_of(["report", model_file, training_images[0]], capsys)
    assert "is not a folder" in output
    output = error_of(
        ["report", model_file, class_folders, "-o", tmp_path / "no" / "p"], capsys
    )
    assert f"there is no folder {tmp_path / 'no'}" in output
    assert not report_calls


def test_a_model_with_numbers_for_labels_and_without_digests(
    training_images, tmp_path, capsys, report_calls
):
    y = [int("coffee" in str(path)) for path in training_images]
    file = tmp_path / "m"
    skdpnet.DPNetClassifier(**SETTINGS).fit(training_images, y).save(file)
    for path, label in zip(training_images, y, strict=True):
        (tmp_path / "x" / str(label)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "x" / str(label))
    assert (
        main(["report", str(file), str(tmp_path / "x"), "-o", str(tmp_path / "p")]) == 0
    )
    assert "does not say which images it learned from" in capsys.readouterr().err
    ((_, X_test, y_test, _),) = report_calls
    assert sorted(y_test) == [0, 0, 0, 0, 1, 1, 1, 1]
    why = run_json(
        ["explain", file, X_test[0], "--class", "1", "-o", tmp_path / "w.png"], capsys
    )
    assert why["class"] == 1
