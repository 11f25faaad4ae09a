"""Pass damaged and forged files to the package, and count what comes of it.

    python -m benchmarks.robustness.fuzz --minutes 5 --seed 0
    python -m benchmarks.robustness.fuzz --engine atheris --targets models

Model files, entries of the cache and images (`targets`) are changed at random
(`mutations`). Each must be used or refused by an error of the package. A crash of the
process, another exception, ten seconds or more memory than the target's bound is a
fault, and so is any program, connection or unpickled class (`watch`). Hypothesis draws
the changes, or atheris (``pip install atheris``), which looks for those that reach new
lines of the package. A kind of fault is named with a file that shows it.

Each target runs in a process of its own.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.records import RESULTS
from benchmarks.robustness.targets import TARGETS, Fault, Target
from benchmarks.robustness.watch import (
    Hang,
    events,
    peak_memory,
    reset_peak_memory,
    time_limit,
)
from skdpnet.features import network_record
from skdpnet.persistence import checks, codec, model_file, parameters, saving

__all__ = ["Run", "main"]

_SECONDS_PER_FILE = 10.0


class Run:
    """Counts what comes of the files of a target.

    Parameters
    ----------
    target : Target
    kept : Path
        Folder for the files that show a fault.
    """

    def __init__(self, target: Target, kept: Path):
        self.target, self.kept = target, kept
        self.counts: Counter[str] = Counter()
        self.faults: dict[str, str] = {}
        self.largest, self.slowest = 0, 0.0
        # The first use loads modules, which is neither quick nor small.
        for content in target.good:
            target.use(content)
        events()

    def use(self, content: bytes) -> None:
        """Use a file; raise Fault if it does what it must not."""
        before, start = reset_peak_memory(), time.monotonic()
        (self.kept / "last").write_bytes(content)
        # What the fuzzer itself did before is no fault.
        events()
        try:
            with time_limit(_SECONDS_PER_FILE):
                outcome = self.target.use(content)
            what = ""
        except (Exception, Hang) as error:
            outcome, what = "fault", f"{type(error).__name__}: {error}"[:300]
        seconds = time.monotonic() - start
        used = peak_memory() - before
        if not what and used > self.target.bound + 4 * len(content):
            outcome, what = "fault", f"{used} bytes of memory"
        if not what and (seen := events()):
            outcome, what = "fault", f"it runs code or connects: {seen}"
        self.largest, self.slowest = max(self.largest, used), max(self.slowest, seconds)
        self.counts[outcome] += 1
        if what:
            kind = what[:80]
            if kind not in self.faults:
                file = self.kept / f"{self.target.name.split()[0]}-{len(self.faults)}"
                file.write_bytes(content)
                self.faults[kind] = str(file)
            raise Fault(what)

    def summary(self) -> dict[str, Any]:
        """Return the counts and the largest of what was measured."""
        return {
            "target": self.target.name,
            "files": sum(self.counts.values()),
            **{key: self.counts[key] for key in ("used", "refused", "fault")},
            "faults": self.faults,
            "most_megabytes": round(self.largest / 2**20, 1),
            "bound_megabytes": self.target.bound // 2**20,
            "slowest_seconds": round(self.slowest, 2),
        }


def _by_hypothesis(run: Run, seconds: float, seed: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from hypothesis import seed as seeded

    end, number = time.monotonic() + seconds, seed
    while time.monotonic() < end:

        @seeded(number)
        @settings(
            max_examples=500,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(strategies.randoms(use_true_random=False))
        def try_one(source: random.Random) -> None:
            # It is drawn in any case, because Hypothesis wonders at files that take
            # another number of choices the next time.
            content = run.target.make(source)
            if time.monotonic() < end:
                _try(run, content)

        try_one()
        number += 1_000_000


def _by_random(run: Run, seconds: float, seed: int) -> None:
    """Draw from Python's own generator, many files a second."""
    end, source = time.monotonic() + seconds, random.Random(seed)
    while time.monotonic() < end:
        _try(run, run.target.make(source))


