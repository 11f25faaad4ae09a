"""The command line: ``python -m skdpnet fit``, ``predict``, ``explain``, ``report``.

Results go to standard output, progress and notes to standard error. One module a
command; each says in its help which keys its JSON has. Nothing heavy is imported
before a command runs, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from skdpnet import __version__
from skdpnet.cli import demo, explain, fit, predict, report
from skdpnet.cli.errors import as_sentence

__all__ = ["main"]

# What a shell gives for a program that a signal ended: 128 and the signal's number.
_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those that the program was started with.

    Returns
    -------
    int
        Exit status: 0; 1 for an error, told in one line on standard error; 2 for
        wrong usage, which mostly ends in SystemExit; 130 after Ctrl-C; 141 if nobody
        reads the output any more.

    Raises
    ------
    SystemExit
        After help, version and usage errors, as argparse does.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # File names may hold what the terminal cannot show, and even no text.
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            chosen.run(chosen)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _end_output()
        return _BROKEN_PIPE
    except Exception as error:
        sentence = as_sentence(error)
        if sentence is None:
            raise
        _end_output()
        print(f"error: {sentence}", file=sys.stderr)
        return 1
    return 0


def _end_output() -> None:
    """Drop what standard output cannot take: Python would try again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Show a warning in one line, without the code that it came from."""
    print(f"warning: {' '.join(str(message).splitlines())}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    started_as = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    parser = argparse.ArgumentParser(
        prog="skdpnet" if started_as == "skdpnet" else "python -m skdpnet",
        description="Classify images by learned parts, and see which parts decided.",
        epilog="Each command explains itself: COMMAND --help.",
    )
    parser.add_argument("--version", action="version", version=f"skdpnet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in (fit, predict, explain, report, demo):
        command.add_parser(commands)
    return parser
