"""Time and memory of published encoders: what a line and the table say."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from benchmarks.accuracy import published_memory
from benchmarks.accuracy.published_methods import Pipeline
from skdpnet import BagOfWords
from skdpnet.datasets import make_part_images

_FEW = {"words": Pipeline({"step": 8}, BagOfWords, {"n_words": 4})}


def test_a_run_with_its_table(tmp_path, monkeypatch, capsys):
    made = make_part_images(12, 2, image_size=64, random_state=0)
    for k, (image, label) in enumerate(zip(made.images, made.target, strict=True)):
        part = "train" if k < 8 else "test"
        path = tmp_path / "birds" / part / made.target_names[label] / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    monkeypatch.setattr(published_memory, "PIPELINES", _FEW)
    monkeypatch.setattr(
        published_memory, "in_fresh_process", lambda function, *args: function(*args)
    )
    file = tmp_path / "memory.jsonl"
    command = ["--data", str(tmp_path / "birds"), "--image-size", "64", "--images",
               "5", "12", "--output", str(file), "--pipelines", "words"]  # fmt: skip
    published_memory.main(command)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["n_images"] for line in lines] == [5, 12]
    for line in lines:
        assert line["encoding_bytes"] == line["n_images"] * 4 * 4
        assert 1e8 < line["start_bytes"] <= line["fit_bytes"] <= line["peak_bytes"]
        assert line["fit_seconds"] > 0 and line["transform_seconds"] > 0
    published_memory.main(command)  # nothing is left to do
    assert len(file.read_text().splitlines()) == 2


def test_the_table():
    table = published_memory.markdown(
        [
            {"pipeline": "words", "n_images": 2000, "fit_seconds": 20.0,
             "transform_seconds": 10.0, "encoding_bytes": 3_000_000,
             "fit_bytes": 5_000_000, "peak_bytes": 9_000_000}
        ]
    )  # fmt: skip
    assert table.splitlines()[2] == "| words | 2,000 | 10 | 5 | 3 | 5 | 9 |"


def test_options_that_lack_something(capsys):
    with pytest.raises(SystemExit):
        published_memory.main([])
    assert "name --data, or --table" in capsys.readouterr().err
