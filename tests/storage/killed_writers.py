"""Kill a process before each of its file operations, and at each length of a file.

    python killed_writers.py FOLDER ACTION

Prints how many moments there were, or raises an error at the first that leaves
something wrong. Forking is safe here: nothing has started threads.
"""

import datetime
import os
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import skdpnet
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.atomic_write import replace_file
from skdpnet.storage.temporary_files import temporary_folder

KEY = "00key"
OLD, NEW = ((np.full(300, value),) for value in (1.0, 2.0))
SUFFIXES = {".safetensors", ".lock", ".page"}
# Those whose names say that they change something, and where locks are taken.
EVENTS = {
    *("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"),
    *("fcntl.flock", "shutil.rmtree", "tempfile.mkdtemp"),
}


def store(folder: Path) -> ArrayStore:
    return ArrayStore(folder, {"backbone": "a"})


def write(folder: Path) -> None:
    opened = store(folder)
    with opened.claim([KEY], 1):
        assert opened.write(KEY, NEW)


def clear(folder: Path) -> None:
    skdpnet.clear_memory(folder, age_limit=datetime.timedelta(0), bytes_limit=0)


def replace(folder: Path) -> None:
    replace_file(folder / "a.page", NEW[0].tobytes())


def use_temporary_folder(folder: Path) -> None:
    with temporary_folder() as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_bytes(b"")


ACTIONS = {
    "write an entry": (write, False),
    "replace an entry": (write, True),
    "clear": (clear, True),
    "write a file": (replace, False),
    "replace a file": (replace, True),
    "use a folder": (use_temporary_folder, False),
}


def prepare(folder: Path, *, old: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if old:
        store(folder).write(KEY, OLD)
        (folder / "a.page").write_bytes(OLD[0].tobytes())


def dies_before(operation: int, action: Callable[[], None]) -> bool:
    """Call the action in a process that is killed before its n-th file operation."""
    pid = os.fork()
    if pid == 0:
        left = operation

        def count(event, args):
            nonlocal left
            if event in EVENTS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        action()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def dies_at_length(n_bytes: int, action: Callable[[], None]) -> bool:
    """Call the action in a process that the system ends when a file gets longer."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        action()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGXFSZ


def check(folder: Path, *, old: bool, removes: bool) -> None:
    """Check what a killed process left, and that the next one works."""
    arrays = store(folder).read(KEY)
    expected = [OLD, NEW] if old else [NEW]
    if arrays is not None:
        assert any((arrays[0] == right[0]).all() for right in expected)
    else:
        assert removes or not old, "the old entry is lost"
    page = folder / "a.page"
    if page.exists():
        assert page.read_bytes() in [right[0].tobytes() for right in expected]
    else:
        assert not old
    for action in (write, replace):
        action(folder)
    assert (store(folder).read(KEY)[0] == NEW[0]).all()
    assert page.read_bytes() == NEW[0].tobytes()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= SUFFIXES, files
    assert not list(folder.rglob("*.tmp"))
    clear(folder)
    assert [path.name for path in folder.iterdir()] == ["a.page"]


def main() -> None:
    warnings.simplefilter("error")
    folder = Path(sys.argv[1])
    action, old = ACTIONS[sys.argv[2]]
    # Imports that wait for the first use are no file operations of the action.
    prepare(folder, old=old)
    action(folder)
    counts = []
    for kill, step in ((dies_before, 1), (dies_at_length, 500)):
        moment = 1
        while True:
            prepare(folder, old=old)
            died = kill(moment, lambda: action(folder))
            if not died:
                break
            check(folder, old=old, removes=action is clear)
            moment += step
        counts.append(moment // step)
    print(*counts)


if __name__ == "__main__":
    main()
