"""The benchmark of peak memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import memory

linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux"
)


@linux
def test_memory_is_followed_through_the_quarters(monkeypatch):
    monkeypatch.setattr(memory, "_SECONDS_A_SAMPLE", 0.001)
    mib = 2**20

    def way() -> np.ndarray:
        held = np.ones(64 * mib, np.uint8)
        until = memory.time.perf_counter() + 0.3
        while memory.time.perf_counter() < until:
            held.sum()
        return held[:5]

    usage = memory._MemorySampler().run(way)
    assert 60 * mib <= usage["anonymous"] < 80 * mib
    assert usage["quarters"][2] > 60 * mib
    assert usage["output"] == 5


def test_images_come_again_under_other_names(class_folders, tmp_path):
    links, labels = memory.many_images(tmp_path, class_folders, 30, differ=False)
    assert len(set(links)) == 30
    assert all(Path(path).is_symlink() for path in links)
    assert {Path(path).resolve().parent.name for path in links[:12]} == {
        "cat", "coffee",
    }  # fmt: skip
    assert (labels[:12] == labels[12:24]).all()
    copies = tmp_path / "copies"
    copies.mkdir()
    paths, _ = memory.many_images(copies, class_folders, 24, differ=True)
    assert len({Path(path).read_bytes() for path in paths}) == 24
