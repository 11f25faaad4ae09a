"""Measure every stage against its floor on this machine, and against the plain way.

    python -m benchmarks.speed --data flowers17/train
    python -m benchmarks.speed --stages responses training --sizes birds
    python -m benchmarks.speed --table

The floor is set by the operations and bytes that a stage cannot do without
(`speed_counts`), at the rates that products and copies reach on this machine, timed in
turn with the stage. Each measurement runs in processes of its own and is kept at once:
a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from tqdm import tqdm

from benchmarks.records import RESULTS, plain
from benchmarks.speed.image_stages import BACKBONES
from benchmarks.speed.measurement import describe_machine, measure, measure_machine
from benchmarks.speed.results import (
    find_row,
    put_row,
    read_result,
    start_result,
    write_result,
)
from benchmarks.speed.sizes import DEFAULT_SCALES, SIZES, Size
from benchmarks.speed.table import markdown

STAGES = (
    "machine", "reading", "backbone", "whitening", "responses", "training", "skorch",
    "explanation", "fit", "growth",
)  # fmt: skip
_ON_IMAGES = ("reading", "backbone", "fit")
_BETA = 40.0
_FACTORS = (1, 2, 4, 8)
# One scale more each time; the maps stay as they are.
_SCALES = (*DEFAULT_SCALES, 0.6, 0.75, 0.9)
_GROWN = ("parts", "plain", "plain from cells")
_QUICK = 16
# While this process is idle: threads that wait for one another make a little work of
# others cost much.
_SECONDS_OF_OTHERS, _MOST_BUSY = 1.0, 10.0


def keys(args: argparse.Namespace) -> Iterator[dict]:
    """List what is measured.

    Parameters
    ----------
    args : Namespace
        The command line.

    Yields
    ------
    dict
        The key of each measurement but the machine's own.
    """
    common = {"device": args.device, **({"quick": True} if args.quick else {})}
    for stage in args.stages:
        for key in _of_stage(stage, args):
            yield plain({"stage": stage, **key, **common})


def _of_stage(stage: str, args: argparse.Namespace) -> Iterator[dict]:
    if stage == "reading":
        yield {"data": _name(args.data), "images": args.images}
    elif stage == "backbone":
        for backbone, precision in itertools.product(args.backbones, args.precisions):
            yield {
                "data": _name(args.data),
                "images": args.images,
                "backbone": backbone,
                "precision": precision,
                "parts": 1000,
            }
    elif stage == "fit":
        for shared in (False, True):
            yield {"data": _name(args.data), "shared": shared}
    elif stage == "growth":
        yield from _grown(args)
    elif stage != "machine":
        # Explanations and whitening do not depend on how soft the maximum is.
        betas = (None, _BETA) if stage in ("responses", "training") else (_BETA,)
        for name, components, beta in itertools.product(
            args.sizes, args.components, betas
        ):
            size = _size(name, args)
            if components is not None:
                components = min(components, size.depth)
            size = size.but(components=components)
            yield {"size": name, "beta": beta, **dataclasses.asdict(size)}


def _name(folder: Path) -> str:
    """Name a folder of images without where it is on this machine."""
    return "/".join(folder.resolve().parts[-2:])


def _size(name: str, args: argparse.Namespace) -> Size:
    size = SIZES[name]
    if args.batch is not None:
        size = size.but(images=args.batch)
    if args.quick:
        size = size.but(
            images=min(2, size.images),
            depth=size.depth // _QUICK,
            parts=size.parts // _QUICK,
            classes=max(2, size.classes // _QUICK),
        )
    return size


def _grown(args: argparse.Namespace) -> Iterator[dict]:
    """Grow images, parts and regions of the birds, one at a time."""
    birds = _size("birds", args)
    least = math.ceil(birds.images / max(_FACTORS))
    grown: list[tuple[str, int, Size]] = []
    for factor in _FACTORS:
        grown.append(("images", factor, birds.but(images=least * factor)))
        parts = birds.parts // max(_FACTORS) * factor
        grown.append(("parts", factor, birds.but(parts=parts)))
    for n in range(1, len(_SCALES) + 1):
        grown.append(("regions", n, birds.but(scales=_SCALES[:n])))
    for stage, (axis, factor, size) in itertools.product(
        ("responses", "training"), grown
    ):
        yield {
            "of": stage, "axis": axis, "factor": factor, "size": "birds",
            "beta": _BETA, "ways": _GROWN, **dataclasses.asdict(size),
        }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, keep it, print the tables.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    _check(parser, args)
    if args.table:
        print(markdown(read_result(args.output)))
        return
    if args.quick and args.output.resolve() == parser.get_default("output"):
        parser.error("--quick measures nothing worth keeping: name another --output")
    command = shlex.join(["python", "-m", "benchmarks.speed", *_told(args)])
    result = start_result(args.output, describe_machine(args.device), command)
    with tempfile.TemporaryDirectory() as temporary:
        local = {"memory": str(args.memory or temporary)}
        if args.data is not None:
            local["data"] = str(args.data)
        run(args, result, local)
    print(markdown(result))


def run(args: argparse.Namespace, result: dict, local: dict) -> None:
    """Measure what a result lacks, and write it after each measurement.

    Parameters
    ----------
    args : Namespace
        The command line.
    result : dict
        Changed in place.
    local : dict
        Folders of this machine, as `speed_run.measure` takes them.
    """
    if "machine" in args.stages and (args.again or "machine" not in result):
        result["machine"] = measure_machine(args.device, args.repeats, args.sizes)
        write_result(args.output, result)
    bar = tqdm(list(keys(args)), unit="measurement")
    for key in bar:
        if find_row(result, key) is not None and not args.again:
            continue
        bar.set_description(" ".join([key["stage"], key.get("size", "")]))
        busy = psutil.cpu_percent(_SECONDS_OF_OTHERS)
        if busy > _MOST_BUSY:
            bar.write(f"other processes keep the processor {busy:.0f} % busy")
        row = measure(key, local, args.repeats, not args.no_memory)
        put_row(args.output, result, {**row, "others_busy": busy})


def _told(args: argparse.Namespace) -> Iterator[str]:
    """Yield the command line's words, without folders of this machine."""
    yield from ["--stages", *args.stages, "--sizes", *args.sizes]
    yield from ["--components", *map(str, args.components)]
    yield from ["--backbones", *args.backbones, "--precisions", *args.precisions]
    yield from ["--images", str(args.images), "--repeats", str(args.repeats)]
    if args.batch is not None:
        yield from ["--batch", str(args.batch)]
    yield from ["--device", args.device]
    if args.data is not None:
        yield from ["--data", _name(args.data)]
    if args.no_memory:
        yield "--no-memory"
    if args.quick:
        yield "--quick"


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.repeats < 1 or args.images < 1 or (args.batch or 1) < 1:
        parser.error("--repeats, --images and --batch must be at least 1")
    if args.table:
        return
    needed = [stage for stage in args.stages if stage in _ON_IMAGES]
    if needed and args.data is None:
        parser.error(
            f"{', '.join(needed)} needs images: give --data, or name --stages "
            "without it"
        )
    if args.data is not None and not args.data.is_dir():
        parser.error(f"there is no folder {args.data}")


