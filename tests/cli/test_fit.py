"""`fit`: held-out images, what the model stores, and errors before learning."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

import skdpnet
from skdpnet.__main__ import main
from skdpnet.cli.split import hold_out
from skdpnet.images.digest import digest_of_file
from tests.cli.commands import error_of, run_json

SMALL = ["--image-size", "64", "--parts-per-class", "4"]


def digest(path):
    """Return the digest that a model stores for an image file."""
    return digest_of_file(Path(path).read_bytes())


@pytest.fixture(scope="module")
def mixed_folders(photographs, tmp_path_factory):
    """Two classes with cats and coffee in both, so that some predictions are wrong."""
    root = tmp_path_factory.mktemp("cli") / "my images"
    for i, path in enumerate(photographs[0]):
        folder = root / ("007", "kākāpō's own")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"-image {i}.png")
    return root


@pytest.fixture(scope="module")
def fitted(mixed_folders, tmp_path_factory):
    """A model file, and the JSON that `fit` printed."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("model") / "a model"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(
            [
                *("fit", str(mixed_folders), "-o", str(path), *SMALL, "--seed", "3"),
                *("--test-fraction", "0.5", "--json", "--quiet"),
                *("--orthogonality", "0.1", "--assignment", "0.2"),
                *("--specificity", "0.3"),
            ]
        )
    assert status == 0
    return path, json.loads(printed.getvalue())


def test_accuracy_is_that_of_predictions_for_the_held_out_images(
    fitted, mixed_folders, capsys
):
    path, document = fitted
    learned = set(skdpnet.load(path).notes_["training_digests"])
    held_out = [
        p for p in sorted(mixed_folders.rglob("*.png")) if digest(p) not in learned
    ]
    assert len(held_out) == document["n_test"] == 6
    predictions = run_json(["predict", path, *held_out], capsys)
    is_right = [
        prediction["class"] == Path(prediction["path"]).parent.name
        for prediction in predictions
    ]
    assert document["accuracy"] == np.mean(is_right)


def test_the_document_describes_the_fit(fitted):
    path, document = fitted
    assert list(document) == [
        *("model", "method", "classes", "n_train", "n_test", "accuracy", "seconds"),
        "left_out",
    ]
    assert (document["model"], document["method"]) == (str(path), "dpnet")
    assert document["classes"] == ["007", "kākāpō's own"], "names are not numbers"
    assert document["n_train"] == 6


def test_the_model_has_the_parameters_and_stores_digests(fitted, mixed_folders):
    model = skdpnet.load(fitted[0])
    expected = {
        "image_size": 64,
        "n_parts_per_class": 4,
        "orthogonality_weight": 0.1,
        "assignment_weight": 0.2,
        "specificity_weight": 0.3,
        "random_state": 3,
        "backbone": "efficientnet_lite0",
    }
    assert {name: model.get_params()[name] for name in expected} == expected
    notes = model.notes_
    assert set(notes["training_digests"]) < set(
        map(digest, mixed_folders.rglob("*.png"))
    )
    assert (notes["seed"], notes["test_fraction"]) == (3, 0.5)
    assert notes["skdpnet_version"] == skdpnet.__version__


def test_the_framing_is_an_option(mixed_folders, tmp_path, capsys):
    arguments = ["fit", str(mixed_folders), "-o", str(tmp_path / "m"), *SMALL]
    assert main([*arguments, "--framing", "aspect"]) == 0
    assert skdpnet.load(tmp_path / "m").framing == "aspect"
    assert main([*arguments, "--framing", "aspect", "--image-size", "100"]) == 1
    assert "multiple of 32" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--framing", "whole"])


def test_python_fits_the_same_model(fitted, mixed_folders):
    learned = set(skdpnet.load(fitted[0]).notes_["training_digests"])
    paths = [p for p in sorted(mixed_folders.rglob("*.png")) if digest(p) in learned]
    model = skdpnet.DPNetClassifier(
        image_size=64,
        n_parts_per_class=4,
        orthogonality_weight=0.1,
        assignment_weight=0.2,
        specificity_weight=0.3,
        random_state=3,
    ).fit(paths, [p.parent.name for p in paths])
    np.testing.assert_array_equal(model.parts_, skdpnet.load(fitted[0]).parts_)


