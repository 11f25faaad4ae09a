"""`fit`: what is left out, what the model remembers, and what stops it early."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import skdpnet
from skdpnet.__main__ import main
from skdpnet.cli.fit import _leave_out
from skdpnet.images.digest import digest_of_file

SMALL = ["--image-size", "64", "--parts-per-class", "4"]


def digest(path):
    return digest_of_file(Path(path).read_bytes())


@pytest.fixture(scope="module")
def folders(photographs, tmp_path_factory):
    """Six images a class; cats and coffee in both, so that some go wrong."""
    root = tmp_path_factory.mktemp("cli") / "my images"
    for i, path in enumerate(photographs[0]):
        place = root / ("007", "kākāpō's own")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"-image {i}.png")
    return root


@pytest.fixture(scope="module")
def fitted(folders, tmp_path_factory):
    """The model's file, and what was printed."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("model") / "a model"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(
            [
                *("fit", str(folders), "-o", str(path), *SMALL, "--seed", "3"),
                *("--test-fraction", "0.5", "--json", "--quiet"),
                *("--orthogonality", "0.1", "--assignment", "0.2"),
                *("--specificity", "0.3"),
            ]
        )
    assert status == 0
    return path, json.loads(printed.getvalue())


def test_accuracy_is_that_of_predictions_for_the_images_left_out(
    fitted, folders, capsys
):
    path, told = fitted
    learned = set(skdpnet.load(path).notes_["training_images"])
    left_out = [p for p in sorted(folders.rglob("*.png")) if digest(p) not in learned]
    assert len(left_out) == told["n_test"] == 6
    assert main(["predict", str(path), *map(str, left_out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    right = [one["class"] == Path(one["path"]).parent.name for one in found]
    assert told["accuracy"] == np.mean(right)


def test_the_document_tells_of_the_fit(fitted):
    path, told = fitted
    assert list(told) == [
        *("model", "classes", "n_train", "n_test", "accuracy", "seconds")
    ]
    assert told["model"] == str(path)
    assert told["classes"] == ["007", "kākāpō's own"], "names stay text"
    assert told["n_train"] == 6


def test_the_model_has_the_parameters_and_remembers_its_images(fitted, folders):
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
    assert set(notes["training_images"]) < set(map(digest, folders.rglob("*.png")))
    assert (notes["seed"], notes["test_fraction"]) == (3, 0.5)
    assert notes["skdpnet_version"] == skdpnet.__version__


def test_the_same_model_comes_from_python(fitted, folders):
    learned = set(skdpnet.load(fitted[0]).notes_["training_images"])
    paths = [p for p in sorted(folders.rglob("*.png")) if digest(p) in learned]
    model = skdpnet.DPNetClassifier(
        image_size=64,
        n_parts_per_class=4,
        orthogonality_weight=0.1,
        assignment_weight=0.2,
        specificity_weight=0.3,
        random_state=3,
    ).fit(paths, [p.parent.name for p in paths])
    np.testing.assert_array_equal(model.parts_, skdpnet.load(fitted[0]).parts_)


def test_learning_from_all_measures_nothing(folders, tmp_path, capsys):
    arguments = ["fit", str(folders), "-o", str(tmp_path / "m"), *SMALL]
    assert main([*arguments, "--test-fraction", "0", "--memory", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "Learned 2 classes from 12 images" in told.out
    assert "Accuracy not measured" in told.out
    assert "12/12" in told.err or "11/11" in told.err, "a bar over the images"
    assert skdpnet.load(tmp_path / "m").verbose == 0, "bars were for this fit"
    arguments += ["--test-fraction", "0", "--json", "--quiet"]
    assert main([*arguments, "--memory", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["accuracy"] is None
    assert not told.err


# --------------------------------------------------------------------- what is left out


def made_prints(counts):
    y = np.repeat([f"class {c}" for c in range(len(counts))], counts)
    return np.array([hashlib.sha256(b"%d" % i).hexdigest() for i in range(len(y))]), y


def test_the_share_of_each_class_is_left_out():
    prints, y = made_prints([50, 10, 2, 1])
    left_out = _leave_out(prints, y, 0.2, 0)
    counts = [left_out[y == name].sum() for name in np.unique(y)]
    assert counts == [10, 2, 1, 0], "one at least, and never all"
    assert not _leave_out(prints, y, 0.0, 0).any()
    assert [_leave_out(prints, y, 0.99, 0)[y == n].sum() for n in np.unique(y)] == (
        [49, 9, 1, 0]
    )


def test_the_split_depends_on_seed_and_content_not_on_names_or_order():
    prints, y = made_prints([20, 20])
    left_out = set(prints[_leave_out(prints, y, 0.3, 0)])
    order = np.random.default_rng(0).permutation(40)
    again = _leave_out(prints[order], y[order], 0.3, 0)
    assert set(prints[order][again]) == left_out
    assert set(prints[_leave_out(prints, y, 0.3, 1)]) != left_out


def test_copies_of_a_image_are_not_parted():
    prints, y = made_prints([10, 10])
    # Each three times, the last time under the other class.
    prints = np.tile(prints, 3)
    y = np.concatenate([y, y, y[::-1]])
    left_out = _leave_out(prints, y, 0.4, 0)
    assert set(prints[left_out]).isdisjoint(prints[~left_out])
    assert len(set(prints[left_out])) == 8


# ---------------------------------------------------------------------------- errors


@pytest.fixture
def images(folders, tmp_path):
    return shutil.copytree(folders, tmp_path / "images")


@pytest.fixture
def no_learning(monkeypatch):
    """Make a fit a bug, whose traceback `main` lets through."""

    def fit(*_):
        raise AssertionError("learning began")

    monkeypatch.setattr(skdpnet.DPNetClassifier, "fit", fit)


def refused(arguments, capsys):
    assert main(["fit", *map(str, arguments), *SMALL, "--quiet"]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err


def test_images_that_are_not_there(tmp_path, capsys):
    told = refused([tmp_path / "no", "-o", tmp_path / "m"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in told
    told = refused([tmp_path, "-o", tmp_path / "m"], capsys)
    assert "No class folders" in told


def test_one_class(images, tmp_path, capsys):
    shutil.rmtree(images / "007")
    told = refused([images, "-o", tmp_path / "m"], capsys)
    assert 'one class folder, "kākāpō\'s own"' in told


def test_the_folder_of_the_sets(images, tmp_path, capsys):
    for name in ("test", "train"):
        shutil.copytree(images, tmp_path / "sets" / name)
    told = refused([tmp_path / "sets", "-o", tmp_path / "m"], capsys)
    assert f"name one of them, {tmp_path / 'sets' / 'train'}" in told


def test_a_place_that_cannot_be_written_to_is_told_before_learning(
    images, tmp_path, capsys, monkeypatch, no_learning
):
    told = refused([images, "-o", tmp_path / "no" / "m"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in told
    assert "is a folder: name a file" in refused([images, "-o", tmp_path], capsys)
    # Permissions do not bind the superuser, who may run these tests.
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written to" in refused([images, "-o", tmp_path / "m"], capsys)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--backbone", "resnet5"], "Did you mean 'resnet50'?"),
        (["--backbone", "precomputed"], "no network to run"),
        (["--device", "nonsense"], "device='nonsense' cannot be used here"),
        (["--memory", __file__], "cannot be used as a cache folder"),
    ],
)
def test_what_cannot_work_is_told_before_learning(
    options, message, images, tmp_path, capsys, no_learning
):
    assert message in refused([images, "-o", tmp_path / "m", *options], capsys)


def test_too_few_parts(images, tmp_path, capsys, no_learning):
    arguments = ["fit", str(images), "-o", str(tmp_path / "m")]
    assert main([*arguments, "--parts-per-class", "1", "--image-size", "64"]) == 1
    assert "--parts-per-class 1 is too few" in capsys.readouterr().err


def test_a_file_that_is_no_image_is_named_before_learning(
    images, tmp_path, capsys, no_learning
):
    broken = images / "007" / "z.jpg"
    broken.write_text("no image")
    told = refused([images, "-o", tmp_path / "m"], capsys)
    assert told.startswith(f"error: '{broken}': the file is not an image")


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_fit_that_fails_leaves_the_old_model(images, tmp_path, capsys):
    cut(images / "007" / "-image 4.png")
    output = tmp_path / "m"
    output.write_bytes(b"an old model")
    told = refused([images, "-o", output, "--test-fraction", "0"], capsys)
    assert "-image 4.png': the file is truncated" in told
    assert output.read_bytes() == b"an old model"
    assert {path.name for path in tmp_path.iterdir()} == {"m", "images"}


def test_a_test_image_that_is_cut_off_does_not_cost_the_model(
    images, tmp_path, capsys, fitted
):
    learned = set(skdpnet.load(fitted[0]).notes_["training_images"])
    for path in sorted(images.rglob("*.png")):
        if digest(path) not in learned:
            cut(path)
    # Their contents are others now: find a seed that leaves just these out again.
    paths = sorted(map(str, images.rglob("*.png")))
    prints = np.array([digest(path) for path in paths])
    broken = ~np.isin(prints, list(learned))
    y = np.array([Path(path).parent.name for path in paths])
    seeds = (s for s in range(9999) if (_leave_out(prints, y, 0.5, s) == broken).all())
    output = tmp_path / "m"
    told = refused(
        [images, "-o", output, "--test-fraction", "0.5", "--seed", next(seeds)],
        capsys,
    )
    assert f"the model is saved in {output}, but its accuracy cannot be told: '" in told
    assert set(skdpnet.load(output).notes_["training_images"]) == learned
