"""The command line: ``python -m skdpnet fit``, ``predict``, ``explain``, ``report`` ...

Results go to standard output; progress bars and notes go to standard error. Each
command has a module of its own, whose help documents the keys of its JSON output. The
modules import NumPy, torch and the like only when a command runs, so that help and
usage errors appear at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from skdpnet import __version__
from skdpnet.cli import compare, completion, demo, explain, fit, predict, report
from skdpnet.cli.errors import as_message
from skdpnet.cli.options import large_images_allowed, program_name

__all__ = ["main"]

# The exit status of a shell for a program that a signal ended is 128 plus the number of
# the signal: SIGINT and SIGPIPE.
_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        None: the arguments that the program was started with.

    Returns
    -------
    int
        Exit status. 0: success. 1: an error, described on standard error; or images
        that cannot be used were left out, and are named there.
        2: no command was named. 130: interrupted by Ctrl-C. 141: the reader of the
        output closed it.

    Raises
    ------
    SystemExit
        By argparse, after help and version with status 0, and after usage errors with
        status 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # File names may hold characters that the terminal cannot show, and bytes
            # that are not text.
            stream.reconfigure(errors="backslashreplace")
    parser = _parser(program_name())
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            with large_images_allowed(args):
                status = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except Exception as error:
        message = as_message(error)
        if message is None:
            raise
        _discard_output()
        print(f"error: {message}", file=sys.stderr)
        return 1
    return status or 0


def _discard_output() -> None:
    """Discard unwritten output if it cannot be written; Python would try at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning as a single line, without the code that raised it."""
    print(f"warning: {' '.join(str(message).splitlines())}", file=sys.stderr)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Classify images by learned parts, and show which parts decided.",
        epilog="Run COMMAND --help for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"skdpnet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in (fit, predict, explain, report, compare, demo):
        command.add_parser(commands)
    completion.add_parser(commands, _parser)
    return parser
