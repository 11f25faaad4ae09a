"""A file of measurements that grows row by row, all from one machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.records import plain

__all__ = ["find_row", "put_row", "read_result", "start_result", "write_result"]


def read_result(path: Path) -> dict:
    """Read a file of measurements.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        ``environment``, ``commands``, ``rows`` and what else was put there.

    Raises
    ------
    SystemExit
        Where there is none, or it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {path} cannot be read: {error}") from error


def start_result(path: Path, environment: dict, command: str) -> dict:
    """Begin a file of measurements, or go on with one.

    Parameters
    ----------
    path : Path
        Need not be there.
    environment : dict
        The machine and its versions.
    command : str
        What measures from now on.

    Returns
    -------
    dict

    Raises
    ------
    SystemExit
        Where the file's measurements are of another machine or of other versions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    now = plain(environment)
    if not path.is_file():
        return {"environment": now, "commands": [command], "rows": []}
    result = read_result(path)
    then = result["environment"]
    other = [k for k in now.keys() | then.keys() if now.get(k) != then.get(k)]
    if other:
        raise SystemExit(
            f"error: {path} was measured with another {', '.join(sorted(other))}; "
            "name another --output"
        )
    if command not in result["commands"]:
        result["commands"].append(command)
    return result


def find_row(result: dict, key: dict) -> dict | None:
    """Find the measurement of a key; None where there is none."""
    return next((row for row in result["rows"] if row["key"] == plain(key)), None)


def put_row(path: Path, result: dict, row: dict) -> None:
    """Put a measurement in the place of an earlier one of its key, and write all.

    Parameters
    ----------
    path : Path
    result : dict
        Changed in place.
    row : dict
        With its ``key``.
    """
    row = plain(row)
    others = [own for own in result["rows"] if own["key"] != row["key"]]
    result["rows"] = [*others, row]
    write_result(path, result)


def write_result(path: Path, result: dict) -> None:
    """Write a file whole, or not at all: a run may be stopped at any time."""
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
