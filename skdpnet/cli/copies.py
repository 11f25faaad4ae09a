"""Images that lie in the folders of several classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

__all__ = ["warn_of_copies"]

_MOST_NAMED = 5


def warn_of_copies(
    paths: Sequence[str], labels: Sequence[str], digests: Sequence[str]
) -> None:
    """Warn of images that lie in several classes, as they have several labels.

    Parameters
    ----------
    paths : sequence of str
        Paths of the images.
    labels : sequence of str
        Their classes.
    digests : sequence of str
        Digests of their contents.
    """
    places: dict[str, dict[str, str]] = {}
    for path, label, digest in zip(paths, labels, digests, strict=True):
        places.setdefault(digest, {}).setdefault(label, path)
    copies = [each for each in places.values() if len(each) > 1]
    if not copies:
        return
    named = "; ".join(
        " = ".join(map(repr, each.values())) for each in copies[:_MOST_NAMED]
    )
    more = (
        f"; and {len(copies) - _MOST_NAMED} more" if len(copies) > _MOST_NAMED else ""
    )
    images = "1 image lies" if len(copies) == 1 else f"{len(copies)} images lie"
    warnings.warn(
        f"{images} in two classes or more: {named}{more}. Keep each in the folder of "
        "one class.",
        UserWarning,
        stacklevel=2,
    )
