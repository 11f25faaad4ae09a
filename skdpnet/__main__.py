"""The command line: ``python -m skdpnet demo``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those that the program was started with.
    """
    parser = argparse.ArgumentParser(
        prog="python -m skdpnet", description="Part-based image recognition."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="compare global and part descriptors on made pictures"
    )
    demo.add_argument(
        "-o", "--output", default="demo-output", help="folder for the figure"
    )
    chosen = parser.parse_args(arguments)

    from skdpnet.demo import run_demo

    run_demo(chosen.output)


if __name__ == "__main__":
    main()
