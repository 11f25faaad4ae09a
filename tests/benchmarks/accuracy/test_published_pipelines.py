"""Published pipelines: a whole run on a few images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import recall_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from benchmarks.accuracy import published_pipelines
from benchmarks.accuracy.published_methods import PIPELINES, Pipeline
from benchmarks.data.readers import draw_split, read_folders
from skdpnet import BagOfWords, FisherVector
from skdpnet.datasets import make_part_images
from skdpnet.encodings import intersection_kernel

_LOCAL = {"bin_sizes": (4,), "step": 8}
_FEW = {
    "words": Pipeline(
        _LOCAL,
        BagOfWords,
        {"n_words": 8, "feature_map": None, "pyramid": ((1, 1), (2, 2))},
        intersection_kernel,
        "50.0 ± 1.0",
    ),
    "Fisher": Pipeline(_LOCAL, FisherVector, {"n_words": 2, "n_components": 4}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "birds"
    made = make_part_images(44, 2, image_size=64, random_state=0)
    for k, (image, label) in enumerate(zip(made.images, made.target, strict=True)):
        part = "train" if k < 24 else "test"
        path = root / part / made.target_names[label] / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


@pytest.fixture(scope="module")
def run(data):
    """Measure two pipelines in this process; return the file and how to go on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_pipelines, "PIPELINES", _FEW)
        patch.setattr(
            published_pipelines,
            "in_fresh_process",
            lambda function, *args: function(*args),
        )
        command = ["--data", str(data), "--image-size", "64", "--n-per-class", "9",
                   "--splits", "fixed", "0", "1", "--output", str(data.parent),
                   "--memory", str(data.parent / "maps")]  # fmt: skip
        path = data.parent / "published_birds.jsonl"
        yield path, lambda: published_pipelines.main([*command, "--pipelines", *_FEW])


@pytest.fixture(scope="module")
def lines(run):
    path, measure = run
    measure()
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_pipeline_is_measured_once_on_each_split(run, lines, data):
    keys = [(line["pipeline"], line["split"]) for line in lines]
    assert keys == [(name, split) for name in _FEW for split in ("fixed", "0", "1")]
    path, measure = run
    measure()
    assert len(path.read_text().splitlines()) == len(lines)
    assert str(data.parent) not in path.read_text()
    assert [line["length"] for line in lines[::3]] == [8 * 5, 2 * 2 * 4]
    for line in lines:
        assert line["C"] in published_pipelines.C_GRID
        assert min(line["fit_seconds"], line["image_seconds"]) > 0
        assert line["peak_bytes"] > 1e8


def test_accuracies_are_those_of_estimator_and_svm(lines, data):
    folders = read_folders(data, "train", "test")
    for line in lines[:3]:
        drawn = line["split"] != "fixed"
        seed = int(line["split"]) if drawn else 0
        split = draw_split(folders, 9, seed) if drawn else folders
        encoder = _FEW["words"].estimator(seed, image_size=64, framing="aspect")
        train = encoder.fit_transform(split.train_paths)
        svm = OneVsRestClassifier(SVC(C=line["C"], kernel=intersection_kernel))
        predicted = svm.fit(train, split.train_y).predict(
            encoder.transform(split.test_paths)
        )
        assert line["accuracy"] == pytest.approx(np.mean(predicted == split.test_y))
        recalls = recall_score(split.test_y, predicted, average=None)
        assert line["class_accuracy"] == pytest.approx(recalls.mean())


def test_test_images_come_in_batches(data, monkeypatch):
    split = read_folders(data, "train", "test")
    maps = {"image_size": 64, "framing": "aspect"}
    whole = published_pipelines.kernels(_FEW["Fisher"], split, 0, maps)
    assert whole.test.shape == (20, 24) and whole.train.shape == (24, 24)
    monkeypatch.setattr(published_pipelines, "_BATCH", 7)
    pieces = published_pipelines.kernels(_FEW["Fisher"], split, 0, maps)
    np.testing.assert_allclose(pieces.test, whole.test, atol=1e-6)


def test_C_is_the_first_of_the_best():
    # Two groups far apart: every C separates them.
    X = np.repeat([[1.0, 0.0], [0.0, 1.0]], 6, axis=0)
    svm, accuracy = published_pipelines.choose(X @ X.T, np.repeat([0, 1], 6), 0)
    assert accuracy == 1 and svm.estimator.C == published_pipelines.C_GRID[0]


def test_the_table_has_means_over_the_classes(monkeypatch):
    monkeypatch.setattr(published_pipelines, "PIPELINES", _FEW)
    shared = {"pipeline": "words", "image_size": 224, "length": 1000,
              "fit_seconds": 2.0, "image_seconds": 0.01}  # fmt: skip
    fixed = {"split": "fixed", "accuracy": 0.75, "class_accuracy": 0.7}
    table = published_pipelines.markdown(
        [
            {**shared, **fixed},
            {**shared, "split": "0", "accuracy": 0.5, "class_accuracy": 0.6},
            {**shared, "split": "1", "accuracy": 0.5, "class_accuracy": 0.62},
            {**shared, **fixed, "image_size": 256},
        ]
    )
    assert table.splitlines()[2:] == [
        "| words | 50.0 ± 1.0 | 61.0 ± 1.4 | 2 | 70.0 | 75.0 | 1,000 | 2 | 10 |",
        "| words, 256 px | 50.0 ± 1.0 | – | 0 | 70.0 | 75.0 | 1,000 | 2 | 10 |",
    ]


def test_other_settings_are_not_mixed_with_old_ones(run, lines, monkeypatch):
    other = Pipeline(_LOCAL, FisherVector, {"n_words": 3})
    monkeypatch.setattr(published_pipelines, "PIPELINES", {**_FEW, "Fisher": other})
    with pytest.raises(SystemExit, match="parameters"):
        run[1]()


def test_every_pipeline_can_be_made():
    for pipeline in PIPELINES.values():
        encoder = pipeline.estimator(3, image_size=64)
        assert encoder.get_params()["random_state"] == 3
        json.dumps(pipeline.settings())


def test_options_that_lack_something(capsys):
    for arguments, message in (
        ([], "name --data, or --table"),
        (["--data", "photographs", "--splits", "last"], "got 'last'"),
    ):
        with pytest.raises(SystemExit):
            published_pipelines.main(arguments)
        assert message in capsys.readouterr().err
