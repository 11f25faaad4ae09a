"""Images that a command leaves out because they cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from skdpnet.cli.errors import as_message

if TYPE_CHECKING:
    from skdpnet.exceptions import ImageError

__all__ = ["LeftOut"]


class LeftOut:
    """The images that a command has left out so far, each of which it names at once."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def add(self, errors: Iterable[ImageError]) -> None:
        """Name images on standard error, also where ``--quiet`` is set.

        Parameters
        ----------
        errors : iterable of ImageError
            One for each image; those of images that were named before are passed over.
        """
        for error in sorted(errors, key=lambda error: error.index or 0):
            if error.path is not None and error.path not in self.paths:
                self.paths.append(error.path)
                print(f"left out: {as_message(error)}", file=sys.stderr, flush=True)

    def others(self, paths: Sequence[str]) -> list[int]:
        """Return the positions of the images that are not left out.

        Parameters
        ----------
        paths : sequence of str

        Returns
        -------
        list of int
        """
        bad = set(self.paths)
        return [i for i, path in enumerate(paths) if path not in bad]

    def status(self, n_images: int) -> int:
        """Say how many images were left out, and return the exit status.

        Parameters
        ----------
        n_images : int
            How many images there were.

        Returns
        -------
        int
            1 if any was left out.
        """
        if not self.paths:
            return 0
        were = "was" if len(self.paths) == 1 else "were"
        print(
            f"error: {len(self.paths)} of {n_images} images {were} left out, because "
            "they cannot be used (see above); the results are those of the others",
            file=sys.stderr,
        )
        return 1
