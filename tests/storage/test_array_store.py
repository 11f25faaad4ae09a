"""The cache is never stale, holds each image once, and survives damage."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.storage.array_store import ArrayStore
from tests.probes import n_real_images


class Counting(nn.Module):
    """Means over patches; notes in a file how many images it was called on.

    The cache's probe is not counted.
    """

    def __init__(self, log: str, pause: float = 0):
        super().__init__()
        self.log = log
        self.pause = pause

    def forward(self, x):
        time.sleep(self.pause)
        with open(self.log, "a") as file:
            file.write("x" * n_real_images(x))
        return nn.functional.avg_pool2d(x, 16)


def _seen(log) -> int:
    """Return how many images the network was called on."""
    return len(Path(log).read_text()) if Path(log).exists() else 0


def _entries(folder) -> list[Path]:
    """Return the files of maps, without that of the cache's probe."""
    files = Path(folder).rglob("*.safetensors")
    return sorted(file for file in files if not file.name.startswith("probe"))


@pytest.fixture
def log(tmp_path) -> str:
    return str(tmp_path / "log")


@pytest.fixture
def extractor(log, tmp_path):
    return FeatureMaps(Counting(log), image_size=32, memory=tmp_path / "maps")


def test_each_distinct_image_is_seen_once(photographs, extractor, log):
    paths, _ = photographs
    first = extractor.fit_transform([*paths, paths[0], paths[3]])
    assert _seen(log) == len(paths)
    again = extractor.fit_transform(paths)
    assert _seen(log) == len(paths)
    np.testing.assert_array_equal(first[: len(paths)], again)
    np.testing.assert_array_equal(first[len(paths)], again[0])


def test_a_changed_file_is_seen_again_a_renamed_one_is_not(
    photographs, extractor, log, tmp_path
):
    path = tmp_path / "a.png"
    shutil.copy(photographs[0][0], path)
    before = extractor.fit_transform([str(path)])
    os.rename(path, tmp_path / "b.png")
    extractor.transform([str(tmp_path / "b.png")])
    assert _seen(log) == 1
    stamp = os.stat(tmp_path / "b.png").st_mtime
    shutil.copy(photographs[0][-1], tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (stamp, stamp))
    after = extractor.transform([str(tmp_path / "b.png")])
    assert _seen(log) == 2
    assert np.abs(after - before).max() > 0


@pytest.mark.parametrize(
    "change",
    [{"image_size": 48}, {"precision": "float32"}, {"precision": "bfloat16"}],
)
def test_other_settings_have_other_entries(photographs, extractor, log, change):
    extractor.fit_transform(photographs[0][:2])
    extractor.set_params(**change).fit_transform(photographs[0][:2])
    assert _seen(log) == 4


def test_other_weights_have_other_entries(photographs, tmp_path):
    def first_map(bias):
        network = nn.Conv2d(3, 2, 16, stride=16)
        nn.init.zeros_(network.weight)
        nn.init.constant_(network.bias, bias)
        settings = {"image_size": 32, "memory": tmp_path / "maps"}
        return FeatureMaps(network, **settings).fit_transform(photographs[0][:1])

    assert (first_map(1.0) == 1).all()
    assert (first_map(2.0) == 2).all()


class Cut(nn.Module):
    """The same layers, used differently."""

    def __init__(self, depth):
        super().__init__()
        self.layers = nn.ModuleList([nn.ReLU(), nn.AvgPool2d(2)])
        self.depth = depth

    def forward(self, x):
        x = nn.functional.avg_pool2d(x, 16)
        for layer in self.layers[: self.depth]:
            x = layer(x)
        return x


def test_networks_that_differ_in_an_attribute_have_other_entries(photographs, tmp_path):
    paths = photographs[0][:2]

    def shape(depth):
        extractor = FeatureMaps(Cut(depth), image_size=64, memory=tmp_path)
        return extractor.fit_transform(paths).shape[1:3]

    assert [shape(depth) for depth in (1, 2, 1)] == [(4, 4), (2, 2), (4, 4)]


def test_networks_of_other_code_have_other_entries(photographs, tmp_path):
    def extractor_of(factor):
        if factor == 1:

            class Net(nn.Module):
                def forward(self, x):
                    return nn.functional.avg_pool2d(x, 16)

        else:

            class Net(nn.Module):
                def forward(self, x):
                    return nn.functional.avg_pool2d(x, 16) * 2

        return FeatureMaps(Net(), image_size=32, memory=tmp_path)

    single, double = (
        extractor_of(factor).fit_transform(photographs[0][:1]) for factor in (1, 2)
    )
    np.testing.assert_allclose(double, 2 * single, rtol=1e-2)


