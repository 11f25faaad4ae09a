"""Folders of images with a sub-folder for each class."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_image_folder"]

_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def load_image_folder(
    path: str | os.PathLike[str],
) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """List the images of a folder that has a sub-folder for each class.

    Images are recognised by the suffix of their name, in upper or lower case: .bmp,
    .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff and .webp. Class folders are
    searched with all folders below them; links are followed. Other files, and files
    and folders whose name begins with a dot, are ignored. No image is opened.

    Parameters
    ----------
    path : str or path-like
        The folder that holds the class folders.

    Returns
    -------
    paths : list of str of length n_images
        Paths of the images, beginning with `path`, sorted by class, then by folder
        and name.
    y : int64 ndarray of shape (n_images,)
        Class of each image, its position in `names`.
    names : list of str of length n_classes
        Names of the class folders, sorted.

    Raises
    ------
    ValueError
        If `path` is not a folder, has no class folders, or a class folder has no
        image.
    OSError
        If a folder cannot be read.

    See Also
    --------
    make_part_images : Synthetic images with known parts.
    torchvision.datasets.ImageFolder : The same order of images and classes.

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
        raise ValueError(
            f"No class folders in {root!r}: it needs a sub-folder for each class."
        )
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        class_paths = _images_below(os.path.join(root, name))
        if not class_paths:
            raise ValueError(f"The class folder {name!r} in {root!r} has no image.")
        paths += class_paths
        labels += [label] * len(class_paths)
    return paths, np.array(labels, dtype=np.int64), names


def _images_below(root: str) -> list[str]:
    """Return the images in a folder and below it, sorted by folder and name."""
    images = []
    visited = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        # A link to a folder above it would otherwise be followed for ever.
        real_path = os.path.realpath(folder)
        if real_path in visited:
            subfolders.clear()
            continue
        visited.add(real_path)
        subfolders[:] = sorted(f for f in subfolders if not f.startswith("."))
        images += [
            (folder, file)
            for file in files
            if not file.startswith(".")
            and os.path.splitext(file)[1].lower() in _SUFFIXES
        ]
    return [os.path.join(folder, file) for folder, file in sorted(images)]
