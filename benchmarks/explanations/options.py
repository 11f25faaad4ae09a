"""Options that the benchmarks of explanations share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.recipe import make_experiment
from benchmarks.accuracy.suites import read_changes
from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.explanations.image_sets import MADE, ImageSet, made_images, photographs
from skdpnet.images.framing import CENTER, FRAMINGS, Framing

__all__ = ["add_image_options", "changes_from_defaults", "check_positive", "read_set"]

# Parameters that are the same for all methods, so that --set may not change them.
_SHARED = ("backbone", "image_size", "framing")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for images, seeds, settings and the folder of maps to a parser.

    Parameters
    ----------
    parser : ArgumentParser
    """
    add = parser.add_argument
    add(
        "--data",
        nargs="+",
        metavar="made|DIR",
        help="made: images of make_part_images, whose parts are known; DIR: a folder "
        "with class folders in train and test, or CUB-200-2011 as its owners ship it",
    )
    add(
        "--n-train",
        type=int,
        default=400,
        help="made training images (default: %(default)s)",
    )
    add(
        "--n-test",
        type=int,
        default=200,
        help="made test images (default: %(default)s)",
    )
    add("--image-size", type=int, default=IMAGE_SIZE, metavar="N")
    add(
        "--framing",
        choices=[name for name in FRAMINGS if name != CENTER],
        default=FRAMING,
    )
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="changes from the default settings of DPNetClassifier, as Python "
        "literals; strides and region_scales apply to the other methods too",
    )
    add(
        "--n-perturbed",
        type=int,
        default=40,
        metavar="N",
        help="number of test images that are perturbed (default: %(default)s)",
    )
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")


def check_positive(
    parser: argparse.ArgumentParser, args: argparse.Namespace, names: Sequence[str]
) -> None:
    """Exit with the parser's error if a number is not positive.

    Parameters
    ----------
    parser : ArgumentParser
    args : Namespace
    names : sequence of str
        Names of attributes of `args`.

    Raises
    ------
    SystemExit
        The message names the option.
    """
    for name in names:
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")


def read_set(name: str, args: argparse.Namespace) -> ImageSet:
    """Make or read the images that an argument of ``--data`` names.

    Parameters
    ----------
    name : str
        `MADE`, or a folder.
    args : Namespace
        With the options of `add_image_options`.

    Returns
    -------
    ImageSet

    Raises
    ------
    OSError, ValueError
        As `photographs`.
    """
    framing = Framing(args.image_size, args.framing)
    if name == MADE:
        return made_images(args.n_train, args.n_test, framing)
    return photographs(Path(name), framing)


def changes_from_defaults(texts: list[str]) -> dict:
    """Return the changes of ``--set`` that differ from the defaults.

    Parameters
    ----------
    texts : list of str
        As for `suites.read_changes`.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If a text or a setting is unusable; the message names it.
    """
    changes = dict(read_changes(texts))
    for name in _SHARED:
        if name in changes:
            raise ValueError(f"--set {name}=…: {name} is the same for all methods")
    return make_experiment("parts", changes).changes
