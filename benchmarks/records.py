"""Measurements kept as lines of JSON, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "append_line", "has_line", "plain", "read_lines", "resume"]

# Folder of the committed results, wherever a benchmark is run from.
RESULTS = Path(__file__).resolve().parent / "results"


def plain(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples become lists.

    Parameters
    ----------
    value : anything that JSON can write

    Returns
    -------
    value
    """
    return json.loads(json.dumps(value))


def read_lines(path: Path) -> list[dict]:
    """Read the measurements of a file.

    Parameters
    ----------
    path : Path
        A file that is not there holds none. A last line without an end is what a run
        was writing when it was killed, and passed over.

    Returns
    -------
    list of dict

    Raises
    ------
    SystemExit
        Names the first line that is no JSON object.
    """
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    lines = []
    for number, text in enumerate(whole, 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise SystemExit(f"error: line {number} of {path} is no JSON object")
        lines.append(line)
    return lines


def append_line(path: Path, line: dict) -> None:
    """Add a measurement at the end of a file.

    Parameters
    ----------
    path : Path
        In a folder that is there.
    line : dict
    """
    with path.open("a", encoding="utf-8") as file:
        # In one piece: two runs may write to the same file.
        file.write(json.dumps(line) + "\n")


def has_line(lines: list[dict], key: dict) -> bool:
    """Tell whether a measurement is there.

    Parameters
    ----------
    lines : list of dict
    key : dict
        What tells it from others.

    Returns
    -------
    bool
    """
    key = plain(key)
    return any(all(line.get(k) == key[k] for k in key) for line in lines)


def resume(path: Path, settings_now: Callable[[dict], dict]) -> list[dict]:
    """Make a file ready for more measurements, and read those it has.

    A last line without an end is cut off, lest the next one be written behind it; the
    folder is made where it is missing. Lines measured with other settings than they
    would be now are refused: defaults that have changed since would otherwise be
    compared with new ones under the same name.

    Parameters
    ----------
    path : Path
        Need not be there.
    settings_now : callable
        Line -> the settings that it would be measured with now.

    Returns
    -------
    list of dict

    Raises
    ------
    SystemExit
        Names the first line that cannot be used, and why.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        with path.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        now, then = plain(settings_now(line)), line["settings"]
        names = sorted(now.keys() | then.keys())
        other = [k for k in names if k not in now or k not in then or now[k] != then[k]]
        if other:
            raise SystemExit(
                f"error: line {number} of {path} was measured with other defaults of "
                f"{', '.join(other)} than there are now; name another --output"
            )
    return lines
