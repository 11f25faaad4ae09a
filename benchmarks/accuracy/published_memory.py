"""Measure the time and the peak memory of a published pipeline's encoder.

    python -m benchmarks.accuracy.published_memory --data data/scene15
    python -m benchmarks.accuracy.published_memory --table

For each number of images, a new process learns the vocabulary from them and encodes
them, from the image files and without a cache, so that each image is described twice.
What is in memory should grow by the encodings alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.published_methods import FRAMING, IMAGE_SIZE, PIPELINES
from benchmarks.data.readers import read_folders
from benchmarks.environment import environment
from benchmarks.records import RESULTS, append_line, has_line, read_lines
from benchmarks.speed.timing import in_fresh_process, status_bytes

__all__ = ["main", "markdown", "measure"]

_FILE = RESULTS / "published_memory.jsonl"


def measure(name: str, paths: list[str], extraction: dict[str, Any]) -> dict:
    """Learn the vocabulary of a pipeline from images, and encode them.

    Parameters
    ----------
    name : str
        Key of `PIPELINES`.
    paths : list of str
    extraction : dict
        Parameters of the maps.

    Returns
    -------
    dict
        ``fit_seconds`` and ``transform_seconds``, of the processor; ``start_bytes``,
        ``fit_bytes`` and ``peak_bytes``, the most memory of the process before the
        fit, until its end, and in all; ``encoding_bytes``.
    """
    before = status_bytes("VmHWM")
    encoder = PIPELINES[name].estimator(0, **extraction)
    start = time.process_time()
    encoder.fit(paths)
    fitted, fit_bytes = time.process_time(), status_bytes("VmHWM")
    encodings = encoder.transform(paths)
    return {
        "fit_seconds": fitted - start,
        "transform_seconds": time.process_time() - fitted,
        "start_bytes": before,
        "fit_bytes": fit_bytes,
        "peak_bytes": status_bytes("VmHWM"),
        "encoding_bytes": encodings.nbytes,
    }


def markdown(lines: list[dict]) -> str:
    """Return measurements as a Markdown table.

    Parameters
    ----------
    lines : list of dict

    Returns
    -------
    str
    """
    rows = [
        "| pipeline | images | fit, CPU ms an image | encoding, CPU ms an image "
        "| encodings, MB | peak of the fit, MB | peak, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        n = line["n_images"]
        milliseconds = [
            1000 * line[f"{part}_seconds"] / n for part in ("fit", "transform")
        ]
        megabytes = [
            line[f"{part}_bytes"] / 1e6 for part in ("encoding", "fit", "peak")
        ]
        numbers = [f"{n:,}", *(f"{x:.0f}" for x in (*milliseconds, *megabytes))]
        rows.append(f"| {line['pipeline']} | {' | '.join(numbers)} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the file of results lacks, or print its table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.published_memory",
        description=__doc__.splitlines()[0],
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of train and test")
    add("--pipelines", nargs="+", choices=PIPELINES, default=["200 words, pyramid"],
        metavar="NAME")  # fmt: skip
    add("--images", type=int, nargs="+", default=[500, 2000, 4485], metavar="N")
    add("--image-size", type=int, default=IMAGE_SIZE, metavar="N")
    add("--output", type=Path, default=_FILE, metavar="JSONL")
    add("--table", type=Path, nargs="?", metavar="JSONL", const=_FILE)
    args = parser.parse_args(arguments)
    if args.table:
        print(markdown(read_lines(args.table)))
        return
    if not args.data:
        parser.error("name --data, or --table")
    split = read_folders(args.data, "train", "test")
    paths = np.array(split.train_paths + split.test_paths)
    extraction = {"image_size": args.image_size, "framing": FRAMING}
    for name in args.pipelines:
        for n in args.images:
            key = {"pipeline": name, "n_images": n, **extraction}
            if has_line(read_lines(args.output), key):
                continue
            # Of all classes and shapes alike.
            rows = np.linspace(0, len(paths), n, endpoint=False).astype(int)
            line = in_fresh_process(measure, name, paths[rows].tolist(), extraction)
            append_line(args.output, {**key, **line, "environment": environment()})


if __name__ == "__main__":
    main()