def test_learning_from_all_images_measures_no_accuracy(
    mixed_folders, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    arguments = ["fit", str(mixed_folders), "-o", str(tmp_path / "m"), *SMALL]
    assert main([*arguments, "--test-fraction", "0", "--memory", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert "Learned 2 classes from 12 images" in output.out
    assert "Accuracy not measured" in output.out
    assert "12/12" in output.err or "11/11" in output.err, (
        "a progress bar over the images"
    )
    assert skdpnet.load(tmp_path / "m").verbose == 0, "progress bars were for this run"
    assert "skdpnet report" not in output.err, "there is no image to test it on"
    arguments += ["--test-fraction", "0", "--json", "--quiet"]
    assert main([*arguments, "--memory", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["accuracy"] is None
    assert not output.err


def test_it_says_what_it_does_and_what_can_follow(
    mixed_folders, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    memory = tmp_path / "the maps"
    arguments = ["fit", str(mixed_folders), "-o", "my model.skdpnet"]
    arguments += ["--image-size", "64", "--method", "prototree"]
    assert main([*arguments, "--memory", str(memory), "--device", "cpu"]) == 0
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert lines[0] == f"Reading 12 images of 2 classes in {mixed_folders}."
    assert lines[1] == "Learning from 10 images; 2 held out for testing (seed 0)."
    assert "efficientnet_lite0 on cpu" in lines[2] and "ProtoTree" in lines[2]
    assert "accuracy on 2 held-out images" in lines[3]
    assert len(output.out.splitlines()) == 3
    assert lines[4] == "Next:"
    commands = [shlex.split(line) for line in lines[5:]]
    assert [words[3] for words in commands] == ["report", "explain", "predict"]
    model = skdpnet.load("my model.skdpnet")
    assert isinstance(model, skdpnet.ProtoTreeClassifier)
    learned = model.notes_["training_digests"]
    assert digest(commands[1][5]) not in learned, "an image that is held out"
    # The commands are exact: each of them succeeds, and finds the maps.
    for words in commands:
        assert words[:3] == ["python", "-m", "skdpnet"]
        assert main(words[3:]) == 0
        assert words[words.index("--memory") + 1] == str(memory)
    assert (tmp_path / "my model.html").exists()


def test_options_of_other_methods_are_rejected(images, tmp_path, capsys, no_learning):
    arguments = ["fit", images, "-o", tmp_path / "m", "--method", "prototree"]
    message = error_of([*arguments, "--parts-per-class", "4"], capsys)
    assert "prototree has no --parts-per-class, which is of dpnet, protopnet" in message
    message = error_of([*arguments, "--assignment", "1"], capsys)
    assert "prototree has no --assignment, which is of dpnet" in message


@pytest.mark.parametrize("name", ["two-stage", "global", "global-maps"])
def test_methods_of_two_estimators_are_rejected(name, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit", "images", "-o", "m", "--method", name])
    assert end.value.code == 2
    assert "a model file holds one: `compare` fits it" in capsys.readouterr().err


@pytest.fixture
def images(mixed_folders, tmp_path):
    """A copy of the class mixed_folders, which a test may change."""
    return shutil.copytree(mixed_folders, tmp_path / "images")


@pytest.fixture
def no_learning(monkeypatch):
    """Let learning raise an error that `main` does not turn into a message."""

    def fit(*_):
        raise AssertionError("learning began")

    monkeypatch.setattr(skdpnet.DPNetClassifier, "fit", fit)


def error_of_fit(arguments, capsys):
    """Run a fit that fails, and return its message."""
    return error_of(["fit", *arguments, *SMALL], capsys)


def test_a_missing_or_empty_folder_is_rejected(tmp_path, capsys):
    message = error_of_fit([tmp_path / "no", "-o", tmp_path / "m"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in message
    message = error_of_fit([tmp_path, "-o", tmp_path / "m"], capsys)
    assert "No class folders" in message


def test_a_single_class_is_rejected(images, tmp_path, capsys):
    shutil.rmtree(images / "007")
    message = error_of_fit([images, "-o", tmp_path / "m"], capsys)
    assert 'one class folder, "kākāpō\'s own"' in message


def test_the_folder_of_the_subsets_is_rejected(images, tmp_path, capsys):
    for name in ("test", "train"):
        shutil.copytree(images, tmp_path / "subsets" / name)
    message = error_of_fit([tmp_path / "subsets", "-o", tmp_path / "m"], capsys)
    example = tmp_path / "subsets" / "train"
    assert f"name one of them, such as {example}" in message


def test_an_unwritable_output_is_rejected_before_learning(
    images, tmp_path, capsys, monkeypatch, no_learning
):
    message = error_of_fit([images, "-o", tmp_path / "no" / "m"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in message
    assert "is a folder: name a file" in error_of_fit([images, "-o", tmp_path], capsys)
    # Permissions are simulated because they do not bind the superuser.
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written to" in error_of_fit(
        [images, "-o", tmp_path / "m"], capsys
    )


@pytest.mark.parametrize(
    "options, message",
    [
        (["--backbone", "resnet5"], "Did you mean 'resnet50'?"),
        (["--backbone", "precomputed"], "no network to run"),
        (["--device", "nonsense"], "device='nonsense' cannot be used here"),
        (["--memory", __file__], "cannot be used as a cache folder"),
    ],
)
def test_unusable_options_are_rejected_before_learning(
    options, message, images, tmp_path, capsys, no_learning
):
    assert message in error_of_fit([images, "-o", tmp_path / "m", *options], capsys)


def test_too_few_parts_are_rejected_before_learning(
    images, tmp_path, capsys, no_learning
):
    arguments = ["fit", str(images), "-o", str(tmp_path / "m")]
    assert main([*arguments, "--parts-per-class", "1", "--image-size", "64"]) == 1
    error = capsys.readouterr().err
    assert "--parts-per-class 1 is too few" in error
    # The average over the image has no parts.
    assert "has 2 feature maps with parts" in error


def test_defaults_in_the_help_are_those_of_the_estimator(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    defaults = skdpnet.DPNetClassifier().get_params()
    assert f"for dpnet (default: {defaults['n_parts_per_class']})" in text
    for name in ("orthogonality", "assignment", "specificity"):
        (found,) = re.findall(rf"--{name} WEIGHT [^()]*\(default: ([\d.]+)\)", text)
        assert float(found) == defaults[f"{name}_weight"]


def test_weights_come_from_a_file(images, tmp_path, capsys):
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    torch.save(network.state_dict(), tmp_path / "random.pth")
    arguments = ["fit", str(images), "--image-size", "64", "--quiet"]
    for name, more in (("own", []), ("random", ["--weights", "random.pth"])):
        more = [str(tmp_path / item) if "." in item else item for item in more]
        assert main([*arguments, "-o", str(tmp_path / name), *more]) == 0
    own, random = (skdpnet.load(tmp_path / name) for name in ("own", "random"))
    X = sorted(images.rglob("*.png"))[:1]
    assert random.weights == str(tmp_path / "random.pth")
    assert not np.allclose(own.transform(X), random.transform(X), atol=0.01)


def truncate(path):
    """Cut off the second half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_fit_that_fails_keeps_an_earlier_model(images, tmp_path, capsys):
    for path in (images / "007").iterdir():
        truncate(path)
    file = tmp_path / "m"
    file.write_bytes(b"an earlier model")
    arguments = ["fit", str(images), "-o", str(file), *SMALL, "--quiet"]
    assert main([*arguments, "--test-fraction", "0"]) == 1
    message = capsys.readouterr().err
    assert message.count("the file is truncated") == 6
    assert "error: no image of '007' can be used" in message
    assert file.read_bytes() == b"an earlier model"
    assert {path.name for path in tmp_path.iterdir()} == {"m", "images"}


def test_a_truncated_test_image_does_not_prevent_saving(
    images, tmp_path, capsys, fitted
):
    learned = set(skdpnet.load(fitted[0]).notes_["training_digests"])
    for path in sorted(images.rglob("*.png")):
        if digest(path) not in learned:
            truncate(path)
    # The split depends on the contents, which have changed: find a seed that holds out
    # exactly the truncated images.
    paths = sorted(map(str, images.rglob("*.png")))
    digests = np.array([digest(path) for path in paths])
    truncated = ~np.isin(digests, list(learned))
    y = np.array([Path(path).parent.name for path in paths])
    seed = next(
        s for s in range(9999) if (hold_out(digests, y, 0.5, s) == truncated).all()
    )
    file = tmp_path / "m"
    arguments = ["fit", images, "-o", file, "--test-fraction", 0.5, "--seed", seed]
    assert main([*map(str, arguments), *SMALL, "--quiet"]) == 1
    message = capsys.readouterr().err
    assert message.count("left out: ") == 6
    saved = f"the model is saved in {file}, but its accuracy cannot be measured: no "
    assert saved in message
    assert set(skdpnet.load(file).notes_["training_digests"]) == learned
