"""The benchmark of probabilities: a whole run on a few images, its table and figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss

from benchmarks.accuracy import calibration, calibration_figure, calibration_table
from benchmarks.accuracy.methods import DPNET
from benchmarks.data.readers import read_folders
from skdpnet import DPNetClassifier
from skdpnet.datasets import make_part_images

SIZE = "64"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("run") / "birds"
    for seed, (part, n) in enumerate((("train", 36), ("test", 12))):
        made = make_part_images(n, 2, image_size=64, random_state=seed)
        for k, (image, label) in enumerate(zip(made.images, made.target, strict=True)):
            path = root / part / made.target_names[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def call(*arguments) -> str:
    """Run the command line; return what it printed."""
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "print", printed.append, raising=False)
        calibration.main([str(argument) for argument in arguments])
    return "\n".join(printed)


@pytest.fixture(scope="module")
def run(data):
    """Measure all methods with two seeds; return text, lines, file and figure."""
    file, figure = data.parent / "lines.jsonl", data.parent / "reliability.png"
    text = call(
        "--data", data, "--image-size", SIZE, "--seeds", 0, 1, "--wrapped",
        "--memory", data.parent / "maps", "--lines", file, "--figure", figure,
    )  # fmt: skip
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return text, lines, file, figure


def test_the_lines_say_what_was_measured(run, data):
    _, lines, _, _ = run
    methods = [DPNET, calibration.DPNET_WRAPPED, calibration.SVM_WRAPPED]
    assert [(line["seed"], line["method"]) for line in lines] == [
        (seed, method) for seed in (0, 1) for method in methods
    ]
    for line in lines:
        assert line["data"] == "birds" and line["split"] == "folders train and test"
        assert line["per_class"] is None and line["image_size"] == 64
        assert (line["n_train"], line["n_test"], line["n_classes"]) == (36, 12, 2)
        assert sum(line["bins"]["counts"]) == 12
        assert line["fit_seconds"] > 0
        assert str(data.parent) not in json.dumps(line)
    own, wrapped, svm = lines[:3]
    assert own["settings"]["C"] == DPNetClassifier().C
    assert "calibration" not in own["settings"]
    for line in (wrapped, svm):
        assert line["settings"]["calibration"] in ("temperature", "sigmoid")
    assert wrapped["settings"]["beta"] == own["settings"]["beta"]
    assert svm["C"] in svm["settings"]["C_grid"]


def test_the_probabilities_are_those_of_the_estimator(run, data):
    split = read_folders(data, "train", "test")
    for line in run[1]:
        if line["method"] == DPNET:
            memory = data.parent / "maps"
            model = DPNetClassifier(
                image_size=64, memory=memory, random_state=line["seed"]
            )
            model.fit(split.train_paths, split.train_y)
            p = model.predict_proba(split.test_paths)
            accuracy = np.mean(model.predict(split.test_paths) == split.test_y)
            assert line["accuracy"] == pytest.approx(accuracy)
            assert line["confidence"] == pytest.approx(p.max(axis=1).mean())
            assert line["nll"] == pytest.approx(log_loss(split.test_y, p))


def test_what_the_file_has_is_not_measured_again(run, data, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("measured again")

    text, _, file, _ = run
    monkeypatch.setattr(calibration, "extract", refuse)
    options = ("--data", data, "--image-size", SIZE, "--lines", file)
    assert call(*options, "--seeds", 0, 1) == text
    assert call("--lines", file, "--table") == text
    with pytest.raises(AssertionError, match="measured again"):
        call(*options, "--seeds", 2)


def test_held_out_images_take_the_place_of_the_test_images(data, tmp_path):
    file = tmp_path / "held.jsonl"
    text = call(
        "--data", data, "--held-out", "--per-class", 6, "--image-size", SIZE,
        "--seeds", 3, "--lines", file,
    )  # fmt: skip
    own, svm = (json.loads(line) for line in file.read_text().splitlines())
    assert (
        (own["n_train"], own["n_test"]) == (svm["n_train"], svm["n_test"]) == (12, 12)
    )
    assert own["per_class"] == 6
    assert text.startswith(
        "birds, 6 training images a class: 12 training images, measured on 12 images "
        "of 2 classes (a third of folder train held out, drawn anew with each seed), "
        "64 × 64 pixels; seeds 3."
    )


def test_images_that_are_drawn():
    y = np.repeat([0, 1, 2], [20, 30, 25])
    fit, held = calibration.draw_images(y, 0, None, False)
    assert list(fit) == list(range(75)) and len(held) == 0
    fit, held = calibration.draw_images(y, 0, 8, True)
    assert list(np.bincount(y[fit])) == [8, 8, 8] and len(held) == 25
    assert not set(fit) & set(held) and list(fit) == sorted(set(fit))
    assert set(held) == set(calibration.draw_images(y, 0, None, True)[1])
    again, other = (calibration.draw_images(y, seed, 8, True)[0] for seed in (0, 1))
    assert list(again) == list(fit) != list(other)


@pytest.mark.parametrize("per_class, reason", [(21, "has 20 images"), (4, "needs? 5")])
def test_too_few_images(per_class, reason):
    with pytest.raises(ValueError, match=reason):
        calibration.draw_images(np.repeat([0, 1], [20, 30]), 0, per_class, False)


def made_line(data, seed, accuracy=0.8, **changes) -> dict:
    counts = np.zeros(15, int)
    counts[[7, 14]] = 20, 80
    return {
        "data": data, "split": "folders train and test", "per_class": None,
        "image_size": 224, "seed": seed, "method": DPNET, "n_train": 50, "n_test": 100,
        "n_classes": 4, "accuracy": accuracy, "confidence": 0.9,
        "overconfidence": 0.9 - accuracy, "error": 0.05, "error_of_calibrated": 0.031,
        "nll": 0.5, "nll_best": 0.4, "nll_ratio": 1.25,
        "bins": {"counts": counts.tolist(), "confidence": (counts * 0.97).tolist(),
                 "correct": (counts // 2).tolist()},
        **changes,
    }  # fmt: skip


def test_the_table_has_means_over_the_seeds():
    lines = [
        made_line("pond", 0),
        made_line("pond", 1, accuracy=0.9, nll=0.7),
        made_line("pond", 0, per_class=10),
    ]
    first, few, note = (
        calibration_table.markdown(lines).split("\n\n|")[0],
        *(calibration_table.markdown(lines).split("\n\n")[2::2]),
    )
    assert first.endswith("seeds 0, 1.")
    rows = calibration_table.markdown(lines).splitlines()
    cells = [cell.strip() for cell in rows[4].strip("|").split("|")]
    assert cells == [
        DPNET, "85.0 ± 7.1", "+5.0 ± 7.1", "5.0 ± 0.0", "3.1", "0.600", "0.400", "1.25"
    ]  # fmt: skip
    assert few.startswith("pond, 10 training images a class: 50 training images")
    assert note.startswith("Mean ± standard deviation")


@pytest.mark.parametrize("n_sets", [1, 3, 5])
def test_the_figure_has_a_panel_for_each_set(n_sets, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        calibration_figure.Figure,
        "savefig",
        lambda self, *_, **__: figures.append(self),
    )
    # Names that mean something in mathematical text.
    lines = [made_line(f"a_$b_{k}", seed) for k in range(n_sets) for seed in (0, 1)]
    lines.append(made_line("other", 0, method="another"))
    calibration_figure.draw(lines, DPNET, tmp_path / "reliability.png")
    panels = [ax for ax in figures[0].axes if ax.axison]
    assert [ax.get_title() for ax in panels] == [f"a_$b_{k}" for k in range(n_sets)]
    for ax in panels:
        [points] = ax.collections[1:]
        np.testing.assert_allclose(points.get_offsets(), [(0.97, 0.5), (0.97, 0.5)])
        small, large = points.get_sizes()
        assert large == pytest.approx(4 * small)
        heights = [bar.get_height() for bar in ax.patches]
        assert heights[7] == 0.2 and heights[14] == 0.8 and sum(heights) == 1
        assert "accuracy 80.0 %, confidence 90.0 %" in ax.texts[0].get_text()
        assert "error 5.0 points, by chance 3.1" in ax.texts[0].get_text()


def test_the_figure_is_written(run):
    with Image.open(run[3]) as image:
        assert image.format == "PNG"
    with pytest.raises(ValueError, match="no measurement of 'nothing'"):
        calibration_figure.draw(run[1], "nothing", run[3])


def test_options_that_lack_something(capsys, tmp_path):
    for options, reason in {
        (): "name --data, --table or --figure",
        ("--table", "--lines", tmp_path / "none.jsonl"): "holds no measurements",
        ("--data", tmp_path / "nowhere"): "no folder 'train'",
    }.items():
        with pytest.raises(SystemExit):
            call(*options)
        assert reason in capsys.readouterr().err
