"""Files are replaced as a whole, and errors name the file that the user named."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from skdpnet.storage import atomic_write
from skdpnet.storage.atomic_write import put_file, replace_file, target_file
from skdpnet.storage.folders import make_folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    replace_file(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert _names(tmp_path / "there") == {"real"}


def test_a_file_that_others_may_not_read_stays_so(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o600)
    replace_file(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ESTALE])
@pytest.mark.parametrize("n_times", [1, 3])
def test_a_file_is_written_again_if_its_temporary_file_is_taken(
    tmp_path, monkeypatch, code, n_times
):
    taken, replace = [], os.replace

    def take(source, target):
        if len(taken) < n_times:
            taken.append(source)
            os.unlink(source)
            raise OSError(code, os.strerror(code))
        replace(source, target)

    monkeypatch.setattr(os, "replace", take)
    replace_file(tmp_path / "file", b"new")
    taken.clear()
    put_file(tmp_path / "cache" / "00" / "file", b"new", tmp_path / "scratch")
    assert len(taken) == n_times
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "cache" / "00" / "file").read_bytes() == b"new"
    assert not any((tmp_path / "scratch").iterdir())


def test_folders_are_made_again_while_others_remove_them(tmp_path, monkeypatch):
    folder, mkdir, removed = tmp_path / "a" / "b" / "c", os.mkdir, []

    def removing(path, mode=0o777):
        mkdir(path, mode)
        if len(removed) < 4:
            removed.append(path)
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", removing)
    make_folder(folder)
    assert folder.is_dir() and len(removed) == 4


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "folder")


@pytest.mark.parametrize("nth", range(1, 4))
def test_a_disk_that_is_full_at_the_nth_step(tmp_path, monkeypatch, nth):
    """Creating, flushing, and renaming may each find that there is no room."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    steps = []

    def at(function):
        def step(*args):
            steps.append(function)
            if len(steps) == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.tmp")
            return function(*args)

        return step

    monkeypatch.setattr(atomic_write, "open_temporary", at(atomic_write.open_temporary))
    monkeypatch.setattr(os, "fsync", at(os.fsync))
    monkeypatch.setattr(os, "replace", at(os.replace))
    with pytest.raises(OSError, match="No space left") as raised:
        replace_file(file, b"new")
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(file)
    assert len(steps) == nth
    assert file.read_bytes() == b"old"
    assert _names(tmp_path) == {"file"}


def test_a_limit_on_the_length_of_files(tmp_path):
    resource = pytest.importorskip("resource")
    file = tmp_path / "file"
    file.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            replace_file(file, b"x" * 10_001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(file)
    assert file.read_bytes() == b"old"
    assert _names(tmp_path) == {"file"}


def test_a_pipe_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="a pipe or a device"):
        target_file(pipe)
    assert pipe.is_fifo()
