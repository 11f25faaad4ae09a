"""Files that are damaged, forged, newer or no model files are refused, and not run."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import skdpnet
from skdpnet import DPNetClassifier, GlobalFeatures
from skdpnet.exceptions import ModelFileError
from tests.parts.dpnet.made_maps import PLAIN, two_maps
from tests.persistence.models import SETTINGS, assert_identical, forge


@pytest.fixture(scope="module")
def fitted():
    """Maps, labels, and a classifier of six parts and no context."""
    X, y, _ = two_maps(30)
    return X, y, DPNetClassifier(**SETTINGS, **PLAIN, max_epochs=2).fit(X, y)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_refused(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFileError, match="damaged"):
        skdpnet.load(saved)


def test_any_flipped_bit_is_refused(saved):
    data = saved.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    random = np.random.default_rng(0)
    positions = [*range(10), *random.integers(header, size=150)]
    positions += [*random.integers(header, len(data), size=50)]
    for position in positions:
        bad = bytearray(data)
        bad[position] ^= 1 << int(random.integers(8))
        saved.write_bytes(bad)
        with pytest.raises(ModelFileError, match="model.safetensors"):
            skdpnet.load(saved)


class Touch:
    """Runs code when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_other_files_are_refused_and_pickles_not_run(tmp_path):
    marker = tmp_path / "marker"
    pickles = [pickle.dumps(Touch(marker), protocol) for protocol in (0, 2, 5)]
    torch.save(Touch(marker), tmp_path / "torch")
    pickles.append((tmp_path / "torch").read_bytes())
    for data in (
        *pickles,
        b"",
        b"plain text, and a good deal of it",
        b'{"a": 1, "b": 2}',
    ):
        (tmp_path / "model").write_bytes(data)
        with pytest.raises(ModelFileError, match="model is not a model that skdpnet"):
            skdpnet.load(tmp_path / "model")
    assert not marker.exists()
    save_file({"weight": np.ones(3)}, tmp_path / "model", {"format": "pt"})
    with pytest.raises(ModelFileError, match="a safetensors file, but not a model"):
        skdpnet.load(tmp_path / "model")


@pytest.mark.parametrize("shape", [[2**40, 2**40], [2**60], [3, 2**30]])
def test_huge_claimed_sizes_are_refused(saved, shape):
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["coef_"]["shape"] = shape
    text = json.dumps(header).encode()
    saved.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(ModelFileError, match="damaged"):
        skdpnet.load(saved)
    for claimed in (2**62, len(data) * 1000):
        saved.write_bytes(claimed.to_bytes(8, "little") + data[8:])
        with pytest.raises(ModelFileError, match="damaged"):
            skdpnet.load(saved)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "skdpnet.parts.dpnet.estimators.DPNetClassifier",
        "",
        "save",
    ],
)
def test_classes_outside_the_table_are_refused(saved, name):
    forge(saved, {"class": name})
    with pytest.raises(ModelFileError, match=f"unknown class '{name}'.*Upgrade"):
        skdpnet.load(saved)


