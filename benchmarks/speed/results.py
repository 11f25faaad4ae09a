"""The JSON file of measurements on one machine, which grows row by row."""

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
        ``environment``, ``commands``, ``rows``, and perhaps ``machine``.

    Raises
    ------
    SystemExit
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {path} cannot be read: {error}") from error


def start_result(path: Path, environment: dict, command: str) -> dict:
    """Return the content of a new file of measurements, or of one to continue.

    Parameters
    ----------
    path : Path
        The file may be missing.
    environment : dict
        The machine and its software.
    command : str
        The command line of this run, which is added to ``commands``.

    Returns
    -------
    dict

    Raises
    ------
    SystemExit
        If the file has measurements of another machine or with other software.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    now = plain(environment)
    if not path.is_file():
        return {"environment": now, "commands": [command], "rows": []}
    result = read_result(path)
    then = result["environment"]
    changed = [k for k in now.keys() | then.keys() if now.get(k) != then.get(k)]
    if changed:
        raise SystemExit(
            f"error: {path} was measured with another {', '.join(sorted(changed))}; "
            "name another --output"
        )
    if command not in result["commands"]:
        result["commands"].append(command)
    return result


def find_row(result: dict, key: dict) -> dict | None:
    """Return the measurement with a key, or None."""
    return next((row for row in result["rows"] if row["key"] == plain(key)), None)


def put_row(path: Path, result: dict, row: dict) -> None:
    """Add a measurement, or replace that of the same key, and write the file.

    Parameters
    ----------
    path : Path
    result : dict
        Content of the file; changed in place.
    row : dict
        The measurement; its ``key`` identifies it.
    """
    row = plain(row)
    others = [other for other in result["rows"] if other["key"] != row["key"]]
    result["rows"] = [*others, row]
    write_result(path, result)


def write_result(path: Path, result: dict) -> None:
    """Write the file completely or not at all, since a run may be stopped."""
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
