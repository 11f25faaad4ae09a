"""The measurement of images of unknown classes: a whole run on a few images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from benchmarks.accuracy import none_of_these
from benchmarks.data.readers import Split, read_folders
from skdpnet import DPNetClassifier
from skdpnet.datasets import make_part_images
from skdpnet.open_set import OpenSetClassifier

N_CLASSES, N_UNKNOWN = 4, 1


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("run") / "birds"
    for seed, (part, n) in enumerate((("train", 40), ("test", 16))):
        made = make_part_images(n, N_CLASSES, image_size=64, random_state=seed)
        for k, (image, label) in enumerate(zip(made.images, made.target, strict=True)):
            path = root / part / made.target_names[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


@pytest.fixture(scope="module")
def quick_parts():
    """DP-Net of a few parts, in the place of its defaults."""

    def classifier(**params):
        return DPNetClassifier(n_parts_per_class=4, max_epochs=1, **params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(none_of_these, "DPNetClassifier", classifier)
        yield classifier


@pytest.fixture(scope="module")
def run(data, quick_parts):
    """Measure in this process; return the text and the results."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr(none_of_these, "print", lines.append, raising=False)
        patch.setattr(none_of_these, "C_GRID", (1, 10))
        none_of_these.main(
            ["--data", str(data), "--image-size", "64", "--seeds", "3",
             "--unknown", str(N_UNKNOWN), "--memory", str(data.parent / "maps"),
             "--output", str(data.parent / "results")]
        )  # fmt: skip
        file = data.parent / "results" / "none_of_these_birds.json"
        printed = lines.copy()
        none_of_these.main(["--table", str(file)])
        assert lines[len(printed) :] == printed
    return "\n".join(printed), json.loads(file.read_text(encoding="utf-8"))


def test_the_results_say_what_was_measured(run, data):
    _, result = run
    assert result["data"]["n_classes"] == 4 and result["data"]["n_unknown"] == 1
    assert str(data.parent) not in json.dumps(result)
    (row,) = result["runs"]
    assert (row["n_fit"], row["n_known"], row["n_unknown"]) == (30, 12, 4)
    for name, scores in none_of_these._SCORES.items():
        assert tuple(row[name]["scores"]) == scores


def test_the_shares_are_those_of_the_estimator(run, data, quick_parts):
    split = read_folders(data, "train", "test")
    images = none_of_these.draw_images(split, N_UNKNOWN, 3, False)
    parts = quick_parts(
        image_size=64,
        framing="aspect",
        memory=str(data.parent / "maps"),
        random_state=3,
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    measured = run[1]["runs"][0]["DP-Net"]
    for class_conditional in (False, True):
        # At an alpha of 0, few calibration images of a class are no reason to warn.
        model = OpenSetClassifier(
            parts, alpha=0, class_conditional=class_conditional, cv=folds
        )
        model.fit(images.fit, images.fit_y)
        found = measured["scores"]["evidence"]
        if class_conditional:
            found = found["class_conditional"]
        for k, alpha in enumerate(none_of_these.ALPHAS):
            model.set_params(alpha=alpha)
            rejected = model.predict(images.known) == -1
            accepted = model.predict(images.unknown) != -1
            assert found["false_rejects"][k] == pytest.approx(rejected.mean())
            assert found["false_accepts"][k] == pytest.approx(accepted.mean())
        p_values = [model.p_values(some) for some in (images.known, images.unknown)]
        if class_conditional:
            is_known = np.repeat([1, 0], [12, 4])
            area = roc_auc_score(is_known, np.concatenate(p_values))
            assert found["auroc"] == pytest.approx(area)
    predicted = model.estimator_.predict(images.known)
    assert measured["accuracy"] == pytest.approx(np.mean(predicted == images.known_y))


def test_the_table(run):
    lines = run[0].split("\n")
    assert lines[0].startswith("birds: 4 classes, 1 of them left out")
    assert len(lines) == 4 + 2 * (5 + 2)
    assert lines[4].startswith("| DP-Net | evidence | all | ")


@pytest.fixture
def split():
    y = np.repeat(np.arange(9), 6)
    train = [f"train/{label}/{k}" for k, label in enumerate(y)]
    test = [path.replace("train", "test") for path in train]
    return Split(train, y, test, y, [str(label) for label in range(9)])


def classes_of(paths):
    return {int(path.split("/")[1]) for path in paths}


@pytest.mark.parametrize("seed", [0, 1])
def test_no_class_is_known_and_left_out(split, seed):
    images = none_of_these.draw_images(split, 3, seed, False)
    assert len(classes_of(images.fit)) == 6
    assert classes_of(images.known) == classes_of(images.fit)
    assert classes_of(images.unknown) == set(range(9)) - classes_of(images.fit)
    assert all(path.startswith("train") for path in images.fit)
    assert all(path.startswith("test") for path in images.known + images.unknown)


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_no_test_image_and_no_class_of_the_measurement_is_used(split, seed):
    final = none_of_these.draw_images(split, 3, seed, False)
    images = none_of_these.draw_images(split, 3, seed, True)
    everything = images.fit + images.known + images.unknown
    assert all(path.startswith("train") for path in everything)
    assert len(everything) == len(set(everything)) == 36
    assert classes_of(everything) == classes_of(final.fit)
    assert not classes_of(images.unknown) & classes_of(images.fit)
    assert len(classes_of(images.unknown)) == 2
    assert classes_of(images.known) == classes_of(images.fit)
    labels = [int(path.split("/")[1]) for path in images.known]
    assert images.known_y.tolist() == labels


def test_options_that_lack_something_or_leave_too_few_classes(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        none_of_these.main(["--data", "photographs"])
    assert "name --data and --output, or --table" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--unknown 3 of 4 classes leaves too few"):
        none_of_these.main(
            ["--data", str(data), "--unknown", "3", "--output", str(tmp_path)]
        )
