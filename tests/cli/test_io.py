"""Model files that the commands cannot use, and the JSON that they print."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import skdpnet
from skdpnet.cli.io import label_of, list_classes
from tests.cli.commands import SETTINGS, error_of, run_json


def test_unusable_model_files_are_rejected(
    model_file, training_images, tmp_path, capsys
):
    output = error_of(["predict", tmp_path / "no", training_images[0]], capsys)
    assert f"there is no file {tmp_path / 'no'}" in output
    damaged = tmp_path / "damaged"
    data = bytearray(Path(model_file).read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    output = error_of(["predict", damaged, training_images[0]], capsys)
    assert f"{damaged} is damaged" in output
    damaged.write_bytes(data[:1000])
    assert f"{damaged} is damaged" in error_of(
        ["explain", damaged, training_images[0], "-o", tmp_path / "a.png"], capsys
    )
    output = error_of(["predict", training_images[0], training_images[0]], capsys)
    assert "is not a model that skdpnet saved" in output
    output = error_of(
        ["predict", model_file, training_images[0], "--device", "none"], capsys
    )
    assert "device='none'" in output


def test_models_that_do_not_classify_images_are_rejected(
    training_images, tmp_path, capsys
):
    labels = [path.parent.name for path in training_images]
    file = tmp_path / "transformer"
    skdpnet.DPNetTransformer(**SETTINGS).fit(training_images, labels).save(file)
    output = error_of(["predict", file, training_images[0]], capsys)
    assert "holds a DPNetTransformer, which predicts no classes" in output
    features = np.random.default_rng(0).normal(size=(8, 5))
    precomputed = skdpnet.DPNetClassifier("precomputed", max_epochs=1, random_state=0)
    precomputed.fit(features, labels).save(file)
    output = error_of(["predict", file, training_images[0]], capsys)
    assert "fitted on features, not on images" in output


@pytest.mark.parametrize("command", ["fit", "report", "explain"])
def test_a_pipe_is_refused_as_an_output_before_anything_is_computed(
    model_file, class_folders, training_images, tmp_path, capsys, command
):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    arguments = {
        "fit": [class_folders],
        "report": [model_file, class_folders],
        "explain": [model_file, training_images[0]],
    }[command]
    output = error_of([command, *arguments, "-o", pipe], capsys)
    assert "pipe.png is a pipe or a device: name a file" in output
    assert pipe.is_fifo()


def test_json_can_hold_any_file_name(capsys):
    from skdpnet.cli.io import show

    document = {"path": "k\u0101k\u0101p\u014d\n\udcff \"'"}
    show(argparse.Namespace(json=True), document, ["not this"])
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.filterwarnings("default")
def test_class_folders_are_listed_with_what_is_passed_over(
    class_folders, tmp_path, capsys
):
    """Some folders may be empty, in another Unicode form, or hold other files."""
    root = tmp_path / "images"
    shutil.copytree(
        class_folders / "cat é", root / unicodedata.normalize("NFD", "cat é")
    )
    (root / "coffee é").mkdir()
    (root / "coffee é" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="'coffee é' in .* has no image"):
        list_classes(str(root))
    paths, labels = list_classes(str(root), may_be_empty=True)
    assert labels == ["cat é"] * 6
    assert all(Path(path).exists() for path in paths)


def test_labels_are_found_in_another_unicode_form():
    model = argparse.Namespace(classes_=np.array(["cat e\u0301", "coffee"]))
    assert label_of(model, "cat \u00e9") == "cat e\u0301"
    numbers = argparse.Namespace(classes_=np.array([3, 4]))
    assert label_of(numbers, "4") == 4
    with pytest.raises(ValueError, match="'5' is none of the 2 classes"):
        label_of(numbers, "5")


def test_paths_may_begin_with_a_tilde(
    class_folders, model_file, tmp_path, monkeypatch, capsys
):
    """A shell does not expand it in quotes, or after an equals sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(class_folders, tmp_path / "images")
    shutil.copy(model_file, tmp_path / "model")
    arguments = ["report", "~/model", "~/images", "--output=~/page.html"]
    assert run_json(arguments, capsys)["path"] == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").exists()
    image = "~/images/cat é/-0.png"
    run_json(["explain", "~/model", image, "--output=~/why.png"], capsys)
    assert (tmp_path / "why.png").exists()
    assert len(run_json(["predict", "~/model", image], capsys)) == 1


def test_models_of_several_classes_an_image_are_rejected(
    training_images, tmp_path, capsys
):
    labels = np.array([path.parent.name for path in training_images])
    indicators = labels[:, None] == np.unique(labels)
    model = skdpnet.DPNetClassifier(**SETTINGS).fit(training_images, indicators)
    model.save(tmp_path / "several")
    output = error_of(["predict", tmp_path / "several", training_images[0]], capsys)
    assert "predicts several classes of an image, or none" in output
