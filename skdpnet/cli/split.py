"""The images that a model learns from, and those that are held out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skdpnet.cli.copies import warn_of_copies
from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import counted, fingerprints, list_classes, note
from skdpnet.cli.left_out import LeftOut

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Split", "check_classes", "hold_out", "read_split"]


@dataclass(frozen=True, eq=False)
class Split:
    """The images of class folders, split into training images and held-out ones.

    Attributes
    ----------
    paths : list of n str
    y : str ndarray of shape (n,)
        Their classes.
    digests : str ndarray of shape (n,)
        Digests of their contents.
    train, test : int ndarrays
        Positions among them.
    n_listed : int
        Number of images in the folders, with those that cannot be used.
    """

    paths: list[str]
    y: np.ndarray
    digests: np.ndarray
    train: np.ndarray
    test: np.ndarray
    n_listed: int


def read_split(args: argparse.Namespace, left_out: LeftOut) -> Split:
    """List the images of class folders, leave out bad ones, and hold some out.

    Parameters
    ----------
    args : argparse.Namespace
        Its attributes `images`, `test_fraction`, `seed` and `quiet` are used.
    left_out : LeftOut
        Images whose headers cannot be read are added to it.

    Returns
    -------
    Split

    Raises
    ------
    CommandError
        If there are not two classes, or a class has no image that can be used.
    ValueError, OSError
        As `list_classes`.
    """
    paths, labels = list_classes(args.images)
    n_listed, n_classes = len(paths), len(set(labels))
    if n_classes < 2:
        raise CommandError(
            f"{args.images} has only one class folder, {labels[0]!r}: a model needs at "
            "least two classes"
        )
    note(args, f"Reading {n_listed} images of {n_classes} classes in {args.images}.")
    import numpy as np

    from skdpnet.images.bad_images import header_errors
    from skdpnet.images.collection import as_images

    left_out.add(header_errors(as_images(paths)).values())
    good = left_out.others(paths)
    check_classes(labels, [labels[i] for i in good])
    paths, labels = [paths[i] for i in good], [labels[i] for i in good]
    y, digests = np.array(labels), np.array(fingerprints(paths))
    warn_of_copies(paths, labels, digests.tolist())
    held_out = hold_out(digests, y, args.test_fraction, args.seed)
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    note(
        args,
        f"Learning from {counted(len(train), 'image')}; {len(test)} held out for "
        f"testing (seed {args.seed}).",
    )
    return Split(paths, y, digests, train, test, n_listed)


def hold_out(digests: np.ndarray, y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose the images to test on, regardless of their file names.

    Copies of an image stay together, so that no test image is a copy of a training
    image. Of a class with several images, at least one is held out, and never all.
    Images that lie in several classes are not held out: no answer to them is right, and
    a class may have no other image.

    Parameters
    ----------
    digests : str ndarray of shape (n,)
        Digests of the images' contents.
    y : str ndarray of shape (n,)
    share : float
        Share of each class to hold out.
    seed : int

    Returns
    -------
    bool ndarray of shape (n,)
        Whether each image is held out.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    classes, labels = np.unique(y, return_inverse=True)
    distinct, image = np.unique(digests, return_inverse=True)
    is_in_class = np.zeros((len(classes), len(distinct)), bool)
    is_in_class[labels, image] = True
    has_one_class = is_in_class.sum(axis=0) == 1
    chosen: list[str] = []
    for images in is_in_class:
        of_class = distinct[images & has_one_class]
        n = round(share * len(of_class))
        if share > 0:
            n = min(max(n, 1), len(of_class) - 1)
        chosen += random.permutation(of_class)[: max(n, 0)].tolist()
    return np.isin(digests, chosen)


def check_classes(before: Sequence[str], after: Sequence[str]) -> None:
    """Check that each class still has an image after some are left out.

    Parameters
    ----------
    before, after : sequence of str
        The classes of the images.

    Raises
    ------
    CommandError
    """
    lost = sorted(set(before) - set(after))
    if lost:
        raise CommandError(
            f"no image of {', '.join(map(repr, lost))} can be used: mend the images "
            "named above, or remove the folder of the class"
        )
