"""The paper's two tables: its numbers, and what is measured beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.accuracy import paper_tables, suites
from skdpnet import DPNetTransformer

END_TO_END, SVM = "DP-Net, end to end", "DP-Net parts + SVM"
GLOBAL = "global descriptor + SVM"


def cells(table: str) -> dict[str, list[str]]:
    """Rows of all tables by what their first cells say."""
    rows = {}
    for row in table.splitlines():
        if row.startswith("| ") and "---" not in row:
            first, *others = [cell.strip() for cell in row.strip("|").split("|")]
            if others[0].isidentifier():
                first, others = f"{first} {others[0]}", others[1:]
            rows[first] = others
    return rows


def test_without_data_the_papers_numbers_alone(tmp_path, capsys):
    paper_tables.main(["--output", str(tmp_path / "none.jsonl")])
    rows = cells(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    for name, paper in {
        "MIT-67 vgg19": ("76.2", "76.9"), "MIT-67 resnet50": ("78.1", "79.7"),
        "Birds vgg19": ("66.4", "76.1"), "Birds resnet50": ("81.5", "84.9"),
        "ImageNet vgg19": ("61.0", "69.0"), "ImageNet resnet50": ("70.8", "74.6"),
    }.items():  # fmt: skip
        assert rows[name] == [paper[0], "–", paper[1], "–", "–"]
    for name, (birds, mit) in {
        "without": ("84.9", "79.7"), "⊥": ("84.6", "79.1"), "A": ("84.6", "80.3"),
        "CS": ("84.5", "79.5"), "⊥ + A": ("85.1", "80.3"),
        "CS + ⊥": ("84.4", "78.8"), "CS + A": ("84.3", "79.9"), "all": ("85.0", "80.5"),
    }.items():  # fmt: skip
        assert rows[name] == [birds, "–", "–", mit, "–", "–"]


def test_measured_numbers_stand_in_their_cells():
    settings = suites.constraints(1, 0.1, 0.1)

    def line(data, backbone, method, accuracy, **changes):
        return {"data": data, "backbone": backbone, "method": method,
                "accuracy": accuracy, "changes": changes}  # fmt: skip

    lines = [
        line("Birds", "resnet50", GLOBAL, 0.8),
        line("Birds", "resnet50", END_TO_END, 0.7),
        line("Birds", "resnet50", END_TO_END, 0.74),
        line("Birds", "resnet50", SVM, 0.6),
        line("Birds", "resnet50", END_TO_END, 0.35, specificity_weight=0),
        line("Birds", "vgg19", SVM, 0.45, specificity_weight=0),
        line(
            "Birds", "resnet50", SVM, 0.5, assignment_weight=0.1, specificity_weight=0
        ),
        line("Birds", "vgg19", SVM, 0.4),
        line("pond", "resnet50", END_TO_END, 0.3),
        # Of weights that are not asked for.
        line("Birds", "resnet50", SVM, 0.9, assignment_weight=7),
    ]
    rows = cells(paper_tables.tables(lines, ["vgg19", "resnet50"], settings))
    assert rows["Birds resnet50"] == ["81.5", "80.0", "84.9", "72.0 ± 2.8", "60.0"]
    assert rows["Birds vgg19"] == ["66.4", "–", "76.1", "–", "40.0"]
    assert rows["pond (stand-in) resnet50"] == ["–", "–", "–", "30.0", "–"]
    assert rows["without"] == ["84.9", "35.0", "–", "79.7", "–", "–", "–", "–"]
    assert rows["A"][:3] == ["84.6", "–", "50.0"]
    # The paper has its constraints with ResNet-50 alone; that is said.
    other = paper_tables.tables(lines, ["vgg19"], settings)
    assert "(paper: resnet50, measured: vgg19)" in other
    assert cells(other)["without"][:3] == ["84.9", "–", "45.0"]


def test_what_is_measured_where():
    settings = suites.constraints(1, 0.1, 0.1)
    both = paper_tables.trials("Birds", "resnet50", "resnet50", settings)
    assert both[:3] == [(GLOBAL, {}), (END_TO_END, {}), (SVM, {})]
    # The defaults have a constraint: without any, parts are in the second table alone.
    assert len(both) == 3 + 2 * 8
    assert all(changes for _, changes in both[3:])
    assert len(paper_tables.trials("Birds", "vgg19", "resnet50", settings)) == 3
    assert len(paper_tables.trials("ImageNet", "resnet50", "resnet50", settings)) == 3


@pytest.fixture
def pond(tmp_path) -> Path:
    for part, n in (("train", 3), ("test", 2)):
        for k in range(n):
            for name in ("coot", "duck"):
                path = tmp_path / "pond" / part / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (5, 4)).save(path)
    return tmp_path / "pond"


def test_a_stand_in_is_measured_once(pond, tmp_path, monkeypatch, capsys):
    measured, asked = [], []

    def extract(extractor, paths):
        asked.append((extractor.backbone, extractor.image_size, extractor.strides))
        return np.zeros((len(paths), 2, 2, 3), np.float32)

    def measure(estimator, train, test, split, seed):
        assert len(train) == len(split.train_y) == 6
        assert len(test) == len(split.test_y) == 4
        params = estimator.get_params()
        measured.append(params)
        share = 0.5 + params.get("assignment_weight", 0)
        return {"accuracy": share, "fit_seconds": 1.0}

    monkeypatch.setattr(paper_tables, "extract", extract)
    monkeypatch.setattr(paper_tables, "measure", measure)
    output = tmp_path / "lines.jsonl"
    arguments = ["--data", f"pond={pond}", "--backbones", "efficientnet_lite0",
             "--image-size", "64", "--seeds", "4", "5", "--assignment-weight", "0.25",
             "--output", str(output)]  # fmt: skip
    paper_tables.main(arguments)
    text, printed = output.read_text(), capsys.readouterr().out
    assert len(measured) == 2 * 19
    assert {(name, size) for name, size, _ in asked} == {("efficientnet_lite0", 64)}
    # Training and test images of both kinds of maps, each once.
    assert len(asked) == 4
    assert {strides for *_, strides in asked} == {None, DPNetTransformer().strides}
    seeds = [params["random_state"] for params in measured if "beta" in params]
    assert sorted(set(seeds)) == [4, 5]
    weights = {
        (params["orthogonality_weight"], params["assignment_weight"],
         params["specificity_weight"])
        for params in measured if "beta" in params
    }  # fmt: skip
    subsets = {(a, b, c) for a in (0, 0.1) for b in (0, 0.25) for c in (0, 0.03)}
    default = DPNetTransformer().specificity_weight
    assert weights == subsets | {(0, 0, default)}
    rows = cells(printed)
    assert rows["pond (stand-in) efficientnet_lite0"][3:] == ["50.0 ± 0.0"] * 2
    assert rows["⊥ + A"][-2:] == ["75.0 ± 0.0"] * 2

    # In a second run only the incomplete last line is measured.
    measured.clear()
    output.write_text(text[:-9])
    paper_tables.main(arguments)
    assert len(measured) == 1 and output.read_text() == text
    assert capsys.readouterr().out == printed
    # Another image size is another measurement, with a separate table.
    measured.clear()
    paper_tables.main([*arguments, "--image-size", "96"])
    assert len(measured) == 2 * 19


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data", "pond"], "'pond' is not NAME=DIR"),
        (["--data", "Birds=/x"], "another data set is called 'Birds'"),
        (["--data", "pond=/nowhere"], "no folder 'train' in '/nowhere'"),
        (["--imagenet", "/nowhere"], "no folder 'train'"),
        (["--cub", "/nowhere"], "images.txt"),
        (["--mit67", "/nowhere"], "TrainImages.txt"),
    ],
)
def test_command_line_errors(capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit) as stop:
        paper_tables.main([*arguments, "--output", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_too_few_images(pond, tmp_path):
    (pond / "train/duck/0.png").unlink()
    with pytest.raises(SystemExit, match="'duck' has 2 images"):
        paper_tables.main(["--data", f"pond={pond}",
                                     "--output", str(tmp_path / "none")])  # fmt: skip
