"""Measure peak memory of fits and descriptors, for many images and in little memory.

    python -m benchmarks.speed.memory --data flowers17/train
    python -m benchmarks.speed.memory --table

The images of `--data` are repeated under other names until there are enough. The case
``flat`` increases their number: peak memory should grow by the descriptors alone. In
the case ``larger`` the maps are several times as large as the memory that the process
may use (RLIMIT_DATA, which limits memory that is not backed by a file).
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.records import RESULTS
from benchmarks.speed.image_stages import image_files
from benchmarks.speed.measurement import describe_machine
from benchmarks.speed.results import find_row, put_row, read_result, start_result
from benchmarks.speed.timing import (
    MeasurementError,
    in_fresh_process,
    reset_peak,
    status_bytes,
)
from skdpnet import DPNetClassifier

_MIB, _GIB = 2**20, 2**30
_SECONDS_A_SAMPLE = 0.01
# Number of images to fit on where the fit is not measured.
_N_FITTED = 68
_CELLS, _CHANNELS, _STRIDE = 14, 512, 16
_NOTE = (
    "Memory beyond that of the process before. Anonymous: memory that is not backed by "
    "a file, sampled every 10 ms; all: including mapped files, whose memory the system "
    "can reclaim. Quarters: largest anonymous memory in each quarter of the time. One "
    "run each."
)


class Patches(nn.Module):
    """A network of little cost with maps of usual size.

    They are 14 × 14 × 512 for an image of 224 × 224 pixels.
    """

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, _CHANNELS, _STRIDE, _STRIDE)
        with torch.no_grad():
            weight = torch.randn(
                self.patches.weight.shape, generator=torch.Generator().manual_seed(0)
            )
            self.patches.weight.copy_(weight / _STRIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute maps (N, 512, 14, 14) of images (N, 3, 224, 224)."""
        return torch.relu(self.patches(x))


def many_images(
    folder: Path, data: Path, n: int, *, differ: bool
) -> tuple[list[str], np.ndarray]:
    """Repeat images under other names until there are n.

    Parameters
    ----------
    folder : Path
        The folder that they are written to.
    data : Path
        Class folders of images.
    n : int
    differ : bool
        True: files are copies with a number after the image data, which no decoder
        reads, so that a cache treats them as different images. False: they are links.

    Returns
    -------
    paths : list of n str
    labels : int ndarray of shape (n,)
    """
    paths, labels = image_files(data)
    targets = []
    for i in range(n):
        source = Path(paths[i % len(paths)]).resolve()
        target = folder / f"{i:06}{source.suffix}"
        if differ:
            shutil.copyfile(source, target)
            with target.open("ab") as file:
                file.write(i.to_bytes(4, "big"))
        else:
            target.symlink_to(source)
        targets.append(str(target))
    return targets, np.resize(labels, n)


class _MemorySampler:
    """Sampler of this process's memory while a function runs."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []
        self._finished = threading.Event()

    def _sample(self) -> None:
        while not self._finished.is_set():
            self._samples.append((time.perf_counter(), status_bytes("RssAnon")))
            self._finished.wait(_SECONDS_A_SAMPLE)

    def run(self, function: Callable[[], np.ndarray | None]) -> dict:
        """Run a function without arguments, and return its seconds and bytes."""
        reset_peak()
        before, all_before = status_bytes("RssAnon"), status_bytes("VmRSS")
        thread = threading.Thread(target=self._sample)
        thread.start()
        start = time.perf_counter()
        try:
            out = function()
        finally:
            self._finished.set()
            thread.join()
        seconds = time.perf_counter() - start
        quarters = [before] * 4
        for moment, n_bytes in self._samples:
            quarter = min(3, int(4 * max(0.0, moment - start) / seconds))
            quarters[quarter] = max(quarters[quarter], n_bytes)
        return {
            "seconds": seconds,
            "anonymous": max(quarters) - before,
            "all": status_bytes("VmHWM") - all_before,
            "quarters": [n_bytes - before for n_bytes in quarters],
            "output": out.nbytes if isinstance(out, np.ndarray) else 0,
        }


def flat(key: dict, data: str) -> dict:
    """Measure a fit or a transform with a number of images.

    Parameters
    ----------
    key : dict
        ``what`` ("transform", "transform, memory=" or "fit"), ``images``,
        ``image_size``.
    data : str
        Class folders of images.

    Returns
    -------
    dict
        The entries of `_MemorySampler.run`, and ``maps``: bytes of all maps.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder, cached = Path(temporary), "memory" in key["what"]
        X, y = many_images(folder, Path(data), key["images"], differ=cached)
        model = DPNetClassifier(
            image_size=key["image_size"], max_epochs=1, random_state=0
        )
        few = np.random.default_rng(0).permutation(len(X))[:_N_FITTED]
        # A first fit, since libraries allocate some memory only once.
        model.fit([X[i] for i in few], y[few])
        if key["what"] == "fit":
            row = _MemorySampler().run(lambda: model.fit(X, y) and None)
        else:
            model.set_params(memory=folder / "maps" if cached else None)
            row = _MemorySampler().run(lambda: model.transform(X))
        shapes = model.map_shapes_
    return row | {"maps": 2 * len(X) * sum(map(np.prod, shapes)).item()}


