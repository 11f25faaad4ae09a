"""Options that several commands have, and the types of the options' values."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = [
    "add_command",
    "add_common_options",
    "fraction",
    "large_images_allowed",
    "weight",
    "whole_number",
]


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str, details: str
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
        Printed unchanged at the end of the command's help.

    Returns
    -------
    argparse.ArgumentParser
        The parser of the command.
    """
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
        help="cpu, cuda, ... (default: a GPU if there is one)",
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
