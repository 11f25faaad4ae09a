"""Disks that are full and folders that are read-only: results, or clear errors."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from skdpnet import DPNetClassifier, FeatureMaps, clear_memory
from skdpnet.storage.array_store import ArrayStore

SETTINGS = {
    "image_size": 32,
    "n_parts_per_class": 4,
    "max_epochs": 1,
    "random_state": 0,
}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 64 KiB; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _extractor(folder) -> FeatureMaps:
    return FeatureMaps(nn.AvgPool2d(1), image_size=32, memory=folder)


def test_a_cache_on_a_disk_that_fills_up(photographs, small_disk):
    paths = photographs[0]
    expected = _extractor(None).fit_transform(paths)
    with pytest.warns(RuntimeWarning, match="cannot all be kept in .*No space left"):
        maps = _extractor(small_disk).fit_transform(paths)
    np.testing.assert_array_equal(maps, expected)
    assert not list(small_disk.rglob("*.tmp"))
    kept = [
        path for path in small_disk.rglob("*.safetensors") if "probe" not in str(path)
    ]
    assert 0 < len(kept) < len(paths), "as many as there is room for"
    with pytest.warns(RuntimeWarning, match="cannot all be kept in"):
        again = _extractor(small_disk).fit_transform(paths)
    np.testing.assert_array_equal(again, expected)
    clear_memory(small_disk)
    assert not list(small_disk.iterdir())


def test_a_model_and_a_page_on_a_full_disk(photographs, small_disk):
    model = DPNetClassifier("dense_sift", **SETTINGS).fit(*photographs)
    file = small_disk / "model.skdpnet"
    file.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left") as raised:
        model.save(file)
    assert raised.value.filename == str(file)
    assert file.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [file]


@pytest.mark.parametrize("nth", range(1, 9))
def test_folders_that_cannot_be_made_on_a_full_disk(
    photographs, tmp_path, monkeypatch, nth
):
    """The disk is full from the n-th folder on, before or in the middle of a fit."""
    paths, y = photographs
    plain = DPNetClassifier(nn.AvgPool2d(8), **SETTINGS).fit(paths, y)
    mkdir, made = os.mkdir, []

    def full(path, mode=0o777):
        made.append(path)
        if len(made) >= nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        mkdir(path, mode)

    (tmp_path / "maps").mkdir()
    monkeypatch.setattr(os, "mkdir", full)
    with pytest.warns(RuntimeWarning, match="cannot"):
        model = DPNetClassifier(
            nn.AvgPool2d(8), **SETTINGS, memory=tmp_path / "maps"
        ).fit(paths, y)
    np.testing.assert_array_equal(model.coef_, plain.coef_)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch, code):
    def refuse(path, mode=0o777):
        raise OSError(code, os.strerror(code), os.fspath(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(ValueError, match="memory=.*cannot be used as a cache folder"):
        ArrayStore(tmp_path / "maps", {})


def test_a_cache_whose_file_system_becomes_read_only(tmp_path, photographs, small_disk):
    def mount(how):
        command = ["mount", "-o", f"remount,{how}", str(small_disk)]
        subprocess.run(command, check=True, capture_output=True)

    store = ArrayStore(small_disk, {})
    assert store.write("00a", [np.ones(2)])
    mount("ro")
    assert (store.read("00a")[0] == 1).all()
    with pytest.warns(RuntimeWarning, match="cannot all be kept in .*Read-only"):
        assert not store.write("00b", [np.ones(2)])
    with (
        pytest.warns(RuntimeWarning, match="cannot be locked"),
        store.claim(["11a"], 1) as claimed,
    ):
        assert claimed == ["11a"]
    with pytest.raises(ValueError, match=r"cannot be (written to|used as a cache)"):
        _extractor(small_disk).fit_transform(photographs[0][:1])
    with pytest.warns(RuntimeWarning, match="could not be removed: .*Read-only"):
        clear_memory(small_disk)
    mount("rw")


@pytest.mark.parametrize("moment", [0, 2**31 - 1, 2**33])
def test_the_time_of_an_entry_says_nothing_about_it(photographs, tmp_path, moment):
    """A clock may have been wrong; a changed image is seen by its content."""
    extractor = _extractor(tmp_path)
    maps = extractor.fit_transform(photographs[0])
    for path in tmp_path.rglob("*"):
        os.utime(path, (moment, moment))
    np.testing.assert_array_equal(extractor.transform(photographs[0]), maps)
