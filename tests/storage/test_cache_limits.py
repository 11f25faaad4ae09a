"""The cache keeps within limits, and no process that uses it notices."""

from __future__ import annotations

import errno
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from skdpnet import DPNetClassifier, FeatureMaps, clear_memory
from skdpnet.storage import array_store
from skdpnet.storage.array_store import ArrayStore

N_VALUES = 100
DAY = 24 * 60 * 60


@pytest.fixture
def store(tmp_path) -> ArrayStore:
    """Four entries, `00a` to `00d`, that were last used 4, 3, 2 and 1 days ago."""
    opened = ArrayStore(tmp_path, {"backbone": "a"})
    for age, letter in zip((4, 3, 2, 1), "abcd", strict=True):
        opened.write(f"00{letter}", [np.zeros(N_VALUES)])
        _date(tmp_path, f"00{letter}", -age * DAY)
    return opened


def _entry(folder: Path, key: str) -> Path:
    (path,) = folder.rglob(f"{key}.safetensors")
    return path


def _date(folder: Path, key: str, seconds_from_now: float) -> None:
    moment = max(0.0, time.time() + seconds_from_now)
    os.utime(_entry(folder, key), (moment, moment))


def _letters(store: ArrayStore) -> str:
    return "".join(key[-1] for key in store.keys())


def _size(folder: Path, key: str = "00a") -> int:
    return _entry(folder, key).stat().st_size


