"""Folders that other processes make and remove at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from skdpnet.storage.folders import make_folder


def test_a_folder_that_another_process_makes_while_this_one_fails(
    tmp_path, monkeypatch
):
    """The one above is removed in between, and both are there again afterwards."""
    make, calls = Path.mkdir, []

    def mkdir(self, *args, **kwargs):
        calls.append(self)
        make(self, *args, **kwargs)
        if len(calls) == 1:
            raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    make_folder(tmp_path / "cache" / "locks")
    assert (tmp_path / "cache" / "locks").is_dir()


def test_a_file_in_its_place_is_an_error(tmp_path):
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "cache")
