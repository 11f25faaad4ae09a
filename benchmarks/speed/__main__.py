"""Measure the time and memory of each stage, against its floor and plain code.

    python -m benchmarks.speed --data flowers17/train
    python -m benchmarks.speed --stages responses training --sizes birds
    python -m benchmarks.speed --table

The floor is the time that the operations and bytes which a stage cannot do without
(`counts`) take at the rates of products and copies on this machine. These rates are
timed in turn with the stage. Each measurement runs in new processes and is written at
once, so that a stopped run continues where it stopped.
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
from benchmarks.speed.sizes import SIZES, THREE_SCALES, Size
from benchmarks.speed.table import markdown

STAGES = (
    "machine", "reading", "backbone", "whitening", "responses", "training", "skorch",
    "explanation", "fit", "growth",
)  # fmt: skip
_ON_IMAGES = ("reading", "backbone", "fit")
_BETA = 40.0
_FACTORS = (1, 2, 4, 8)
# The number of regions grows by a scale at a time, on the same maps.
_SCALES = (*THREE_SCALES, 0.6, 0.75, 0.9)
_GROWN = ("parts", "plain", "plain from regions")
_QUICK = 16
# Seconds for which the work of other processes is watched before a measurement, and the
# share in % above which a warning is printed. Threads wait for the slowest of them, so
# even little work of other processes slows them down much.
_SECONDS_OF_OTHERS, _MOST_BUSY = 1.0, 10.0


def measurement_keys(args: argparse.Namespace) -> Iterator[dict]:
    """Yield the keys of the measurements that the command line asks for.

    Parameters
    ----------
    args : Namespace
        The command line.

    Yields
    ------
    dict
        The key of a measurement, for all stages but the machine.
    """
    common = {"device": args.device, **({"quick": True} if args.quick else {})}
    for stage in args.stages:
        for key in _stage_keys(stage, args):
            yield plain({"stage": stage, **key, **common})


def _stage_keys(stage: str, args: argparse.Namespace) -> Iterator[dict]:
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
        yield from _growth_keys(args)
    elif stage != "machine":
        # Explanations and whitening do not depend on β.
        betas = (None, _BETA) if stage in ("responses", "training") else (_BETA,)
        for name, components, beta in itertools.product(
            args.sizes, args.components, betas
        ):
            size = _size(name, args)
            if components is not None:
                components = min(components, size.depth)
            size = size.replace(components=components)
            yield {"size": name, "beta": beta, **dataclasses.asdict(size)}


def _name(folder: Path) -> str:
    """Return the name of a folder of images without its path on this machine."""
    return "/".join(folder.resolve().parts[-2:])


def _size(name: str, args: argparse.Namespace) -> Size:
    size = SIZES[name]
    if args.batch is not None:
        size = size.replace(images=args.batch)
    if args.quick:
        size = size.replace(
            images=min(2, size.images),
            depth=size.depth // _QUICK,
            parts=size.parts // _QUICK,
            classes=max(2, size.classes // _QUICK),
        )
    return size


def _growth_keys(args: argparse.Namespace) -> Iterator[dict]:
    """Yield keys where only the number of images, of parts or of regions grows."""
    birds = _size("birds", args)
    least = math.ceil(birds.images / max(_FACTORS))
    sizes: list[tuple[str, int, Size]] = []
    for factor in _FACTORS:
        sizes.append(("images", factor, birds.replace(images=least * factor)))
        parts = birds.parts // max(_FACTORS) * factor
        sizes.append(("parts", factor, birds.replace(parts=parts)))
    for n in range(1, len(_SCALES) + 1):
        sizes.append(("regions", n, birds.replace(scales=_SCALES[:n])))
    for stage, (axis, factor, size) in itertools.product(
        ("responses", "training"), sizes
    ):
        yield {
            "of": stage, "axis": axis, "factor": factor, "size": "birds",
            "beta": _BETA, "ways": _GROWN, **dataclasses.asdict(size),
        }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure what the output file lacks, and print the tables.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = _with_defaults(parser.parse_args(arguments))
    _check(parser, args)
    if args.table:
        print(markdown(read_result(args.output)))
        return
    if args.quick and args.output.parent == RESULTS.resolve():
        parser.error("--quick would replace real measurements: name another --output")
    command = shlex.join(["python", "-m", "benchmarks.speed", *_command_words(args)])
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
        Content of the output file; changed in place.
    local : dict
        Folders on this machine, as in `measurement.measure`.
    """
    if "machine" in args.stages and (args.again or "machine" not in result):
        result["machine"] = measure_machine(args.device, args.repeats, args.sizes)
        write_result(args.output, result)
    bar = tqdm(list(measurement_keys(args)), unit="measurement")
    for key in bar:
        if find_row(result, key) is not None and not args.again:
            continue
        bar.set_description(" ".join([key["stage"], key.get("size", "")]))
        busy = psutil.cpu_percent(_SECONDS_OF_OTHERS)
        if busy > _MOST_BUSY:
            bar.write(f"other processes keep the processor {busy:.0f} % busy")
        row = measure(key, local, args.repeats, not args.no_memory)
        put_row(args.output, result, {**row, "others_busy": busy})


def _command_words(args: argparse.Namespace) -> Iterator[str]:
    """Yield the words of the command line, without paths of folders on this machine."""
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
            f"{', '.join(needed)} needs images: give --data, or choose other --stages"
        )
    if args.data is not None and not args.data.is_dir():
        parser.error(f"there is no folder {args.data}")


def _with_defaults(args: argparse.Namespace) -> argparse.Namespace:
    """Set what depends on the device, where the command line does not say it."""
    kind = args.device.partition(":")[0]
    if args.precisions is None:
        half = "bfloat16" if kind == "cpu" else "float16"
        args.precisions = ["float32", half]
    if args.output is None:
        name = "speed.json" if kind == "cpu" else f"speed_{kind}.json"
        args.output = RESULTS / name
    args.output = args.output.resolve()
    return args


def _components(text: str) -> int | None:
    return None if text == "None" else int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="class folders of images")
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE",
        help=f"any of {', '.join(STAGES)} (default: all)")  # fmt: skip
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
        help="default: float32, and bfloat16 on a CPU, float16 on a GPU",
    )
    add("--batch", type=int, metavar="N", help="images per batch (default: 64)")
    add("--images", type=int, default=128, metavar="N",
        help="images for reading and backbone (default: %(default)s)")  # fmt: skip
    add("--repeats", type=int, default=5, metavar="N",
        help="rounds, whose median is reported (default: %(default)s)")  # fmt: skip
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--no-memory", action="store_true", help="do not measure peak memory")
    add("--again", action="store_true", help="repeat earlier measurements")
    add("--quick", action="store_true", help="tiny sizes, to test the benchmark")
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--output", type=Path, help="default: results/speed.json, or speed_cuda.json")
    add("--table", action="store_true", help="only print the tables of --output")
    return parser


if __name__ == "__main__":
    main()
