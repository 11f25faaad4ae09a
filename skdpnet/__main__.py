"""The command line, ``python -m skdpnet``; see `skdpnet.cli`."""

from __future__ import annotations

import sys

from skdpnet.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
