"""Folders of images with one sub-folder for each class."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_image_folder"]

_EXTENSIONS = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def load_image_folder(
    path: str | os.PathLike[str],
) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """List the images of a folder with one sub-folder per class.

    Images are found by the ending of their name, in either case: .bmp, .gif, .jpeg,
    .jpg, .pgm, .png, .ppm, .tif, .tiff and .webp. Class folders are searched with
    all folders below them; links are followed. Other files, and files and folders
    whose name begins with a dot, are passed over. No image is opened.

    Parameters
    ----------
    path : str or path-like
        The folder that holds the class folders.

    Returns
    -------
    paths : list of str of length n_images
        Paths of the images, beginning with `path`: class after class, sorted by
        folder and by name within it.
    y : ndarray of shape (n_images,), int
        Class of each image, a position in `names`.
    names : list of str of length n_classes
        Names of the class folders, sorted.

    Raises
    ------
    ValueError
        If `path` is not a folder, has no class folders, or a class folder has no
        image.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skdpnet.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("owl/1.jpg", "owl/2.PNG", "crow/a.jpg", "crow/notes.txt"):
    ...         file = Path(root, name)
    ...         file.parent.mkdir(exist_ok=True)
    ...         file.touch()
    ...     paths, y, names = load_image_folder(root)
    >>> [Path(p).name for p in paths], y.tolist(), names
    (['a.jpg', '1.jpg', '2.PNG'], [0, 1, 1], ['crow', 'owl'])
    """
    root = os.fspath(path)
    if not os.path.isdir(root):
        raise ValueError(f"path must be a folder, got {root!r}.")
    names = sorted(
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if not names:
        raise ValueError(f"No class folders in {root!r}: one sub-folder per class.")
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = _images_below(os.path.join(root, name))
        if not found:
            raise ValueError(f"The class folder {name!r} in {root!r} has no image.")
        paths += found
        labels += [label] * len(found)
    return paths, np.array(labels, dtype=np.int64), names


def _images_below(folder: str) -> list[str]:
    """Return the images in a folder and below it, sorted by folder and name."""
    found = []
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        # A link to a folder above would otherwise lead round and round.
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [
            (place, file)
            for file in files
            if not file.startswith(".")
            and os.path.splitext(file)[1].lower() in _EXTENSIONS
        ]
    return [os.path.join(place, file) for place, file in sorted(found)]
