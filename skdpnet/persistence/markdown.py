"""Text from anywhere inside a Markdown page, where it must stay text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code_span", "table"]

_LONGEST = 100


def code_span(value: object) -> str:
    """Write a value as a code span, in which Markdown and HTML mean nothing.

    Parameters
    ----------
    value : object
        Its `str` is shown. Characters that cannot be printed, line ends among them, are
        shown as their escapes, and text beyond 100 characters is cut.

    Returns
    -------
    str
        One line. The span is fenced by more backticks than the text has in a row.
    """
    text = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)[: _LONGEST + 1]
    )
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    if not text.strip():
        # A span of nothing but spaces is no span.
        text = repr(text)
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    # One space at each end, if both are there, is not part of the text.
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{space}{text}{space}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequences of str
        Markdown, without line ends. A bar in it is escaped, as code in a table needs
        it, too.

    Returns
    -------
    str
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )
