"""``demo``: four methods on made images."""

from __future__ import annotations

import argparse

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` gave
    """
    parser = commands.add_parser(
        "demo", help="compare global and part descriptors on made images"
    )
    parser.add_argument(
        "-o", "--output", default="demo-output", help="folder for the figure"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from skdpnet.cli.demo_comparison import run_demo

    run_demo(args.output)
