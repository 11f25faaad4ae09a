"""The command line of `global_vs_parts`: the data, the backbone and the seeds."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.data.readers import (
    Split,
    read_cub,
    read_folders,
    read_mit67,
    split_folders,
)
from skdpnet.images.framing import FRAMINGS

__all__ = ["Options", "read_options"]


@dataclass(frozen=True)
class Options:
    """The options of the command line, and the splits of the data set.

    Parameters
    ----------
    data, output : Path
        Folders of the data set and of the results.
    memory : Path or None
        Folder of the feature maps.
    layout : {"folders", "cub", "mit67"}
        The layout of `data`.
    backbone : str
        Name of a backbone, as in `FeatureMaps`.
    image_size : int
        Side of the network's input in pixels.
    framing : str
        What the network sees of an image, as in `FeatureMaps`.
    seeds : list of int
    plan : list of (Split, list of int)
        The seeds that each split is used with.
    split_note : str
        The kind of split, in words.
    command : str
        The command line, without the paths of folders on this machine.
    """

    data: Path
    output: Path
    memory: Path | None
    layout: str
    backbone: str
    image_size: int
    framing: str
    seeds: list[int]
    plan: list[tuple[Split, list[int]]]
    split_note: str
    command: str


def read_options(arguments: list[str] | None = None) -> Options:
    """Read the command line, and the lists of images of the data set.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.

    Returns
    -------
    Options

    Raises
    ------
    SystemExit
        If the options or the data set are invalid; the reason is printed on stderr.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    wrong = _wrong_split(args)
    if wrong:
        parser.error(wrong)
    try:
        plan, note = _plan(args)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return Options(
        data=args.data,
        output=args.output,
        memory=args.memory,
        layout=args.layout,
        backbone=args.backbone,
        image_size=args.image_size,
        framing=args.framing,
        seeds=args.seeds,
        plan=plan,
        split_note=note,
        command=_command(args),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.global_vs_parts",
        description=(
            "Compare part descriptors with the global descriptor of the same frozen "
            "backbone. Prints a Markdown table; writes <data>_<backbone>_<size>.json "
            "and .png, with the framing in their names unless it is crop."
        ),
    )
    add = parser.add_argument
    add(
        "--data", required=True, type=Path, metavar="DIR", help="folder of the data set"
    )
    add(
        "--layout",
        choices=("folders", "cub", "mit67"),
        default="folders",
        help="layout of DIR: class folders, or CUB-200-2011 or MIT-67 as their owners "
        "ship them, with their split (default: %(default)s)",
    )
    add("--train", metavar="SUB", help="folder in DIR with the training class folders")
    add("--test", metavar="SUB", help="folder in DIR with the test class folders")
    add(
        "--test-fraction",
        type=float,
        metavar="F",
        help="instead of --train and --test: DIR has the class folders, and this share "
        "of each class, drawn anew with each seed, is the test set",
    )
    add(
        "--backbone",
        default="efficientnet_lite0",
        metavar="NAME",
        help="efficientnet_lite0, efficientnet_lite2, resnet50, vgg19 or timm/<name> "
        "(default: %(default)s)",
    )
    add(
        "--image-size",
        type=int,
        default=IMAGE_SIZE,
        metavar="N",
        help="side in pixels of the square that each image is resized to (default: "
        "%(default)s)",
    )
    add(
        "--framing",
        choices=FRAMINGS,
        default=FRAMING,
        help="what the network sees of an image (default: %(default)s)",
    )
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        metavar="SEED",
        help="random states of the methods, of the folds that choose the SVM's C and, "
        "with --test-fraction, of the split (default: 0 1 2)",
    )
    add(
        "--memory",
        type=Path,
        metavar="DIR",
        help="folder that keeps the feature maps for later runs (default: a temporary "
        "folder)",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder of results")
    return parser


def _wrong_split(args: argparse.Namespace) -> str | None:
    """Return what is wrong with the options of the split; None: nothing."""
    named = [sub for sub in (args.train, args.test) if sub is not None]
    fraction = args.test_fraction
    if args.layout != "folders":
        if named or fraction is not None:
            return (
                f"--layout {args.layout} uses the owners' split: omit --train, --test "
                "and --test-fraction"
            )
    elif len(named) != (2 if fraction is None else 0):
        return "--layout folders needs --train and --test, or --test-fraction alone"
    elif any(Path(sub).is_absolute() for sub in named):
        return "--train and --test name folders inside --data"
    elif fraction is not None and not 0 < fraction < 1:
        return f"--test-fraction must be between 0 and 1, got {fraction:g}"
    return None


def _plan(args: argparse.Namespace) -> tuple[list[tuple[Split, list[int]]], str]:
    """Return the splits with their seeds, and the kind of split in words."""
    if args.layout == "cub":
        return [(read_cub(args.data), args.seeds)], "the owners' split"
    if args.layout == "mit67":
        return [(read_mit67(args.data), args.seeds)], "the owners' split"
    fraction = args.test_fraction
    if fraction is None:
        split = read_folders(args.data, args.train, args.test)
        return [(split, args.seeds)], f"folders {args.train} and {args.test}"
    plan = [(split_folders(args.data, fraction, seed), [seed]) for seed in args.seeds]
    return plan, f"test fraction {fraction:g}, drawn anew with each seed"


def _command(args: argparse.Namespace) -> str:
    words = ["python", "-m", "benchmarks.accuracy.global_vs_parts"]
    words += ["--data", args.data.resolve().name, "--layout", args.layout]
    if args.test_fraction is not None:
        words += ["--test-fraction", str(args.test_fraction)]
    elif args.layout == "folders":
        words += ["--train", args.train, "--test", args.test]
    words += ["--backbone", args.backbone, "--image-size", str(args.image_size)]
    words += ["--framing", args.framing]
    words += ["--seeds", *map(str, args.seeds)]
    return shlex.join([*words, "--output", args.output.resolve().name])
