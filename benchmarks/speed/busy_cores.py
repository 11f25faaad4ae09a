"""Measure a training step alone, and beside processes that keep cores busy.

    python -m benchmarks.speed.busy_cores

Threads with pieces of their own, as `skdpnet.parts.maxima.threads` has them, against
all threads on every operation, in turn, at the birds' size. Prints a Markdown table and
writes JSON.
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
_WAYS = {"pieces of their own": None, "all on each operation": 1}


@contextlib.contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep n cores busy inside the ``with`` block.

    Parameters
    ----------
    n : int
        Processes that count.
    """
    count = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(count) for _ in range(n)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def step_seconds(step: Callable[[], object], n_threads: int | None) -> float:
    """Take one step's time.

    Parameters
    ----------
    step : callable
    n_threads : int or None
        With pieces of their own; None: as the package chooses.

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
    """Measure, print and save.

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
    size, cpu = SIZES["birds"].but(parts=args.parts), torch.device("cpu")
    rows = []
    for kind, beta in _KINDS.items():
        ways = prepare_training(size, {"beta": beta}, cpu).ways
        for name in ("parts", "parts, float32"):
            if name not in ways:
                continue
            way = ways[name]
            way.run()
            for n in args.others:
                seconds: dict[str, list[float]] = {own: [] for own in _WAYS}
                with busy(n):
                    for _ in range(args.repeats):
                        for own, n_threads in _WAYS.items():
                            seconds[own].append(step_seconds(way.run, n_threads))
                rows.append(
                    {"maximum": kind, "dtype": way.dtype, "others": n, **seconds}
                )
    columns = ["maximum", "products", "busy processes", *_WAYS, "ratio"]
    print("| " + " | ".join(columns) + " |")
    print("| --- | --- |" + " ---: |" * (len(columns) - 2))
    for row in rows:
        medians = [statistics.median(row[own]) for own in _WAYS]
        cells = [row["maximum"], row["dtype"], row["others"]]
        told = [f"{one:.3g} s" for one in medians]
        ratio = statistics.median(
            b / a for a, b in zip(*(row[own] for own in _WAYS), strict=True)
        )
        print("| " + " | ".join(map(str, [*cells, *told, f"{ratio:.2g}"])) + " |")
    told_of = {"machine": describe(cpu), "parts": args.parts, "rows": rows}
    args.output.write_text(json.dumps(told_of, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