def test_an_image_that_changes_meanwhile_is_not_kept(photographs, tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    shutil.copy(photographs[0][0], first)
    shutil.copy(photographs[0][1], second)

    class Replacing(nn.Module):
        """Replaces the second file while the first image is processed."""

        def forward(self, x):
            if n_real_images(x):
                shutil.copy(photographs[0][-1], second)
            return nn.functional.avg_pool2d(x, 16)

    settings = {"image_size": 32, "batch_size": 1, "num_workers": 0}
    extractor = FeatureMaps(Replacing(), **settings, memory=tmp_path / "maps")
    extractor.fit_transform([first, second])
    shutil.copy(photographs[0][1], second)
    kept = len(_entries(tmp_path / "maps"))
    assert kept == 1, "the second image's key would lead to another image's map"


def test_the_umask_decides_who_may_read_entries(photographs, extractor, tmp_path):
    extractor.fit_transform(photographs[0][:1])
    plain = tmp_path / "plain"
    plain.write_text("")
    for file in (tmp_path / "maps").rglob("*"):
        if file.is_file():
            assert file.stat().st_mode == plain.stat().st_mode


def test_a_plain_callable_cannot_be_cached(photographs, tmp_path):
    extractor = FeatureMaps(lambda x: x, image_size=32, memory=tmp_path)
    with pytest.raises(ValueError, match=r"torch\.nn\.Module"):
        extractor.fit_transform(photographs[0][:1])


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "text", "other"])
def test_a_damaged_entry_is_computed_again(
    photographs, extractor, log, tmp_path, damage
):
    expected = extractor.fit_transform(photographs[0][:3])
    entry, other, _ = _entries(tmp_path / "maps")
    raw = entry.read_bytes()
    entry.write_bytes(
        {
            "truncate": raw[: len(raw) // 2],
            "flip": raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
            "empty": b"",
            "text": b"not a map at all, but long enough to be read as a header",
            "other": raw[:8] + b"{}" + raw[10:],
        }[damage]
    )
    with pytest.warns(RuntimeWarning, match="is damaged"):
        again = extractor.transform(photographs[0][:3])
    np.testing.assert_array_equal(again, expected)
    assert _seen(log) == 4
    extractor.transform(photographs[0][:3])
    assert _seen(log) == 4, "the entry was replaced"


def test_processes_share_the_work_and_repeat_none(photographs, log, tmp_path):
    paths, _ = photographs
    extractor = FeatureMaps(
        Counting(log, pause=0.02),
        image_size=32,
        batch_size=1,
        memory=tmp_path / "maps",
    ).fit(paths)
    both = Parallel(n_jobs=2)(
        delayed(extractor.transform)(order) for order in (paths, paths[::-1])
    )
    assert _seen(log) == len(paths)
    np.testing.assert_array_equal(both[0], both[1][::-1])


def test_a_killed_process_leaves_a_cache_that_works(photographs, tmp_path):
    paths, _ = photographs
    script = textwrap.dedent(
        f"""
        import time
        from torch import nn
        from skdpnet import FeatureMaps

        class Slow(nn.Module):
            def forward(self, x):
                time.sleep(0.1)
                return nn.functional.avg_pool2d(x, 16)

        FeatureMaps(Slow(), image_size=32, batch_size=1, memory={str(tmp_path)!r}
            ).fit_transform({paths!r})
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    for _ in range(600):
        if len(_entries(tmp_path)) >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = len(_entries(tmp_path))
    assert 2 <= written < len(paths)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
    assert len(_entries(tmp_path)) == len(paths)


def test_a_folder_that_cannot_be_used_is_named(photographs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="memory="):
        FeatureMaps(
            Counting("unused"), image_size=32, memory=tmp_path / "file"
        ).fit_transform(photographs[0][:1])


def test_a_claim_is_exclusive_and_ends_with_its_block(tmp_path):
    first, second = (ArrayStore(tmp_path, {"backbone": "a"}) for _ in range(2))
    with first.claim(["00x"], 1) as claimed:
        assert claimed == ["00x"]
        with second.claim(["00y", "11z"], 2) as others:
            assert others == ["11z"]
    with second.claim(["00y"], 1) as others:
        assert others == ["00y"]


def test_the_keys_of_a_store_are_those_that_were_written(tmp_path):
    first, second = (ArrayStore(tmp_path, {"backbone": name}) for name in "ab")
    assert all(first.write(key, [np.zeros(2)]) for key in ("11x", "00x", "11a"))
    assert first.keys() == ["00x", "11a", "11x"]
    assert second.keys() == []


@pytest.mark.parametrize("code", ["ENOSYS", "ENOTSUP", "ENOLCK"])
def test_a_file_system_without_locks_only_costs_work(
    photographs, extractor, log, monkeypatch, code
):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*args):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    paths = photographs[0]
    with pytest.warns(RuntimeWarning, match="cannot be locked") as warned:
        maps = extractor.fit_transform(paths)
    assert len(warned) == 1
    np.testing.assert_array_equal(extractor.transform(paths), maps)
    assert _seen(log) == len(paths)


def test_maps_are_returned_although_the_disk_is_full(photographs, tmp_path, full_disk):
    paths = photographs[0]
    extractor = FeatureMaps(nn.AvgPool2d(16), image_size=32, memory=tmp_path)
    with pytest.warns(RuntimeWarning, match="cannot all be kept in") as warned:
        maps = extractor.fit_transform(paths)
    assert len(warned) == 1
    expected = FeatureMaps(nn.AvgPool2d(16), image_size=32).fit_transform(paths)
    np.testing.assert_array_equal(maps, expected)
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_in_the_cache_is_pickled(photographs, extractor, tmp_path):
    extractor.fit_transform(photographs[0][:1])
    files = [p for p in (tmp_path / "maps").rglob("*") if p.is_file()]
    assert {p.suffix for p in files} == {".safetensors", ".lock"}
    assert all(p.stat().st_size == 0 for p in files if p.suffix == ".lock")
