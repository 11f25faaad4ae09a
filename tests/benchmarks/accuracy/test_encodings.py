"""The comparison of encodings: a whole run on a few images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from sklearn.svm import LinearSVC

from benchmarks.accuracy import encodings
from benchmarks.data.readers import read_folders
from skdpnet import VLAD
from skdpnet.datasets import make_part_images


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("run") / "birds"
    for seed, (part, n) in enumerate((("train", 12), ("test", 10))):
        made = make_part_images(n, 2, image_size=64, random_state=seed)
        for k, (image, label) in enumerate(zip(made.images, made.target, strict=True)):
            path = root / part / made.target_names[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


@pytest.fixture(scope="module")
def run(data):
    """Run two of the methods in this process; return the text and the results."""
    chosen = ("global descriptor", "dense SIFT, VLAD with pyramid")
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr(encodings, "print", lines.append, raising=False)
        patch.setattr(
            encodings, "METHODS", {name: encodings.METHODS[name] for name in chosen}
        )
        patch.setattr(
            encodings, "in_fresh_process", lambda function, *args: function(*args)
        )
        encodings.main(
            ["--data", str(data), "--image-size", "48", "--seeds", "0", "1",
             "--output", str(data.parent / "results")]
        )  # fmt: skip
        file = data.parent / "results" / "encodings_birds.json"
        printed = lines.copy()
        encodings.main(["--table", str(file)])
        assert lines[len(printed) :] == printed
    return "\n".join(printed), json.loads(file.read_text())


def test_the_results_say_what_was_measured(run, data):
    _, result = run
    assert result["data"] == {
        "name": "birds", "train": "train", "test": "test",
        "n_train": 12, "n_test": 10, "n_classes": 2,
    }  # fmt: skip
    assert result["image_size"] == 48 and result["seeds"] == [0, 1]
    assert str(data.parent) not in json.dumps(result)
    pooled, vlad = result["methods"]
    assert pooled["backbone"] == "efficientnet_lite0" and pooled["encoding"] is None
    assert vlad["encoding"] == {"pyramid": [[1, 1], [2, 2], [3, 1]]}
    for method in result["methods"]:
        assert method["maps_seconds"] > 0
        assert [one["seed"] for one in method["runs"]] == [0, 1]
        for one in method["runs"]:
            assert min(one["train_seconds"], one["test_seconds"]) > 0
            assert one["peak_bytes"] > 1e8
            assert one["C"] in result["svm"]["C_grid"]
    assert pooled["runs"][0]["length"] == 1280
    assert vlad["runs"][0]["length"] == 8 * 64 * 80


def test_the_accuracy_is_that_of_the_estimators(run, data):
    split = read_folders(data, "train", "test")
    for one in run[1]["methods"][1]["runs"]:
        model = VLAD(
            image_size=48, pyramid=((1, 1), (2, 2), (3, 1)), random_state=one["seed"]
        )
        svm = LinearSVC(C=one["C"], max_iter=100_000, random_state=one["seed"])
        svm.fit(model.fit_transform(split.train_paths), split.train_y)
        score = svm.score(model.transform(split.test_paths), split.test_y)
        assert one["accuracy"] == pytest.approx(score)


def test_the_table(run):
    lines = run[0].split("\n")
    assert lines[0].startswith("birds: 12 training and 10 test images of 2 classes")
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        "| global descriptor",
        "| dense SIFT, VLAD with pyramid",
    ]
    assert " 40,960 " in lines[5]


def test_every_method_can_be_made():
    for method in encodings.METHODS.values():
        assert method.estimator(0, image_size=64).get_params()["image_size"] == 64


def test_options_that_lack_something(capsys):
    with pytest.raises(SystemExit):
        encodings.main(["--data", "photographs"])
    assert "name --data and --output, or --table" in capsys.readouterr().err