@pytest.mark.parametrize("version", ["2", "1.5", "", "9" * 9999])
def test_other_format_versions_are_refused(saved, version):
    forge(saved, {"format_version": version, "skdpnet_version": "9.0"})
    with pytest.raises(
        ModelFileError, match=r"format version .*'9.0'.*Upgrade skdpnet"
    ):
        skdpnet.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensors": {"coef_": None}}, "the tensor 'coef_' is missing"),
        ({"tensors": {"net_.shift": None}}, "missing"),
        ({"coef_": "drop"}, "coef_ is missing"),
        ({"net_": "drop"}, "net_ is missing"),
        ({"tensors": {"coef_": np.ones((3, 5), "f4")}}, r"coef_ has shape \(3, 5\)"),
        ({"tensors": {"coef_": np.ones((3, 6), int)}}, "coef_ is not an array of real"),
        (
            {"tensors": {"parts_": np.ones((6, 17), "f4")}},
            r"parts_ has shape \(6, 17\)",
        ),
        ({"tensors": {"whitenings_.0.mean": np.ones(9, "f4")}}, "mean has shape"),
        (
            {"tensors": {"whitenings_.1.projection": np.ones((9, 18), "f4")}},
            "projection has shape|parts_ has shape|net's parts",
        ),
        ({"tensors": {"part_maps_": np.array([1, 1, 1, 0, 0, 0])}}, "sorted by map"),
        ({"tensors": {"part_maps_": np.zeros(6, int)}}, "a map without parts"),
        ({"tensors": {"part_classes_": np.full(6, 2**40)}}, "part_classes_ does not"),
        ({"tensors": {"part_classes_": np.zeros((0, 3), int)}}, "does not hold"),
        ({"tensors": {"classes_": np.zeros((2, 3))}}, "classes_ does not hold"),
        ({"tensors": {"classes_": np.arange(2)}}, "does not hold"),
        ({"classes_": ["a", "b", "c"]}, "classes_ does not hold"),
        ({"map_shapes_": {"tuple": []}}, "map_shapes_ is not a tuple"),
        ({"map_shapes_": {"tuple": [{"tuple": [2**60]}] * 2}}, "too large"),
        ({"map_shapes_": {"tuple": [{"tuple": [2**9]}] * 2}}, "does not fit a map"),
        ({"grids_": [{"grid": [8, 8, [[2, 2]]]}]}, "a grid for each of 2 maps"),
        ({"grids_": [{"grid": [10**9, 10**9, [[1, 1]]]}] * 2}, "does not fit a map"),
        ({"grids_": [{"grid": [8, 8, [[9, 0]]]}] * 2}, "does not fit a map"),
        ({"grids_": [1, 2]}, "grids_ holds something else"),
        ({"whitenings_": {"dict": [[0, 1], [1, 1]]}}, "whitenings_ does not hold a"),
        ({"n_iter_": {"code": "os.system('x')"}}, "unknown kind"),
        ({"n_iter_": {"float": "1e5"}}, "unknown kind"),
        ({"classes_": {"text": "coef_"}}, "'coef_' holds no text"),
        ({"metadata": {"fitted": "[" * 10**5}}, "RecursionError|JSONDecodeError"),
        ({"metadata": {"fitted": '{"a": ' + "9" * 10**5 + "}"}}, "can use: "),
        ({"metadata": {"parameters": "[]"}}, "can use: "),
        ({"metadata": {"parameters": '{"wings": 2}'}}, "unexpected .*'wings'"),
        ({"metadata": {"parameters": '{"lr": "fast"}'}}, "can use: "),
        ({"metadata": {"class": "SoftAssignParts"}}, "scale_, shift_ is missing"),
    ],
)
def test_files_that_contradict_themselves_are_refused(saved, change, message):
    forge(saved, **change)
    with pytest.raises(ModelFileError, match=message) as caught:
        skdpnet.load(saved)
    assert str(saved) in str(caught.value)


# What versions did that lacked these parameters, whatever the defaults are now.
THEN = {
    "framing": "crop",
    "annealed_share": 0.0,
    "foreground": None,
    "positive": False,
    "context": False,
}


def test_parameters_missing_in_a_file_have_the_values_of_its_version(saved, fitted):
    forge(saved, {"parameters": json.dumps({"backbone": "precomputed"})})
    loaded = skdpnet.load(saved)
    defaults = DPNetClassifier("precomputed").get_params()
    assert loaded.get_params() == {**defaults, **THEN}
    assert {key for key in THEN if defaults[key] != THEN[key]} == (
        THEN.keys() - {"positive"}
    )
    X, _, model = fitted
    assert_identical(loaded.transform(X), model.transform(X))


def test_another_width_of_global_features_is_refused(tmp_path):
    GlobalFeatures("precomputed").fit(np.ones((3, 4))).save(tmp_path / "model")
    forge(tmp_path / "model", _n_features_out=10**9)
    with pytest.raises(ModelFileError, match="not the sum of the maps' depths"):
        skdpnet.load(tmp_path / "model")