def _components(text: str) -> int | None:
    return None if text == "None" else int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="class folders of images")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE",
        help=f"of {', '.join(STAGES)} (default: all)")  # fmt: skip
    add("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    add(
        "--components",
        nargs="+",
        type=_components,
        default=[256, None],
        metavar="K",
        help="dimensions after whitening, or None (default: 256 None)",
    )
    add("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    add(
        "--precisions",
        nargs="+",
        choices=("float32", "bfloat16", "float16"),
        default=["float32", "bfloat16"],
    )
    add("--batch", type=int, metavar="N", help="images of the sizes (default: 64)")
    add("--images", type=int, default=128, metavar="N",
        help="that are read or go through networks (default: %(default)s)")  # fmt: skip
    add("--repeats", type=int, default=5, metavar="N",
        help="rounds, of which medians are taken (default: %(default)s)")  # fmt: skip
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--no-memory", action="store_true", help="do not measure peak memory")
    add("--again", action="store_true", help="measure anew what is there already")
    add("--quick", action="store_true", help="tiny sizes, to see that all runs")
    add(
        "--memory", type=Path, metavar="DIR", help="keeps the maps that fits learn from"
    )
    add("--output", type=Path, default=RESULTS / "speed.json")
    add("--table", action="store_true", help="measure nothing, print --output's tables")
    return parser


if __name__ == "__main__":
    main()
