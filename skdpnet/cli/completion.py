"""``completion``: a script that lets a shell complete the commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from skdpnet.cli.errors import CommandError
from skdpnet.cli.options import add_command

__all__ = ["add_parser"]

_SHELLS = ("bash", "zsh", "fish")
# What the help calls arguments that are files; folders are called DIR.
_FILES = ("MODEL", "IMAGE", "FILE")
_DETAILS = """\
Prints a script for the shell, which then completes the commands of `skdpnet`,
their options, and the names of files. `skdpnet` is installed with the package
and is the same program as `python -m skdpnet`, which shells complete as Python.

Needs the package shtab: pip install "skdpnet[completion]"
"""
_EXAMPLES = """\
completion bash > skdpnet.bash && source skdpnet.bash
completion zsh > "${fpath[1]}/_skdpnet"
completion fish > ~/.config/fish/completions/skdpnet.fish
"""


def add_parser(
    commands: argparse._SubParsersAction,
    make_parser: Callable[[str], argparse.ArgumentParser],
) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    make_parser : callable, str -> argparse.ArgumentParser
        Makes the program's parser, which the script is about, for a program's name.
    """
    parser = add_command(
        commands,
        "completion",
        "print a script that completes commands in a shell",
        _DETAILS,
        _EXAMPLES,
    )
    parser.add_argument("shell", choices=_SHELLS, help="bash, zsh or fish")
    parser.set_defaults(run=_run, make_parser=make_parser)


def _run(args: argparse.Namespace) -> None:
    try:
        import shtab
    except ImportError as error:
        raise CommandError(
            "completion needs the package shtab: pip install 'skdpnet[completion]'"
        ) from error
    parser = args.make_parser("skdpnet")
    paths = {**dict.fromkeys(_FILES, shtab.FILE), "DIR": shtab.DIRECTORY}
    (commands,) = (a for a in parser._actions if isinstance(a.choices, dict))
    for command in commands.choices.values():
        for action in command._actions:
            if action.metavar in paths:
                action.complete = paths[action.metavar]
    print(shtab.complete(parser, args.shell))
