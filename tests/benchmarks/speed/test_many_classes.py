"""The benchmark of many classes: its images, its classes, and what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed import many_classes


def test_crops_are_parts_of_their_photographs(tmp_path):
    ramp = np.zeros((600, 800, 3), np.uint8)
    ramp[..., 0] = np.arange(800) // 4  # red is the column, green the row
    ramp[..., 1] = np.arange(600)[:, None] // 4
    photograph = tmp_path / "ramp.png"
    Image.fromarray(ramp).save(photograph)
    crops = many_classes.write_crops([photograph], 5, tmp_path / "crops")
    boxes = set()
    for path in crops:
        crop = np.asarray(Image.open(path)).astype(int)
        assert max(crop.shape) == 400
        corners = crop[[5, -6], [5, -6]]
        (left, top), (right, bottom) = corners[:, :2] * 4
        # Cut out, not stretched: as wide and high as at least 0.6 of the ramp.
        assert 0.55 * 800 < right - left < 800
        assert (right - left) / (bottom - top) == pytest.approx(4 / 3, rel=0.08)
        boxes.add((left, top, right, bottom))
    assert len(boxes) == 5


def test_crops_that_are_there_are_kept(photographs, tmp_path):
    paths = [Path(path) for path in photographs[0][:3]]
    first = many_classes.write_crops(paths, 4, tmp_path)
    Path(first[0]).write_bytes(b"kept")
    assert many_classes.write_crops(paths, 6, tmp_path)[:4] == first
    assert Path(first[0]).read_bytes() == b"kept"


def test_groups_are_of_one_size_and_alike():
    corners = np.array([[0, 0], [0, 4], [10, 0], [10, 4]], float)
    random = np.random.default_rng(0)
    truth = random.permutation(np.repeat(np.arange(4), 10))
    points = corners[truth] + random.normal(size=(40, 2)) * 0.2
    groups = many_classes.group_similar(points, 4)
    assert np.bincount(groups).tolist() == [10] * 4
    assert len(set(zip(truth, groups, strict=True))) == 4


def test_one_command(photographs, tmp_path, monkeypatch, capsys):
    folder, output = Path(photographs[0][0]).parent, tmp_path / "result.json"
    command = (
        f"many_classes --data {folder} --work {tmp_path / 'work'} --output {output}"
    )
    sizes = "--classes 3 --per-class 4 --parts-per-class 2"
    monkeypatch.setattr(sys, "argv", [*command.split(), *sizes.split()])
    many_classes.main()
    result = json.loads(output.read_text())
    assert (result["images"], result["parts"]) == (12, 3 * (2 + 1))
    first, *_ = result["rows"]
    assert {"k-means", "first classifier", "training", "final classifier"} <= set(
        first["stages"]
    )
    assert len(capsys.readouterr().out.splitlines()) == len(result["rows"]) == 4


def test_no_images(tmp_path, monkeypatch, capsys):
    arguments = ["many_classes", "--data", str(tmp_path), "--work", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit):
        many_classes.main()
    assert f"no images in {tmp_path}" in capsys.readouterr().err
