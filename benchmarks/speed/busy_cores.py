"""Measure maps and a fit alone, and beside processes that keep cores busy.

    python -m benchmarks.speed.busy_cores

With c cores, t threads and b busy processes of one thread, each thread gets at most
c / (t + b) of a core, so that everything takes at least (t + b) / c times as long as
alone, where this is above 1. What takes still longer waits: all threads wait for one
that does not run. Prints a Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from benchmarks.speed.sizes import SIZES, make_inputs
from benchmarks.speed.timing import median_ratio
from skdpnet import DPNetClassifier, FeatureMaps

_SIDE = 288
_BUSY = """
import torch
torch.set_num_threads(1)
x = torch.rand(512, 512)
print("busy", flush=True)
while True:
    x @ x
"""


@contextlib.contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep n cores busy inside the ``with`` block, with products in one thread each.

    Parameters
    ----------
    n : int
        Number of busy processes.
    """
    command = [sys.executable, "-c", _BUSY]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(n)
    ]
    try:
        for process in processes:
            # Loading torch takes seconds, in which it is not busy yet.
            process.stdout.readline()
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def explained_ratio(n_cores: int, n_threads: int, n_busy: int) -> float:
    """Return how many times as long the share of the processor makes a computation.

    Parameters
    ----------
    n_cores, n_threads : int
        Cores of the machine, and threads of the computation.
    n_busy : int
        Number of busy processes beside it.

    Returns
    -------
    float
    """
    return max(1.0, (n_threads + n_busy) / n_cores)


def prepare(n_images: int) -> dict[str, Callable[[], object]]:
    """Prepare the maps of images in memory, and a fit on maps.

    Parameters
    ----------
    n_images : int

    Returns
    -------
    dict of str to callable
    """
    shape = n_images, _SIDE, _SIDE, 3
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    extractor = FeatureMaps(device="cpu").fit(images)
    flowers = SIZES["flowers"].replace(images=n_images)
    maps, labels = make_inputs(flowers).maps, np.arange(n_images) % flowers.classes
    model = DPNetClassifier(
        "precomputed", region_scales=flowers.scales, device="cpu", random_state=0
    )
    return {
        "maps": lambda: extractor.transform(images),
        "fit": lambda: model.fit(maps, labels),
    }


def measure(n_images: int, others: list[int], repeats: int) -> list[dict]:
    """Measure each computation alone and beside busy processes, in turn.

    Parameters
    ----------
    n_images : int
    others : list of int
        Numbers of busy processes.
    repeats : int
        Number of rounds.

    Returns
    -------
    list of dict
        ``what``, ``others``, ``seconds`` of each round, ``ratio`` to those alone, and
        what the share of the processor explains of it, ``explained``.
    """
    runs, numbers = prepare(n_images), [0, *others]
    for run in runs.values():
        # Libraries allocate some memory only once.
        run()
    seconds: dict[str, dict[int, list[float]]] = {
        what: {n: [] for n in numbers} for what in runs
    }
    for _ in range(repeats):
        for n in numbers:
            with busy(n):
                for what, run in runs.items():
                    start = time.perf_counter()
                    run()
                    seconds[what][n].append(time.perf_counter() - start)
    n_cores, n_threads = os.cpu_count() or 1, torch.get_num_threads()
    return [
        {
            "what": what,
            "others": n,
            "seconds": seconds[what][n],
            "ratio": median_ratio(seconds[what][n], seconds[what][0]),
            "explained": explained_ratio(n_cores, n_threads, n),
        }
        for what in runs
        for n in numbers
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write the results.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.busy_cores",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--others", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed_busy.json")
    args = parser.parse_args(arguments)
    rows = measure(args.images, args.others, args.repeats)
    columns = [
        "computation",
        "busy processes",
        "seconds",
        "ratio to alone",
        "explained",
    ]
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    for row in rows:
        numbers = statistics.median(row["seconds"]), row["ratio"], row["explained"]
        cells = [row["what"], str(row["others"]), *(f"{x:.2f}" for x in numbers)]
        print("| " + " | ".join(cells) + " |")
    machine = describe(torch.device("cpu"))
    result = {"machine": machine, "images": args.images, "rows": rows}
    text = json.dumps(result, indent=1, ensure_ascii=False)
    args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