class _Guided(random.Random):
    """Numbers of a fuzzer: the bytes that it chose, then zeros."""

    def __init__(self, content: bytes):
        super().__init__(0)
        self._bits = int.from_bytes(content, "little")

    def random(self) -> float:
        return self.getrandbits(53) / 2**53

    def getrandbits(self, k: int) -> int:
        bits = self._bits & ((1 << k) - 1)
        self._bits >>= k
        return bits


def _by_atheris(run: Run, seconds: float, seed: int) -> None:
    import atheris

    _instrument(atheris.instrument_func)
    end, is_told = time.monotonic() + seconds, False
    options = [
        f"-max_total_time={int(seconds) + 5}",
        f"-seed={seed + 1}",
        "-max_len=4096",
    ]
    quiet = ["-verbosity=0", "-rss_limit_mb=0", "-timeout=60"]

    def try_one(content: bytes) -> None:
        nonlocal is_told
        if time.monotonic() < end:
            _try(run, run.target.make(_Guided(content)))
        elif not is_told:
            # The fuzzer ends the process, and nothing is run after it.
            is_told = True
            print(json.dumps(run.summary()), flush=True)

    atheris.Setup([sys.argv[0], *options, *quiet], try_one)
    atheris.Fuzz()


def _instrument(instrument: Callable[[Any], Any]) -> None:
    """Let the functions that read model files tell which of their lines are reached."""
    modules = (checks, codec, model_file, parameters, saving, network_record)
    names = {module.__name__ for module in modules}
    instrumented: dict[Any, Any] = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value) and value.__module__ in names:
                if value not in instrumented:
                    instrumented[value] = instrument(value)
                setattr(module, name, instrumented[value])


def _try(run: Run, content: bytes) -> None:
    try:
        run.use(content)
    except Fault:
        # It is counted, and others are looked for.
        return


ENGINES = {
    "hypothesis": _by_hypothesis,
    "random": _by_random,
    "atheris": _by_atheris,
}


def _child(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[options.child](Path(folder))
        run = Run(target, options.kept)
        ENGINES[options.engine](run, 60 * options.minutes, options.seed)
        print(json.dumps(run.summary()))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=[*TARGETS])
    parser.add_argument("--engine", choices=ENGINES, default="hypothesis")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kept", type=Path, default=None, help="folder for files that show a fault"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "fuzz.json")
    parser.add_argument("--child", choices=TARGETS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the targets, print a table, and write the figures; return the faults."""
    options = _parse(arguments)
    options.kept = options.kept or Path(tempfile.mkdtemp())
    options.kept.mkdir(parents=True, exist_ok=True)
    if options.child:
        _child(options)
        return 0
    lines = []
    for name in options.targets:
        command = [sys.executable, "-m", "benchmarks.robustness.fuzz", "--child", name]
        command += ["--engine", options.engine, "--minutes", str(options.minutes)]
        command += ["--seed", str(options.seed), "--kept", str(options.kept)]
        start = time.monotonic()
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        texts = [text for text in child.stdout.splitlines() if text.startswith("{")]
        line = json.loads(texts[-1]) if texts else {"target": name, "fault": 1}
        if child.returncode:
            line["crash"] = (
                f"exit status {child.returncode}; see {options.kept / 'last'}"
            )
        line["seconds"] = round(time.monotonic() - start)
        lines.append(line)
        print(json.dumps(line))
    record = {
        "engine": options.engine,
        "seed": options.seed,
        "minutes": options.minutes,
        "targets": lines,
        "environment": environment(),
    }
    former = json.loads(options.output.read_text()) if options.output.exists() else []
    kept = [one for one in former if one["engine"] != options.engine]
    options.output.write_text(json.dumps([*kept, record], indent=1) + "\n")
    return sum(line.get("fault", 0) + ("crash" in line) for line in lines)


if __name__ == "__main__":
    sys.exit(main() > 0)
