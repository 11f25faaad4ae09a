"""SECURITY.md says what is true: its numbers, and what loading a file does not do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import skdpnet
from benchmarks.robustness.watch import events, peak_memory, reset_peak_memory
from skdpnet.encodings import local_encoder
from skdpnet.exceptions import ModelFileError
from skdpnet.parts.dpnet import state
from skdpnet.persistence import checks, model_file, parameters
from tests.persistence.models import forge

PAGE = Path(__file__).parents[2] / "SECURITY.md"
# What the page claims of memory, in bytes, beside four times the size of the file.
BOUND = 512 * 2**20


def test_the_numbers_are_those_of_the_code():
    text = re.sub(r"\s+", " ", PAGE.read_text())
    assert f"| `image_size` | {parameters._LARGEST['image_size']:,} pixels |" in text
    assert f"| `num_workers` | {parameters._LARGEST['num_workers']} threads |" in text
    assert (
        checks._MOST_CELLS,
        checks._MOST_CHANNELS,
        checks._MOST_NUMBERS,
        checks._MOST_REGIONS,
        local_encoder._MOST_FEATURES,
    ) == (2**24, 2**22, 2**28, 2**24, 2**24)
    assert "| 2²⁴ cells, 2²² channels, 2²⁸ numbers |" in text
    assert "| regions of a map | 2²⁴, and as many windows as" in text
    assert "| numbers of an encoding (`VLAD`, `FisherVector`, …) | 2²⁴ |" in text
    assert f"| β of a model | {int(state._LARGEST_BETA):,} |" in text
    of_training = ("n_parts_per_class", "max_epochs", "batch_size")
    most = "; ".join(f"{parameters._LARGEST[name]:,}" for name in of_training)
    assert f"| parts of a class, epochs, images in a training step | {most} |" in text
    assert f"{model_file._LONGEST_HEADER // 2**20} MiB" in text
    assert f"{model_file._MOST_VALUES:,} values" in text
    assert f"{BOUND // 2**20} MB" in text


@pytest.fixture
def path(tmp_path):
    maps = np.random.default_rng(0).random((4, 3, 3, 5)).astype(np.float32)
    for name in ("good", "model"):
        skdpnet.GlobalFeatures("precomputed").fit(maps).save(tmp_path / name)
    return tmp_path / "model"


def load_and_watch(path):
    """Load a file; return why it was refused, and the memory that it took."""
    skdpnet.load(path.with_name("good"), device="cpu")
    events()
    before, said = reset_peak_memory(), ""
    try:
        skdpnet.load(path, device="cpu")
    except ModelFileError as error:
        said = str(error)
    assert events() == [], "it ran a program, or connected"
    assert {file.name for file in path.parent.iterdir()} == {"good", "model"}
    return said, peak_memory() - before


@pytest.mark.parametrize("name", ["timm/resnet18", "resnet50", "efficientnet_lite0"])
def test_load_does_not_load_the_network_that_a_file_names(path, name):
    metadata, _ = model_file.read(path)
    given = {**json.loads(metadata["parameters"]), "backbone": name}
    forge(path, {"parameters": json.dumps(given)})
    said, _ = load_and_watch(path)
    assert said == ""


@pytest.mark.parametrize(
    "value", ["[]", "{}", '{"a":0}', '{"dict":[]}', "0.5", '"a"', '{"tuple":[[1]]}']
)
def test_many_values_take_bounded_memory(path, value):
    """As many values as are read, and a few more: then they are not read at all."""
    metadata, tensors = model_file.read(path)
    each = 1 + sum(value.count(c) for c in ",[{:")
    fitted = json.loads(metadata["fitted"])
    for share in (0.99, 1.1):
        n_values = int(share * model_file._MOST_VALUES / each)
        notes = "[" + ",".join([value] * n_values) + "]"
        text = json.dumps({**fitted, "notes_": "HERE"}).replace('"HERE"', notes)
        written = {**metadata, "fitted": text}
        written["checksum"] = model_file._checksum(written, tensors)
        path.write_bytes(save(tensors, written))
        said, used = load_and_watch(path)
        assert used < BOUND + 4 * path.stat().st_size
        assert ("besides its arrays" in said) == (share > 1)


def test_a_header_that_is_too_long_is_not_read(path):
    length = model_file._LONGEST_HEADER + 1
    path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * length)
    with pytest.raises(ModelFileError, match="at most 33554432 are read"):
        skdpnet.load(path)
