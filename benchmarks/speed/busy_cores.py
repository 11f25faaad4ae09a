"""Measure a training step alone, and while other processes keep cores busy.

    python -m benchmarks.speed.busy_cores

Either each thread works on separate images, as `skdpnet.parts.maxima.threads` arranges
it, or all threads share each operation. Both are timed in turn, at the size of the
birds. Prints a Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from benchmarks.speed.map_stages import prepare_training
from benchmarks.speed.sizes import SIZES

_KINDS = {"hard": None, "soft (β = 40)": 40.0}
_MODES = {"pieces of their own": None, "all on each operation": 1}


@contextlib.contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep n cores busy inside the ``with`` block.

    Parameters
    ----------
    n : int
        Number of busy processes.
    """
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def step_seconds(step: Callable[[], object], n_threads: int | None) -> float:
    """Measure the seconds of a step.

    Parameters
    ----------
    step : callable
        It takes no arguments.
    n_threads : int or None
        Number of threads that work on separate images; None: the package's choice.

    Returns
    -------
    float
    """
    fixed = patch(
        "skdpnet.parts.maxima.autograd.available_threads", lambda device: n_threads
    )
    with fixed if n_threads else contextlib.nullcontext():
        start = time.perf_counter()
        step()
        return time.perf_counter() - start


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
    parser.add_argument("--others", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--parts", type=int, default=SIZES["birds"].parts)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "speed_busy.json")
    args = parser.parse_args(arguments)
    size, cpu = SIZES["birds"].replace(parts=args.parts), torch.device("cpu")
    rows = []
    for kind, beta in _KINDS.items():
        ways = prepare_training(size, {"beta": beta}, cpu).ways
        for name in ("parts", "parts, float32"):
            if name not in ways:
                continue
            way = ways[name]
            way.run()
            for n in args.others:
                seconds: dict[str, list[float]] = {mode: [] for mode in _MODES}
                with busy(n):
                    for _ in range(args.repeats):
                        for mode, n_threads in _MODES.items():
                            seconds[mode].append(step_seconds(way.run, n_threads))
                rows.append(
                    {"maximum": kind, "dtype": way.dtype, "others": n, **seconds}
                )
    columns = ["maximum", "products", "busy processes", *_MODES, "ratio"]
    print("| " + " | ".join(columns) + " |")
    print("| --- | --- |" + " ---: |" * (len(columns) - 2))
    for row in rows:
        medians = [f"{statistics.median(row[mode]):.3g} s" for mode in _MODES]
        cells = [row["maximum"], row["dtype"], row["others"]]
        ratio = statistics.median(
            b / a for a, b in zip(*(row[mode] for mode in _MODES), strict=True)
        )
        print("| " + " | ".join(map(str, [*cells, *medians, f"{ratio:.2g}"])) + " |")
    result = {"machine": describe(cpu), "parts": args.parts, "rows": rows}
    args.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