def larger_than_memory(key: dict, data: str) -> dict:
    """Measure fit and transform with maps of several times the allowed memory.

    Parameters
    ----------
    key : dict
        ``allowed``: bytes beyond the memory of the process at the start; ``times``:
        size of the maps in multiples of ``allowed``.
    data : str
        Class folders of images.

    Returns
    -------
    dict
        ``images``; ``maps``: bytes of all maps; ``fit`` and ``transform``: the entries
        of `_MemorySampler.run`.
    """
    map_bytes = 2 * _CELLS**2 * _CHANNELS
    n = -(-key["times"] * key["allowed"] // map_bytes)
    with tempfile.TemporaryDirectory() as temporary:
        X, y = many_images(Path(temporary), Path(data), n, differ=False)
        model = DPNetClassifier(Patches(), max_epochs=1, random_state=0)
        limit = status_bytes("VmData") + key["allowed"]
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
        return {
            "images": n,
            "maps": n * map_bytes,
            "fit": _MemorySampler().run(lambda: model.fit(X, y) and None),
            "transform": _MemorySampler().run(lambda: model.transform(X)),
        }


def measurement_keys(args: argparse.Namespace) -> Iterator[dict]:
    """Yield the keys of the measurements that the command line asks for."""
    if "flat" in args.cases:
        for what in ("transform", "transform, memory=", "fit"):
            for n in args.counts:
                yield {
                    "case": "flat",
                    "what": what,
                    "images": n,
                    "image_size": args.image_size,
                }
    if "larger" in args.cases:
        allowed = int(args.allowed * _GIB)
        yield {"case": "larger", "allowed": allowed, "times": args.times}


def markdown(result: dict) -> str:
    """Return measurements as a Markdown table.

    Parameters
    ----------
    result : dict
        Content of the output file.

    Returns
    -------
    str
    """
    lines = [
        "| what | images | maps, MiB | anonymous, MiB | all, MiB | quarters, MiB "
        "| descriptors, MiB | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["rows"]:
        key = row["key"]
        if "error" in row:
            lines.append(f"| {key} | {row['error']} |" + " |" * 6)
        elif key["case"] == "flat":
            name = f"{key['what']}, {key['image_size']} px"
            lines.append(_line(name, key["images"], row["maps"], row))
        else:
            allowed = f"{key['allowed'] / _MIB:.0f} MiB allowed"
            for what in ("fit", "transform"):
                name = f"{what}, {allowed}"
                lines.append(_line(name, row["images"], row["maps"], row[what]))
    return "\n".join([*lines, "", _NOTE])


def _line(name: str, images: int, maps: int, usage: dict) -> str:
    quarters = ", ".join(f"{n_bytes / _MIB:.0f}" for n_bytes in usage["quarters"])
    sizes = [maps, usage["anonymous"], usage["all"]]
    cells = [
        name,
        str(images),
        *(f"{n_bytes / _MIB:.0f}" for n_bytes in sizes),
        quarters,
        f"{usage['output'] / _MIB:.1f}",
        f"{usage['seconds']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Measure what the output file lacks, and print the table.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.table:
        print(markdown(read_result(args.output)))
        return
    if args.data is None or not args.data.is_dir():
        parser.error("--data must name a folder of class folders")
    words = ["python", "-m", "benchmarks.speed.memory", "--cases", *args.cases]
    words += ["--counts", *map(str, args.counts), "--image-size", str(args.image_size)]
    words += ["--allowed", str(args.allowed), "--times", str(args.times)]
    result = start_result(args.output, describe_machine("cpu"), shlex.join(words))
    if args.temporary is not None:
        # The new processes write their temporary files here, which include the maps.
        os.environ["TMPDIR"] = str(args.temporary)
    for key in tqdm(list(measurement_keys(args)), unit="measurement"):
        if find_row(result, key) is not None and not args.again:
            continue
        function = flat if key["case"] == "flat" else larger_than_memory
        try:
            row = in_fresh_process(function, key, str(args.data))
        except MeasurementError as failure:
            row = {"error": str(failure)}
        put_row(args.output, result, {"key": key, **row})
    print(markdown(result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.memory", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="class folders of images")
    add("--cases", nargs="+", choices=("flat", "larger"), default=["flat", "larger"])
    add("--counts", nargs="+", type=int, default=[500, 2000, 8000], metavar="N")
    add(
        "--image-size",
        type=int,
        default=64,
        metavar="N",
        help="image size of the case flat (default: %(default)s)",
    )
    add(
        "--allowed",
        type=float,
        default=1.0,
        metavar="GIB",
        help="memory of the case larger (default: %(default)s)",
    )
    add(
        "--times",
        type=int,
        default=4,
        metavar="N",
        help="size of the maps in multiples of --allowed (default: %(default)s)",
    )
    add(
        "--temporary",
        type=Path,
        metavar="DIR",
        help="folder with room for twice the maps, on a disk (default: the system's)",
    )
    add("--again", action="store_true", help="repeat earlier measurements")
    add("--output", type=Path, default=RESULTS / "speed_memory.json")
    add("--table", action="store_true", help="only print the table of --output")
    return parser


if __name__ == "__main__":
    main()
