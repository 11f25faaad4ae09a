"""Which exceptions are sentences for the user, and which are bugs."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

__all__ = ["CommandError", "as_sentence"]

_PACKAGE = Path(__file__).parents[1]
# An item's number says nothing where images are named on a command line.
_ITEM = re.compile(r"^item \d+ \((['\"].*['\"])\): ")


class CommandError(Exception):
    """A command cannot be carried out; the message says why and what to do."""


def as_sentence(error: Exception) -> str | None:
    """Put an error in one line for the user of the command line.

    A sentence for the user is a `CommandError`, what the operating system says, and
    what a ``raise`` statement in skdpnet says. All else that goes wrong, NumPy's
    ValueErrors among it, is a bug.

    Parameters
    ----------
    error : Exception
        With its traceback.

    Returns
    -------
    str or None
        None: the error is a bug, whose traceback is wanted.
    """
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        text = named + error.strerror
    elif isinstance(error, (CommandError, OSError)) or _is_ours(error):
        text = str(error)
    else:
        return None
    return _ITEM.sub(r"\1: ", " ".join(text.splitlines()))


def _is_ours(error: Exception) -> bool:
    if not isinstance(error, (ValueError, RuntimeError, ImportError)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    within = Path(frames[-1].filename).is_relative_to(_PACKAGE)
    return within and (frames[-1].line or "").startswith("raise ")
