"""Temporary files of living processes stay, those of others go."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from skdpnet.storage import temporary_files
from skdpnet.storage.temporary_files import (
    open_temporary,
    remove_abandoned,
    temporary_folder,
)

fcntl = pytest.importorskip("fcntl")

DAY = 24 * 60 * 60


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)


def _date(path: Path, seconds_from_now: float) -> None:
    moment = max(0.0, time.time() + seconds_from_now)
    os.utime(path, (moment, moment))


@pytest.mark.parametrize("age", [0, -2 * DAY, 2 * DAY, -(10**10)])
def test_a_file_in_use_stays_whatever_the_clock_says(tmp_path, age):
    with open_temporary(tmp_path) as file:
        _date(Path(file.name), age)
        remove_abandoned(tmp_path)
        assert Path(file.name).exists()
    remove_abandoned(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "age, stays", [(0, True), (-2 * DAY, False), (2 * DAY, False), (-(10**10), False)]
)
def test_without_locks_files_of_another_day_go(tmp_path, no_locks, age, stays):
    with open_temporary(tmp_path) as file:
        _date(Path(file.name), age)
        remove_abandoned(tmp_path)
        assert Path(file.name).exists() == stays


def test_files_of_other_names_and_kinds_stay(tmp_path):
    names = ["a.tmp", ".skdpnet-a", "skdpnet-a.tmp", ".skdpnet-a.tmp.part"]
    for name in names:
        (tmp_path / name).touch()
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / ".skdpnet-link.tmp").symlink_to(target)
    os.mkfifo(tmp_path / ".skdpnet-pipe.tmp")
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *names,
        "target",
        ".skdpnet-link.tmp",
        ".skdpnet-pipe.tmp",
    }


def test_a_missing_folder_has_nothing_to_remove(tmp_path):
    remove_abandoned(tmp_path / "missing")


def test_a_folder_of_a_killed_process_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "from skdpnet.storage.temporary_files import temporary_folder\n"
        "import os, signal\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'maps').mkdir()\n"
        "    (folder / 'maps' / 'a').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", script], env=environment)
    assert process.returncode == -9
    (left,) = tmp_path.iterdir()
    with temporary_folder() as first:
        assert not left.exists()
        with temporary_folder() as second:
            assert first.is_dir() and second.is_dir()
    assert not any(tmp_path.iterdir())


def test_systems_without_the_module_of_locks_go_by_age(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary_files, "fcntl", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as folder, open_temporary(folder) as file:
        remove_abandoned(folder)
        assert Path(file.name).exists()
        _date(Path(file.name), -2 * DAY)
        remove_abandoned(folder)
        assert not Path(file.name).exists()


@pytest.mark.parametrize("n_times", [1, 3])
def test_a_folder_that_is_taken_before_it_is_locked_is_made_again(
    tmp_path, monkeypatch, n_times
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made, mkdtemp = [], tempfile.mkdtemp

    def taken(**names):
        folder = mkdtemp(**names)
        made.append(folder)
        if len(made) <= n_times:
            remove_abandoned(tmp_path)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", taken)
    with temporary_folder() as folder:
        assert folder.is_dir() and len(made) == n_times + 1
        remove_abandoned(tmp_path)
        assert folder.is_dir()
    assert not any(tmp_path.iterdir())
