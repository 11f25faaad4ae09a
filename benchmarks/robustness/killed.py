"""Kill processes at random moments, and judge what they leave.

    python -m benchmarks.robustness.killed --kills 100 --seed 0
    python -m benchmarks.robustness.killed --table

For each kind of work, two processes do it at the same time in a new folder, and both
are killed (SIGKILL) after a random share of the time that it takes undisturbed. Then
every file is read and compared with those of undisturbed work; a third process does the
work once more, and its result and files are compared as well. The exit status is 1 if
anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import pickle
import shlex
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch

from benchmarks.environment import environment
from benchmarks.records import RESULTS
from benchmarks.robustness.writers import TEMPORARY, WRITERS, Writer, state_of
from skdpnet.storage.atomic_write import replace_file, target_file

# A process that takes longer waits for something that does not come.
_MOST_SECONDS = 60
_FAULTS = ("wrong", "half_written", "lost", "left_over", "failed_runs")
_COLUMNS = (
    "work", "kills", "at_work", "written", "temporary", *_FAULTS, "seconds",
)  # fmt: skip
_FORK = multiprocessing.get_context("fork")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="kills of each work")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--work", nargs="+", choices=WRITERS, default=list(WRITERS))
    parser.add_argument("--output", type=Path, default=RESULTS / "killed.json")
    parser.add_argument("--table", action="store_true", help="print the results")
    args = parser.parse_args()
    if args.table:
        print(table(_rows(args.output)))
        return
    torch.set_num_threads(1)
    options = shlex.join(sys.argv[1:])
    command = f"python -m benchmarks.robustness.killed {options}".strip()
    for name in args.work:
        row = {**measure(name, args.kills, args.seed), "command": command}
        print(row, flush=True)
        _put(args.output, row)
    rows = _rows(args.output)
    print(table(rows))
    if any(row[fault] for row in rows for fault in _FAULTS):
        raise SystemExit(1)


def _rows(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def _put(path: Path, row: dict) -> None:
    """Write a row to the results, in place of that of the same work."""
    rows = {other["work"]: other for other in _rows(path)} | {row["work"]: row}
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = [rows[name] for name in WRITERS if name in rows]
    result = {"environment": environment(), "rows": ordered}
    text = json.dumps(result, indent=1) + "\n"
    replace_file(target_file(path), text.encode())


def table(rows: list[dict]) -> str:
    """Return the results as a table in Markdown.

    Parameters
    ----------
    rows : list of dict
        From `measure`.

    Returns
    -------
    str
    """
    head = " | ".join(name.replace("_", " ") for name in _COLUMNS)
    lines = [f"| {head} |", "| --- |" + " ---: |" * (len(_COLUMNS) - 1)]
    for row in rows:
        lines.append("| " + " | ".join(str(row[name]) for name in _COLUMNS) + " |")
    return "\n".join(lines)


def measure(name: str, n_kills: int, seed: int) -> dict:
    """Kill pairs of processes, and count what is wrong afterwards.

    Parameters
    ----------
    name : str
        Key of `WRITERS`.
    n_kills : int
        Number of pairs.
    seed : int
        Of the moments.

    Returns
    -------
    dict
        ``at_work``: pairs of which at least one was killed before its end. ``written``:
        files that were completed before. ``temporary``: temporary files and folders
        after the kills. ``wrong``, ``half_written``: files, after the kills or the next
        run, that say something else than those of undisturbed work, or cannot be read.
        ``lost``: files that were complete and are missing. ``left_over``: temporary
        files and folders after the next run. ``failed_runs``: runs that failed
        before they were killed, and next runs that failed, did not end, or computed
        something else.
    """
    writer, counts, start = WRITERS[name], Counter[str](), time.perf_counter()
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        prepared, expected = root / "prepared", root / "expected"
        prepared.mkdir()
        _start(writer.prepare, prepared).join()
        shutil.copytree(prepared, expected)
        _import_what_is_used(writer, root / "modules", prepared)
        right = _result(writer, expected)
        if right is None:
            raise SystemExit(f"error: {name} fails undisturbed")
        known = _known_states(prepared, expected)
        seconds = statistics.median(_seconds(writer, prepared, root) for _ in range(3))
        for i in range(n_kills):
            folder = root / str(i)
            shutil.copytree(prepared, folder)
            counts += _kill(writer, folder, seconds * random.uniform())
            finished = map(Path, _log(folder).read_text().splitlines())
            finished = [file for file in finished if not _is_temporary(file, folder)]
            counts["written"] += len(finished)
            before = [] if writer.removes else finished
            before += [folder / file.relative_to(prepared) for file in _files(prepared)]
            counts["temporary"] += len(_temporary(folder))
            for again in (False, True):
                if again:
                    counts["failed_runs"] += _result(writer, folder) != right
                    counts["left_over"] += len(_temporary(folder))
                counts["lost"] += sum(not file.exists() for file in set(before))
                counts += _judge(folder, known)
            shutil.rmtree(folder)
    return {
        "work": name,
        "kills": n_kills,
        **{column: counts[column] for column in _COLUMNS[2:-1]},
        "seconds": round(time.perf_counter() - start, 1),
    }


def _import_what_is_used(writer: Writer, file: Path, prepared: Path) -> None:
    """Import what the work imports, so that it is not killed while it imports."""
    folder = file.with_suffix(".tried")
    shutil.copytree(prepared, folder)

    def work(folder: Path, number: int) -> None:
        writer.work(folder, number)
        file.write_text("\n".join(sys.modules), encoding="utf-8")

    _start(work, folder, 0).join()
    for name in file.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _kill(writer: Writer, folder: Path, seconds: float) -> Counter[str]:
    """Kill two processes after a time; count those at work, and those that failed."""
    _log(folder).touch()
    pair = [_start(writer.work, folder, number) for number in range(2)]
    time.sleep(seconds)
    at_work = sum(process.is_alive() for process in pair) > 0
    for process in pair:
        process.kill()
    for process in pair:
        process.join()
    failed = [process.exitcode not in (0, -signal.SIGKILL) for process in pair]
    return Counter(at_work=at_work, failed_runs=sum(failed))


def _seconds(writer: Writer, prepared: Path, root: Path) -> float:
    """Return how long two processes work undisturbed."""
    folder = root / "undisturbed"
    shutil.copytree(prepared, folder)
    start = time.perf_counter()
    pair = [_start(writer.work, folder, number) for number in range(2)]
    for process in pair:
        process.join()
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds


def _result(writer: Writer, folder: Path) -> bytes | None:
    """Do the work in a process; return what it computed, None if it failed."""
    file = folder.with_suffix(".result")
    file.unlink(missing_ok=True)
    process = _start(writer.work, folder, 0, result=file)
    process.join(_MOST_SECONDS)
    process.kill()
    process.join()
    return file.read_bytes() if process.exitcode == 0 else None


def _start(
    function: Callable, folder: Path, *arguments: int, result: Path | None = None
) -> BaseProcess:
    """Call a function in a process that notes in a file what it has written."""
    process = _FORK.Process(target=_call, args=(function, folder, arguments, result))
    process.start()
    return process


def _call(
    function: Callable, folder: Path, arguments: Sequence[int], result: Path | None
) -> None:
    replace = os.replace

    def noted(source: str, target: str | Path) -> None:
        replace(source, target)
        with _log(folder).open("a") as log:
            log.write(f"{target}\n")

    os.replace = noted  # type: ignore[assignment]
    # What the package warns of, a damaged entry for instance, must not happen.
    warnings.simplefilter("error", RuntimeWarning)
    computed = function(folder, *arguments)
    if result is not None:
        result.write_bytes(pickle.dumps(computed))


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _files(folder: Path) -> list[Path]:
    """List the files that are to be read, without locks and temporary ones."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".lock" and not _is_temporary(file, folder)
    ]


