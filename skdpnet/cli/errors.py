"""Which exceptions are messages for the user, and which are bugs."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from skdpnet.exceptions import ImageError

__all__ = ["CommandError", "as_message"]

_PACKAGE = Path(__file__).parents[1]
# The number of an item in X, which means nothing to a user who named image files.
_ITEM = re.compile(r"^item \d+ \((['\"].*['\"])\): ")


class CommandError(Exception):
    """A command cannot be carried out; the message says why, and what to do."""


def as_message(error: Exception) -> str | None:
    """Describe an error in one line for the user of the command line.

    The error of several images has a line for each of them besides.

    Messages for the user are those of a `CommandError`, of the operating system, and of
    ``raise`` statements in skdpnet. Any other exception is a bug, for example a
    ValueError that NumPy raised.

    Parameters
    ----------
    error : Exception
        An exception that was raised, with its traceback.

    Returns
    -------
    str or None
        None: the error is a bug, and its traceback should be shown.
    """
    if isinstance(error, ImageError) and len(error.errors) > 1:
        first, *_ = str(error).splitlines()
        lines = [as_message(each) or str(each) for each in error.errors]
        return "\n  ".join([first, *lines])
    if isinstance(error, OSError) and error.strerror:
        prefix = f"{error.filename}: " if error.filename else ""
        text = prefix + error.strerror
    elif isinstance(error, (CommandError, OSError, ImageError)) or _raised_by_skdpnet(
        error
    ):
        # Imported late, with NumPy and Pillow, so that help appears at once.
        from skdpnet.images.conversion import RAISE_LIMIT

        text = str(error).replace(RAISE_LIMIT, "raise --max-megapixels")
    else:
        return None
    return _ITEM.sub(r"\1: ", " ".join(text.splitlines()))


def _raised_by_skdpnet(error: Exception) -> bool:
    """Return whether a ``raise`` statement of this package raised the error."""
    if not isinstance(error, (ValueError, RuntimeError, ImportError)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return False
    in_package = Path(frames[-1].filename).is_relative_to(_PACKAGE)
    return in_package and (frames[-1].line or "").startswith("raise ")
