"""Free memory is what the strictest limit leaves; larger arrays go to disk."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import psutil
import pytest

from skdpnet.storage import large_arrays
from skdpnet.storage.large_arrays import (
    MapRows,
    allocate,
    copy_rows,
    free_memory,
    group_rooms,
)

GB = 2**30


def is_mapped(array) -> bool:
    """Return whether an array's memory is a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(getattr(array, "obj", array), mmap.mmap)


def _group(folder: Path, limit: str, most: object, use: str, used: int, stat: str):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text(f"{most}\n")
    (folder / use).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(stat)


def _set_groups(root: Path, text: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(text)


def test_file_cache_does_not_count_against_a_containers_limit(tmp_path):
    _set_groups(tmp_path, "0::/jobs/7\n")
    mount = tmp_path / "sys/fs/cgroup"
    files = ("memory.max", "memory.current")
    stat = f"anon {GB}\ninactive_file {GB // 2}\n"
    _group(mount / "jobs/7", files[0], 4 * GB, files[1], 2 * GB, stat)
    _group(mount / "jobs", files[0], "max", files[1], 3 * GB, stat)
    assert group_rooms(tmp_path) == [4 * GB - 2 * GB + GB // 2]
    # A group that encloses this one may leave less.
    _group(mount / "jobs", files[0], 3 * GB, files[1], 3 * GB, stat)
    assert sorted(group_rooms(tmp_path)) == [GB // 2, 5 * GB // 2]


def test_limits_of_version_1_are_read_where_it_mounts_them(tmp_path):
    _set_groups(tmp_path, "5:cpu:/host/path\n4:hugetlb,memory:/host/path\n0::/\n")
    # In a container the path is that on the host; the group is mounted as the root.
    _group(
        tmp_path / "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        2 * GB,
        "memory.usage_in_bytes",
        GB,
        f"inactive_file 1\ntotal_inactive_file {GB // 4}\n",
    )
    assert group_rooms(tmp_path) == [GB + GB // 4]


@pytest.mark.parametrize("text", [None, "", "4:memory:/gone\n", "0::/gone\n"])
def test_no_groups_are_no_limit(tmp_path, text):
    if text is not None:
        _set_groups(tmp_path, text)
    assert group_rooms(tmp_path) == []


def test_the_strictest_limit_decides(monkeypatch):
    available = namedtuple("available", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available(5 * GB))
    monkeypatch.setattr(large_arrays, "group_rooms", lambda root: [7 * GB, 3 * GB])
    assert free_memory() == 3 * GB
    monkeypatch.setattr(large_arrays, "group_rooms", lambda root: [-GB])
    assert free_memory() == 0


def test_ulimits_are_limits():
    script = """
import resource, sys
from skdpnet.storage.large_arrays import free_memory
import psutil
used = getattr(psutil.Process().memory_info(), sys.argv[2])
limit = used + 2**28
resource.setrlimit(getattr(resource, sys.argv[1]), (limit, resource.RLIM_INFINITY))
print(free_memory())
"""
    for limit, field in (("RLIMIT_AS", "vms"), ("RLIMIT_DATA", "data")):
        if not hasattr(psutil.Process().memory_info(), field):
            continue
        done = subprocess.run(
            [sys.executable, "-c", script, limit, field],
            check=True,
            capture_output=True,
            text=True,
        )
        # The process itself takes a little more between the two measurements.
        assert 2**27 < int(done.stdout) <= 2**28


def test_arrays_too_large_for_memory_are_mapped_from_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 4 * 119)
    assert is_mapped(allocate((10, 3), np.float32, tmp_path))
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 4 * 120)
    assert not is_mapped(allocate((10, 3), np.float32, tmp_path))


def test_rows_are_copied_to_a_file_if_they_are_large(monkeypatch, tmp_path):
    array = np.random.default_rng(0).normal(size=(300, 3, 2)).astype(np.float32)
    rows = np.random.default_rng(1).permutation(300)[:150]
    for free, is_large in ((10**9, False), (100, True)):
        monkeypatch.setattr(large_arrays, "free_memory", lambda free=free: free)
        copied = copy_rows(array, rows, tmp_path)
        assert is_mapped(copied) is is_large
        assert copied.dtype == np.float32
        np.testing.assert_array_equal(copied, array[rows])
        copied[:] = 0
    assert array.all()


def test_the_file_has_no_name_to_be_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 0)
    out = allocate((10, 3), np.float32, tmp_path)
    out[:] = 2
    assert (out == 2).all()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_not_a_crash(monkeypatch, tmp_path):
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 0)
    with pytest.raises(OSError, match=r"1e\+0\d GB.*memory=.*TMPDIR"):
        allocate((10**9, 10**6), np.uint8, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_created(monkeypatch, tmp_path):
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 0)
    out = allocate((10, 3), np.float32, tmp_path / "not" / "there")
    assert is_mapped(out)


def test_a_limited_address_space_says_what_to_do(tmp_path):
    pytest.importorskip("resource")
    script = """
import resource, sys
import psutil
from skdpnet.storage.large_arrays import allocate
limit = psutil.Process().memory_info().vms + 2**26
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
try:
    allocate((2**27,), "uint8", sys.argv[1])
except OSError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "0.134 GB" in done.stdout
    assert "ulimit -v" in done.stdout


@pytest.mark.parametrize(
    ("file_system", "expected"), [("tmpfs", "/var/tmp"), ("ext4", None), ("", None)]
)
def test_a_temporary_folder_in_memory_is_passed_over(
    monkeypatch, tmp_path, file_system, expected
):
    partition = namedtuple("partition", "mountpoint fstype")
    mounts = [partition("/", "xfs"), partition(str(tmp_path), file_system)]
    monkeypatch.setattr(
        large_arrays.tempfile, "gettempdir", lambda: str(tmp_path / "a")
    )
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    monkeypatch.setattr(large_arrays.os, "access", lambda path, mode: True)
    folder = large_arrays._temporary_folder()
    assert folder == Path(expected or tmp_path / "a")
    mounts[0] = partition("/", "tmpfs")
    assert large_arrays._temporary_folder() == tmp_path / "a", "no folder is on a disk"


def test_map_rows_are_those_rows():
    maps = np.random.default_rng(0).random((6, 2, 3, 4))
    rows = np.array([5, 0, 3])
    some = MapRows(maps, rows)
    assert (len(some), some.shape) == (3, (3, 2, 3, 4))
    np.testing.assert_array_equal(some[1:], maps[[0, 3]])
