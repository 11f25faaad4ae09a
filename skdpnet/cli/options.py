"""Options that several commands have, and the types of the options' values."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from skdpnet.images.framing import AUTO, FRAMINGS

__all__ = [
    "add_command",
    "add_common_options",
    "add_folder_option",
    "add_learning_options",
    "fraction",
    "large_images_allowed",
    "program_name",
    "weight",
    "whole_number",
]

_LARGEST_SEED = 2**32 - 1


def program_name() -> str:
    """Return how the user calls this program, as a command line starts with it."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    return "skdpnet" if name == "skdpnet" else "python -m skdpnet"


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    help: str,
    details: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    name : str
    help : str
        A single line.
    details : str
        Printed unchanged after that line in the command's help.
    examples : str
        Command lines without the program's name, printed at the end of the help.

    Returns
    -------
    argparse.ArgumentParser
        The parser of the command.
    """
    lines = [f"  {program_name()} {line}" for line in examples.splitlines()]
    return commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.\n\n{details}",
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_folder_option(parser: argparse.ArgumentParser) -> None:
    """Add the folder of class folders.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument(
        "images",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder with a folder for each class",
    )


def add_learning_options(
    parser: argparse.ArgumentParser, *, may_learn_all: bool
) -> None:
    """Add the options of commands that learn: the split and the feature maps.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    may_learn_all : bool
        Whether no image need be held out.
    """
    parser.add_argument(
        "--test-fraction",
        type=fraction,
        default=0.2,
        metavar="SHARE",
        help="share of each class that is held out for testing"
        + ("; 0 learns from all images" if may_learn_all else "")
        + " (default: 0.2)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, _LARGEST_SEED),
        default=0,
        metavar="N",
        help="random seed of the held-out images and of learning (default: 0)",
    )
    parser.add_argument(
        "--image-size",
        type=whole_number(8),
        metavar="PIXELS",
        help="side of the square that images are resized to, or the short side for the "
        "framing aspect (default: the network's usual size, 288 for "
        "efficientnet_lite0, 320 for efficientnet_lite2)",
    )
    parser.add_argument(
        "--framing",
        choices=(AUTO, *FRAMINGS),
        default=AUTO,
        metavar="NAME",
        help="what the network sees of an image: its centred square (crop), or all of "
        "it, distorted to the square (squash), with margins (pad), or at its own "
        "aspect (aspect), or what the network's library shows it (center); auto "
        "(default) is aspect where the network takes images of any shape, and crop "
        "elsewhere",
    )
    parser.add_argument(
        "--backbone",
        default="efficientnet_lite0",
        metavar="NAME",
        help="network: efficientnet_lite0 (default), efficientnet_lite2 (of the extra "
        "skdpnet[lite2]), resnet50, vgg19 or timm/NAME",
    )
    parser.add_argument(
        "--weights",
        type=os.path.expanduser,
        metavar="FILE",
        help="file with weights of the network (.pth or .safetensors), in place of "
        "those that come with it or are downloaded",
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands with a model have.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument(
        "--memory",
        metavar="DIR",
        help="folder that stores feature maps for later commands, so that no image "
        "goes through the network twice",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="device that computes: cpu, cuda, ... (default: a GPU if there is one)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=whole_number(1),
        metavar="N",
        help="refuse images of more than N million pixels, which take some 10 N MB of "
        "memory (default: 178)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON document instead of text"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print no progress bars and no notes"
    )


@contextmanager
def large_images_allowed(args: argparse.Namespace) -> Iterator[None]:
    """Let Pillow open images of the size that ``--max-megapixels`` allows.

    Parameters
    ----------
    args : argparse.Namespace
        Of any command; those without images do not have the option.
    """
    if not hasattr(args, "max_megapixels"):
        yield
        return
    from PIL import Image

    # Pillow warns of images above its limit, which the user has named, and refuses
    # those of more than twice its limit.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    before = Image.MAX_IMAGE_PIXELS
    if args.max_megapixels is not None:
        Image.MAX_IMAGE_PIXELS = 500_000 * args.max_megapixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Make the type of an option that takes whole numbers.

    `skdpnet.utils.validation.check_whole` is the same for values that are no text; it
    is not used here because importing scikit-learn would delay usage errors.

    Parameters
    ----------
    least : int
    most : int, default=None
        The largest number that is allowed; None: there is no such bound.

    Returns
    -------
    callable, str -> int
        Raises `argparse.ArgumentTypeError` for any other text.
    """

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            upper = "" if most is None else f" and at most {most}"
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}{upper}, got {text!r}"
            )
        return value

    return convert


def weight(text: str) -> float:
    """Convert the weight of a penalty, a finite number of at least 0.

    Parameters
    ----------
    text : str

    Returns
    -------
    float

    Raises
    ------
    argparse.ArgumentTypeError
    """
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a number of at least 0, got {text!r}"
        )
    return value


def fraction(text: str) -> float:
    """Convert a share of at least 0 and below 1.

    Parameters
    ----------
    text : str

    Returns
    -------
    float

    Raises
    ------
    argparse.ArgumentTypeError
    """
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"must be at least 0 and below 1, got {text!r}"
        )
    return value


def _number(text: str) -> float:
    """Convert a text to a number; NaN, which no range includes, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