@pytest.mark.parametrize("n_kept", range(5))
@pytest.mark.parametrize("spare", [0, 1, -1])
def test_the_entries_not_used_for_longest_go_first(store, tmp_path, n_kept, spare):
    size = _size(tmp_path)
    limit = max(0, n_kept * size + spare)
    n_bytes = clear_memory(tmp_path, bytes_limit=limit)
    n_left = min(4, limit // size)
    assert _letters(store) == "abcd"[4 - n_left :]
    assert n_bytes == (4 - n_left) * size


def test_what_was_read_counts_as_used(store, tmp_path):
    entry = _entry(tmp_path, "00a")
    os.utime(entry, (time.time(), entry.stat().st_mtime))
    clear_memory(tmp_path, age_limit=timedelta(days=2.5))
    assert _letters(store) == "acd"


@pytest.mark.parametrize(
    "days, left", [(5, "abcd"), (3.5, "bcd"), (1.5, "d"), (0.5, ""), (0, "")]
)
def test_entries_beyond_an_age_go(store, tmp_path, days, left):
    clear_memory(tmp_path, age_limit=timedelta(days=days))
    assert _letters(store) == left


def test_both_limits_hold_together(store, tmp_path):
    size = _size(tmp_path)
    clear_memory(tmp_path, bytes_limit=3 * size, age_limit=timedelta(days=2.5))
    assert _letters(store) == "cd"
    clear_memory(tmp_path, bytes_limit=size, age_limit=timedelta(days=9))
    assert _letters(store) == "d"


@pytest.mark.parametrize(
    "limit, n_bytes",
    [
        *((2048, 2048), (np.int64(2048), 2048), ("2048", 2048), ("2K", 2048)),
        *(
            ("1.5M", 3 * 2**19),
            ("1G", 2**30),
            ("9" * 400, int("9" * 400)),
            ("2 gb", 2**31),
            ("1TiB", 2**40),
        ),
    ],
)
def test_sizes_are_read_as_joblib_reads_them(tmp_path, monkeypatch, limit, n_bytes):
    from skdpnet.storage import cache_limits

    asked = []
    monkeypatch.setattr(
        cache_limits, "_chosen", lambda entries, *limits: asked.append(limits) or []
    )
    clear_memory(tmp_path, bytes_limit=limit)
    assert asked == [(n_bytes, None)]


@pytest.mark.parametrize("limit", ["", "G", "-1G", "1X", "1e3", "nan", -1])
def test_texts_and_numbers_that_are_no_size(tmp_path, limit):
    with pytest.raises(ValueError, match="bytes_limit must be"):
        clear_memory(tmp_path, bytes_limit=limit)


@pytest.mark.parametrize("limit", [1.5, True, np.nan, [1]])
def test_values_of_other_types_are_no_size(tmp_path, limit):
    with pytest.raises(TypeError, match="bytes_limit must be"):
        clear_memory(tmp_path, bytes_limit=limit)


def test_values_that_are_no_age(tmp_path):
    with pytest.raises(ValueError, match="age_limit must not be negative"):
        clear_memory(tmp_path, age_limit=timedelta(days=-1))
    with pytest.raises(TypeError, match=r"datetime\.timedelta"):
        clear_memory(tmp_path, age_limit=30)


def test_a_missing_folder_is_named_and_an_empty_one_is_no_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*missing"):
        clear_memory(tmp_path / "missing")
    assert clear_memory(tmp_path) == 0


def test_without_limits_all_goes_and_nothing_else(store, tmp_path):
    for other in ("mine.safetensors", "skdpnet-cache.txt"):
        (tmp_path / other).touch()
    note = tmp_path / "skdpnet-cache" / "note.txt"
    note.touch()
    with store.claim(["00a"], 1):
        clear_memory(tmp_path)
    assert _letters(store) == ""
    clear_memory(tmp_path)
    left = {path.name for path in tmp_path.rglob("*")}
    assert left == {
        "mine.safetensors",
        "skdpnet-cache.txt",
        "skdpnet-cache",
        "note.txt",
    }
    note.unlink()
    clear_memory(tmp_path)
    assert not (tmp_path / "skdpnet-cache").exists()


def test_a_store_that_is_open_goes_on_without_its_folders(tmp_path):
    opened = ArrayStore(tmp_path, {"backbone": "a"})
    assert opened.write("00a", [np.ones(2)])
    clear_memory(tmp_path)
    assert not list(tmp_path.iterdir())
    assert opened.read("00a") is None
    with opened.claim(["00a"], 1) as claimed:
        assert claimed == ["00a"]
        assert opened.write("00a", [np.ones(2)])
    assert (opened.read("00a")[0] == 1).all()


def test_fits_go_on_while_their_cache_is_cleared_again_and_again(photographs, tmp_path):
    paths, y = photographs
    settings = {
        "image_size": 32,
        "n_parts_per_class": 4,
        "max_epochs": 1,
        "random_state": 0,
        "batch_size": 4,
    }
    plain = DPNetClassifier(nn.AvgPool2d(8), **settings).fit(paths, y)
    stop = threading.Event()
    n_cleared = []

    def clear():
        while not stop.is_set():
            n_cleared.append(clear_memory(tmp_path))

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        model = DPNetClassifier(nn.AvgPool2d(8), **settings, memory=tmp_path)
        for _ in range(3):
            model.fit(paths, y)
            np.testing.assert_array_equal(model.coef_, plain.coef_)
    finally:
        stop.set()
        thread.join()
    assert sum(n_cleared) > 0


def test_probes_go_last_as_maps_are_found_by_them(photographs, tmp_path):
    extractor = FeatureMaps(nn.AvgPool2d(8), image_size=32, memory=tmp_path)
    maps = extractor.fit_transform(photographs[0][:3])
    (probe,) = tmp_path.rglob("probe-*.safetensors")
    os.utime(probe, (0, 0))
    clear_memory(tmp_path, age_limit=timedelta(days=1))
    assert probe.exists()
    clear_memory(tmp_path, bytes_limit=probe.stat().st_size)
    assert [path.name for path in tmp_path.rglob("*.safetensors")] == [probe.name]
    np.testing.assert_array_equal(extractor.transform(photographs[0][:3]), maps)
    clear_memory(tmp_path, bytes_limit=0)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_entries_that_cannot_be_removed_are_told(store, tmp_path, monkeypatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.warns(
        RuntimeWarning, match=r"could not be removed: .*00a.* \(and 3 more\)"
    ):
        assert clear_memory(tmp_path) == 0
    assert _letters(store) == "abcd"


def test_an_entry_that_another_host_removes_while_it_is_read(store, monkeypatch):
    def stale(path):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(array_store.Path, "read_bytes", stale)
    assert store.read("00a") is None


def test_temporary_files_of_earlier_versions_go_after_a_day(store, tmp_path):
    folder = _entry(tmp_path, "00a").parent
    old, new, future = (folder / f"tmp{name}.tmp" for name in ("old", "new", "future"))
    for path, age in ((old, -2 * DAY), (new, 0), (future, 400 * DAY)):
        path.touch()
        os.utime(path, (time.time() + age,) * 2)
    clear_memory(tmp_path, bytes_limit="1G")
    assert _letters(store) == "abcd"
    assert [path.name for path in folder.glob("*.tmp")] == ["tmpnew.tmp"]


def test_a_clock_that_jumps_costs_work_and_nothing_else(store, tmp_path):
    _date(tmp_path, "00a", -(10**10))  # 1970
    _date(tmp_path, "00b", 4000 * DAY)
    clear_memory(tmp_path, age_limit=timedelta(days=2.5))
    assert _letters(store) == "bcd"
    clear_memory(tmp_path, bytes_limit=_size(tmp_path, "00b"))
    assert _letters(store) == "b"
    assert (store.read("00b")[0] == 0).all()
