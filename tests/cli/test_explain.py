"""`explain`: contributions, boxes and the figure."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skdpnet.__main__ import main
from tests.cli.commands import error_of, run_json


def test_contributions_sum_to_the_score_and_differences_to_log_ratios(
    model_file, training_images, tmp_path, capsys
):
    arguments = ["explain", model_file, training_images[0], "-o", tmp_path / "why.png"]
    why = run_json(arguments, capsys)
    total = sum(part["contribution"] for part in why["parts"])
    assert total + why["other_parts"] + why["bias"] == pytest.approx(why["score"])
    (prediction,) = run_json(
        ["predict", model_file, "--top", 2, training_images[0]], capsys
    )
    assert why["predicted"] == why["class"] == prediction["class"]
    first, second = prediction["top"]
    why = run_json([*arguments, "--against", second["class"]], capsys)
    assert why["against"] == second["class"]
    ratio = np.log(first["probability"] / second["probability"])
    assert why["score"] == pytest.approx(ratio, abs=1e-5)
    why = run_json([*arguments, "--class", second["class"]], capsys)
    assert (why["predicted"], why["class"]) == (first["class"], second["class"])


def test_the_parts_of_largest_contribution_are_listed(
    model_file, training_images, tmp_path, capsys
):
    arguments = ["explain", model_file, training_images[0], "-o", tmp_path / "why.png"]
    parts = run_json(arguments, capsys)["parts"]
    contributions = [part["contribution"] for part in parts]
    assert len(contributions) >= 2
    assert contributions == sorted(contributions, reverse=True)
    assert run_json([*arguments, "--parts", 1], capsys)["parts"] == parts[:1]


def test_boxes_are_in_pixels_of_the_upright_image(
    model_file, training_images, tmp_path, capsys
):
    """The file stores the image turned by 90°, with the EXIF tag that says so."""
    file = tmp_path / "upright.png"
    with Image.open(training_images[0]) as opened:
        image = opened.resize((120, 90))
    image.save(file)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    image.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    upright_parts, turned_parts = (
        run_json(["explain", model_file, path, "-o", tmp_path / "w.png"], capsys)[
            "parts"
        ]
        for path in (file, turned)
    )
    assert upright_parts == turned_parts
    assert upright_parts
    edges = np.array([part["box"] for part in upright_parts])
    assert (edges >= 0).all() and (edges <= [120, 90, 120, 90]).all()


@pytest.mark.parametrize("suffix", [".png", ".PDF", ".jpg"])
def test_the_figure_has_the_format_of_its_suffix(
    suffix, model_file, training_images, tmp_path, capsys
):
    file = tmp_path / f"it's why{suffix}"
    assert main(["explain", model_file, str(training_images[0]), "-o", str(file)]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("Predicted: c")
    assert output[-1] == f"Figure: {file}"
    summands = [float(line.split()[0]) for line in output[2:-1]]
    score = float(output[1].split(": ")[1].split(",")[0])
    assert sum(summands) == pytest.approx(score, abs=0.05), "up to rounding"
    start = {".png": b"\x89PNG", ".PDF": b"%PDF", ".jpg": b"\xff\xd8\xff"}[suffix]
    assert file.read_bytes().startswith(start)


def test_a_full_disk_leaves_the_old_figure(
    model_file, training_images, tmp_path, full_disk, capsys
):
    figure = tmp_path / "why.png"
    figure.write_bytes(b"old")
    arguments = ["explain", model_file, training_images[0], "-o", figure]
    assert "why.png: No space left" in error_of(arguments, capsys)
    assert figure.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [figure]


def test_invalid_arguments_are_rejected(model_file, training_images, tmp_path, capsys):
    start = ["explain", model_file, training_images[0], "-o"]
    output = error_of([*start, tmp_path / "why"], capsys)
    assert "has no suffix, but figures are written as" in output
    output = error_of([*start, tmp_path / "why.docx"], capsys)
    assert "has the suffix '.docx'" in output
    assert "png" in output
    output = error_of([*start, tmp_path / "no" / "why.png"], capsys)
    assert f"there is no folder {tmp_path / 'no'}" in output
    output = error_of([*start, tmp_path / "why.png", "--class", "cofee é"], capsys)
    assert "did you mean 'coffee é'?" in output
    (prediction,) = run_json(["predict", model_file, training_images[0]], capsys)
    output = error_of(
        [*start, tmp_path / "w.png", "--against", prediction["class"]], capsys
    )
    assert "name another class" in output
    assert not list(tmp_path.iterdir())
