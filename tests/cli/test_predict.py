"""`predict`: classes, probabilities and file names."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet.__main__ import main
from tests.cli.commands import error_of, run_json


def test_probabilities_are_the_model_s(model_file, training_images, capsys):
    predictions = run_json(
        ["predict", model_file, "--top", 2, *training_images], capsys
    )
    fitted = skdpnet.load(model_file)
    expected = fitted.predict_proba(training_images)
    assert [prediction["path"] for prediction in predictions] == list(
        map(str, training_images)
    )
    for prediction, row in zip(predictions, expected, strict=True):
        top = prediction["top"]
        probabilities = {each["class"]: each["probability"] for each in top}
        assert [probabilities[label] for label in fitted.classes_] == pytest.approx(
            list(row)
        )
        assert prediction["probability"] == top[0]["probability"] == max(row)
        assert prediction["class"] == top[0]["class"]


def test_each_image_has_a_line(model_file, training_images, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert (
        main(["predict", model_file, *map(str, training_images[:3]), "--top", "2"]) == 0
    )
    output = capsys.readouterr()
    rows = [line.split("\t") for line in output.out.splitlines()]
    assert [row[0] for row in rows] == list(map(str, training_images[:3]))
    assert all({row[1], row[3]} == {"cat é", "coffee é"} for row in rows)
    assert all(float(row[2]) >= float(row[4]) for row in rows)
    assert "3/3" in output.err, "a progress bar in a terminal"


def test_there_are_no_progress_bars_in_files(model_file, training_images, capsys):
    assert main(["predict", model_file, *map(str, training_images[:3])]) == 0
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 3
    assert not output.err
    assert main(["predict", model_file, str(training_images[0])]) == 0
    assert len(capsys.readouterr().out.split("\t")) == 3


def test_names_that_begin_with_a_dash(model_file, training_images, capsys, monkeypatch):
    monkeypatch.chdir(training_images[0].parent)
    arguments = ["predict", model_file, "--json", "--", training_images[0].name]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)[0]["path"] == training_images[0].name
    with pytest.raises(SystemExit):
        main(["predict", model_file, training_images[0].name])


def test_names_that_are_not_text(model_file, training_images, tmp_path, capsys):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        shutil.copy(training_images[0], path)
    except OSError as error:
        pytest.skip(f"this file system takes text only: {error}")
    (prediction,) = run_json(["predict", model_file, os.fsdecode(path)], capsys)
    assert os.fsencode(prediction["path"]) == path


def test_files_that_are_not_images_are_rejected(
    model_file, training_images, tmp_path, capsys
):
    output = error_of(["predict", model_file, tmp_path], capsys)
    assert f"{tmp_path} is a folder: name the images in it" in output
    output = error_of(["predict", model_file, tmp_path / "no.png"], capsys)
    assert output.startswith(f"error: '{tmp_path / 'no.png'}': there is no such file")
    output = error_of(["predict", model_file, model_file], capsys)
    assert "not an image" in output


def test_large_photographs(model_file, training_images, tmp_path, capsys, monkeypatch):
    """Twice Pillow's limit is read without a word; the option says how much is."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600_000)
    with Image.open(training_images[0]) as opened:
        opened.convert("RGB").resize((1000, 1100)).save(tmp_path / "a.jpg")
        opened.convert("RGB").resize((1400, 1400)).save(tmp_path / "b.jpg")
    run_json(["predict", model_file, tmp_path / "a.jpg"], capsys)
    output = error_of(["predict", model_file, tmp_path / "b.jpg"], capsys)
    assert "too large" in output
    assert "1960000 pixels" in output
    assert "raise --max-megapixels" in output
    assert "MAX_IMAGE" not in output
    for command in (["predict"], ["explain", "-o", tmp_path / "why.png"]):
        large = ["--max-megapixels", 2, model_file, tmp_path / "b.jpg"]
        run_json([*command, *large], capsys)
    assert Image.MAX_IMAGE_PIXELS == 600_000
    small = ["--max-megapixels", 1, tmp_path / "a.jpg"]
    assert "too large" in error_of(["predict", model_file, *small], capsys)


def test_a_bug_keeps_its_traceback(model_file, training_images, monkeypatch):
    def broken(self, X):
        return np.zeros(2) + np.zeros(3)

    monkeypatch.setattr(skdpnet.DPNetClassifier, "predict_proba", broken)
    with pytest.raises(ValueError, match="broadcast"):
        main(["predict", model_file, str(training_images[0])])
