"""Measurements as lines of JSON, so that a stopped run continues where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = [
    "RESULTS",
    "append_line",
    "has_line",
    "pixels_of",
    "plain",
    "read_lines",
    "resume",
]

# Folder of the committed results, wherever a benchmark is run from.
RESULTS = Path(__file__).resolve().parent / "results"


def plain(value: Any) -> Any:
    """Return a value as JSON reads it back: tuples become lists.

    Parameters
    ----------
    value : object
        What JSON can write.

    Returns
    -------
    object
    """
    return json.loads(json.dumps(value))


def read_lines(path: Path) -> list[dict]:
    """Read the measurements of a file.

    Parameters
    ----------
    path : Path
        A missing file has no measurements. A last line without a line break is
        ignored: the run was killed while writing it.

    Returns
    -------
    list of dict

    Raises
    ------
    SystemExit
        If a line is not a JSON object; the message names the first such line.
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


def pixels_of(line: dict) -> str:
    """Return the size at which the network saw images, and their framing, in words.

    Parameters
    ----------
    line : dict
        With ``image_size``, and ``framing`` unless it is "crop".

    Returns
    -------
    str
    """
    size, framing = line["image_size"], line.get("framing", "crop")
    pixels = f"{size} × {size} pixels"
    return pixels if framing == "crop" else f"{pixels} (framing {framing})"


def append_line(path: Path, line: dict) -> None:
    """Add a measurement at the end of a file.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    line : dict
    """
    with path.open("a", encoding="utf-8") as file:
        # One call of write, since two runs may write to the same file.
        file.write(json.dumps(line) + "\n")


def has_line(lines: list[dict], key: dict) -> bool:
    """Return whether a measurement is among the lines.

    Parameters
    ----------
    lines : list of dict
    key : dict
        The entries that identify the measurement.

    Returns
    -------
    bool
    """
    key = plain(key)
    return any(all(line.get(k) == key[k] for k in key) for line in lines)


def resume(path: Path, settings_now: Callable[[dict], dict]) -> list[dict]:
    """Prepare a file for more measurements, and read those that it has.

    A last line without a line break is removed, so that the next measurement does not
    continue it. A missing folder is created. A file is refused where a line was
    measured with other defaults than the present ones, since old and new measurements
    would have the same name in a table.

    Parameters
    ----------
    path : Path
        The file may be missing.
    settings_now : callable
        Takes a line, and returns the settings that it would be measured with now.

    Returns
    -------
    list of dict

    Raises
    ------
    SystemExit
        If a line cannot be used; the message names the first such line, and says why.
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
