"""Options that several commands have, and the kinds of values options take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

__all__ = ["add_command", "add_common_options", "fraction", "weight", "whole"]


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str, details: str
) -> argparse.ArgumentParser:
    """Add a command.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` gave
    name : str
    help : str
        One line.
    details : str
        Shown at the end of the command's help, as it is.

    Returns
    -------
    argparse.ArgumentParser
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
    """Add the options of all commands that use a model.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    """
    parser.add_argument(
        "--memory",
        metavar="DIR",
        help="folder that keeps feature maps from one command to the next, so that no "
        "image goes through the network twice",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="cpu, cuda, ...; default: a GPU where there is one",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document instead of text"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress bars and no notes"
    )


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Make the kind of an option that takes whole numbers.

    Parameters
    ----------
    least : int
    most : int, default=None
        None: no bound.

    Returns
    -------
    callable, str -> int
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
    """Convert a weight: a number of at least 0.

    Parameters
    ----------
    text : str

    Returns
    -------
    float
    """
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a number of at least 0, got {text!r}"
        )
    return value


def fraction(text: str) -> float:
    """Convert a share that leaves something: at least 0 and below 1.

    Parameters
    ----------
    text : str

    Returns
    -------
    float
    """
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"must be at least 0 and below 1, got {text!r}"
        )
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