def _temporary(folder: Path) -> list[Path]:
    """List temporary files and folders, without what is in such folders."""
    return [
        path
        for path in folder.rglob("*")
        if _is_temporary(path, folder) and not _is_temporary(path.parent, folder)
    ]


def _is_temporary(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    in_temporary_folder = parts[:1] == (TEMPORARY,) and len(parts) > 1
    return in_temporary_folder or any(part.endswith(".tmp") for part in parts)


def _known_states(*folders: Path) -> dict[str, list[object]]:
    """Read the files of undisturbed work: by name, and all models together."""
    known: dict[str, list[object]] = {}
    for folder in folders:
        for file in _files(folder):
            known.setdefault(_name(file, folder), []).append(state_of(file))
    return known


def _name(file: Path, folder: Path) -> str:
    """Return what files that may hold the same have in common."""
    is_model = file.suffix == ".skdpnet"
    return file.suffix if is_model else file.relative_to(folder).as_posix()


def _judge(folder: Path, known: dict[str, list[object]]) -> Counter[str]:
    """Count the files that are half-written, or say something wrong."""
    faults = Counter[str]()
    for file in _files(folder):
        state = state_of(file)
        if state is None:
            faults["half_written"] += 1
        elif state not in known.get(_name(file, folder), []):
            faults["wrong"] += 1
    return faults


if __name__ == "__main__":
    main()
