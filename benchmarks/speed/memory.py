"""Peak memory of fits and descriptors: against the number of images, and in little.

    python -m benchmarks.speed.memory --data flowers17/train
    python -m benchmarks.speed.memory --table

The images of `--data` come again under other names until there are enough. First
their number grows: peak memory should not, but for the descriptors themselves. Then the
maps are several times what the process may take (RLIMIT_DATA, which counts memory that
no file backs): a fit and its descriptors have to do with that.
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
from benchmarks.speed.timing import Failed, forget_peak, in_fresh_process, status_bytes
from skdpnet import DPNetClassifier

_MIB, _GIB = 2**20, 2**30
_SECONDS_A_SAMPLE = 0.01
# Enough to learn from where learning is not what is measured.
_N_FITTED = 68
_CELLS, _CHANNELS, _STRIDE = 14, 512, 16
_NOTE = (
    "Beyond what the process held before. Anonymous: memory that no file backs, "
    "sampled every 10 ms; all: with files that are mapped, which the system takes back "
    "when it needs room. Quarters: largest anonymous memory in each quarter of the "
    "time. One run each."
)


class Patches(nn.Module):
    """A network that costs little and gives maps as large as a real one's.

    14×14×512 of an image of 224 pixels.
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
    """Give images other names until there are n.

    Parameters
    ----------
    folder : Path
        Where they go.
    data : Path
        Class folders.
    n : int
    differ : bool
        True: copies, each with a number behind the image, which no decoder reads,
        so that a cache takes them for different ones. False: links.

    Returns
    -------
    paths : list of n str
    labels : int ndarray of shape (n,)
    """
    paths, labels = image_files(data)
    found = []
    for i in range(n):
        source = Path(paths[i % len(paths)]).resolve()
        target = folder / f"{i:06}{source.suffix}"
        if differ:
            shutil.copyfile(source, target)
            with target.open("ab") as file:
                file.write(i.to_bytes(4, "big"))
        else:
            target.symlink_to(source)
        found.append(str(target))
    return found, np.resize(labels, n)


class _Watch:
    """Follows this process's memory while something runs."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []
        self._over = threading.Event()

    def _sample(self) -> None:
        while not self._over.is_set():
            self._samples.append((time.perf_counter(), status_bytes("RssAnon")))
            self._over.wait(_SECONDS_A_SAMPLE)

    def run(self, function: Callable[[], np.ndarray | None]) -> dict:
        """Run a function of no arguments; return what it took."""
        forget_peak()
        before, all_before = status_bytes("RssAnon"), status_bytes("VmRSS")
        thread = threading.Thread(target=self._sample)
        thread.start()
        start = time.perf_counter()
        try:
            out = function()
        finally:
            self._over.set()
            thread.join()
        seconds = time.perf_counter() - start
        quarters = [before] * 4
        for at, own in self._samples:
            place = min(3, int(4 * max(0.0, at - start) / seconds))
            quarters[place] = max(quarters[place], own)
        return {
            "seconds": seconds,
            "anonymous": max(quarters) - before,
            "all": status_bytes("VmHWM") - all_before,
            "quarters": [own - before for own in quarters],
            "output": out.nbytes if isinstance(out, np.ndarray) else 0,
        }


def flat(key: dict, data: str) -> dict:
    """Measure one of the growing sets.

    Parameters
    ----------
    key : dict
        ``what`` ("transform", "transform, memory=", "fit"), ``images``,
        ``image_size``.
    data : str

    Returns
    -------
    dict
        What `_Watch.run` gives, and ``maps``, bytes of the maps of all images.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder, cached = Path(temporary), "memory" in key["what"]
        X, y = many_images(folder, Path(data), key["images"], differ=cached)
        model = DPNetClassifier(
            image_size=key["image_size"], max_epochs=1, random_state=0
        )
        few = np.random.default_rng(0).permutation(len(X))[:_N_FITTED]
        # What libraries take for themselves once is none of its memory.
        model.fit([X[i] for i in few], y[few])
        if key["what"] == "fit":
            found = _Watch().run(lambda: model.fit(X, y) and None)
        else:
            model.set_params(memory=folder / "maps" if cached else None)
            found = _Watch().run(lambda: model.transform(X))
        shapes = model.map_shapes_
    return found | {"maps": 2 * len(X) * sum(map(np.prod, shapes)).item()}


def larger_than_memory(key: dict, data: str) -> dict:
    """Fit and describe images whose maps are several times the allowed memory.

    Parameters
    ----------
    key : dict
        ``allowed``, bytes beyond what the process has at the start; ``times``.
    data : str

    Returns
    -------
    dict
        ``images``, ``maps``, and what `_Watch.run` gives of ``fit`` and
        ``transform``.
    """
    a_image = 2 * _CELLS**2 * _CHANNELS
    n = -(-key["times"] * key["allowed"] // a_image)
    with tempfile.TemporaryDirectory() as temporary:
        X, y = many_images(Path(temporary), Path(data), n, differ=False)
        model = DPNetClassifier(Patches(), max_epochs=1, random_state=0)
        limit = status_bytes("VmData") + key["allowed"]
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
        return {
            "images": n,
            "maps": n * a_image,
            "fit": _Watch().run(lambda: model.fit(X, y) and None),
            "transform": _Watch().run(lambda: model.transform(X)),
        }


def keys(args: argparse.Namespace) -> Iterator[dict]:
    """List what is measured."""
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
    """Write measurements as tables.

    Parameters
    ----------
    result : dict
        As this script keeps it.

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


def _line(name: str, images: int, maps: int, found: dict) -> str:
    quarters = ", ".join(f"{own / _MIB:.0f}" for own in found["quarters"])
    mib = [maps, found["anonymous"], found["all"]]
    cells = [
        name,
        str(images),
        *(f"{own / _MIB:.0f}" for own in mib),
        quarters,
        f"{found['output'] / _MIB:.1f}",
        f"{found['seconds']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, keep it, print the table.

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
        # Where the children's temporary files, which maps live in, go.
        os.environ["TMPDIR"] = str(args.temporary)
    for key in tqdm(list(keys(args)), unit="measurement"):
        if find_row(result, key) is not None and not args.again:
            continue
        function = flat if key["case"] == "flat" else larger_than_memory
        try:
            row = in_fresh_process(function, key, str(args.data))
        except Failed as failure:
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
        help="of the growing sets: small, to take minutes (default: %(default)s)",
    )
    add(
        "--allowed",
        type=float,
        default=1.0,
        metavar="GIB",
        help="memory for the larger set (default: %(default)s)",
    )
    add(
        "--times",
        type=int,
        default=4,
        metavar="N",
        help="that the maps are as large as --allowed (default: %(default)s)",
    )
    add(
        "--temporary",
        type=Path,
        metavar="DIR",
        help="on a disk, with room for twice the maps (default: the system's)",
    )
    add("--again", action="store_true", help="measure anew what is there already")
    add("--output", type=Path, default=RESULTS / "speed_memory.json")
    add("--table", action="store_true", help="measure nothing, print --output's table")
    return parser


if __name__ == "__main__":
    main()
