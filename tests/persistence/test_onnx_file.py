"""ONNX files are written as a whole, and say what could not be exported."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet.persistence.onnx_file import write_onnx

onnxruntime = pytest.importorskip("onnxruntime")

IMAGES = torch.zeros(2, 3, 4, 6)


class Sums(nn.Module):
    def forward(self, images):
        return images.sum(dim=(1, 2, 3)), images + 1


class Polygamma(nn.Module):
    def forward(self, images):
        return (torch.special.polygamma(2, images + 1),)


def write(path, network=None, free=None, metadata=None):
    free = {0: "batch", 2: "height"} if free is None else free
    write_onnx(path, network or Sums(), IMAGES, ["sum", "more"], free, metadata or {})


def test_free_and_fixed_axes(tmp_path):
    write(tmp_path / "sums.onnx", metadata={"by": "hand"})
    session = onnxruntime.InferenceSession(tmp_path / "sums.onnx")
    assert session.get_inputs()[0].shape == ["batch", 3, "height", 6]
    assert session.get_modelmeta().custom_metadata_map == {"by": "hand"}
    images = np.random.default_rng(0).random((5, 3, 7, 6), np.float32)
    total, more = session.run(None, {"images": images})
    np.testing.assert_allclose(total, images.sum(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(more, images + 1)
    write(tmp_path / "sums.onnx", free={})
    session = onnxruntime.InferenceSession(tmp_path / "sums.onnx")
    assert session.get_inputs()[0].shape == [2, 3, 4, 6]


def test_an_operation_that_onnx_lacks_leaves_the_old_file(tmp_path):
    path = tmp_path / "old.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="polygamma"):
        write_onnx(path, Polygamma(), IMAGES, ["out"], {}, {})
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["old.onnx"]


def test_a_full_disk_leaves_the_old_file(tmp_path, full_disk):
    path = tmp_path / "old.onnx"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        write(path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["old.onnx"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write(tmp_path / "none" / "file.onnx")


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "skdpnet\[onnx\]"'):
        write(tmp_path / "file.onnx")
    assert not list(tmp_path.iterdir())
