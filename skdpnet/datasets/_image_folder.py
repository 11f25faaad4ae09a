"""Folders of images with a sub-folder for each class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from skdpnet.datasets._folder_contents import (
    FolderContents,
    is_above,
    is_hidden,
    is_made_by_systems,
)
from skdpnet.utils.validation import class_number, composed_text

__all__ = ["class_folders", "load_image_folder"]


def load_image_folder(
    path: str | bytes | os.PathLike,
    names: Sequence[str] | None = None,
) -> tuple[list[str], NDArray[np.int64], list[str]]:
    """List the images of a folder that has a sub-folder for each class.

    Images are recognised by the suffix of their name, in upper or lower case, which is
    one of a format that Pillow reads (.jpg, .jfif, .png, .webp, .avif, .tif and so on).
    Of a file with no suffix or another one the header is read; if that is an image's,
    the file is listed as well. Class folders are searched with all folders below them;
    links are followed.

    Hidden files and folders, whose name begins with a dot, are ignored, and so are
    ``Thumbs.db`` and ``desktop.ini``. All other files that are passed over are counted
    in a warning, with the folders that systems make for deleted files and thumbnails
    (``@eaDir``, ``#recycle``, ``$RECYCLE.BIN``, ``lost+found``, ``__MACOSX``; below a
    class folder ``thumbnails`` as well), and images beside the class folders.

    Parameters
    ----------
    path : str, bytes or path-like
        The folder that holds the class folders. A leading ``~`` stands for the home
        directory.
    names : sequence of str, default=None
        The names of the classes, as this function returned them for the folder that a
        model learns from. The images of another folder, such as that of test images,
        are then numbered alike; it may lack some of the classes, or all images of a
        class. None: the class folders are numbered in the order of their names.

    Returns
    -------
    paths : list of str of length n_images
        Paths of the images, beginning with `path`, sorted by class, then by folder
        and name.
    y : int64 ndarray of shape (n_images,)
        Class of each image, its position in `names`.
    names : list of str of length n_classes
        Names of the class folders, sorted, in Unicode's normal form C (a Mac writes
        é as two characters); or the parameter `names`.

    Raises
    ------
    ValueError
        If `path` is not a folder or has no class folders; if a class folder has no
        image, or is none of `names`; if a class folder is in another one by a link; if
        two have the same name in two Unicode forms; or if a link of a class is broken.
    OSError
        If a folder cannot be read.

    Warns
    -----
    UserWarning
        If files or folders were passed over, with their numbers by suffix.

    See Also
    --------
    make_part_images : Synthetic images with known parts.
    torchvision.datasets.ImageFolder : The same order of images and classes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skdpnet.datasets import load_image_folder
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ("train/owl/1.jpg", "train/owl/2.PNG", "train/crow/a.jfif",
    ...              "test/owl/3.jpg"):
    ...     file = Path(folder.name, name)
    ...     file.parent.mkdir(parents=True, exist_ok=True)
    ...     file.touch()
    >>> paths, y, names = load_image_folder(Path(folder.name, "train"))
    >>> [Path(p).name for p in paths], y.tolist(), names
    (['a.jfif', '1.jpg', '2.PNG'], [0, 1, 1], ['crow', 'owl'])

    The classes of test images must have the numbers of those that were learned:

    >>> load_image_folder(Path(folder.name, "test"), names=names)[1].tolist()
    [1]
    >>> folder.cleanup()
    """
    root = os.path.expanduser(os.fsdecode(path))
    if not os.path.isdir(root):
        raise ValueError(f"path must be a folder, got {root!r}.")
    contents = FolderContents()
    folders = class_folders(root, contents)
    known = sorted(folders) if names is None else _checked_names(names)
    number = {composed_text(name): c for c, name in enumerate(known)}
    if names is not None:
        _refuse_unknown(folders, number, known, root)
    paths: list[str] = []
    labels: list[int] = []
    for name in sorted(folders, key=number.__getitem__):
        class_paths = contents.images_below(os.path.join(root, folders[name]))
        if not class_paths and names is None:
            raise ValueError(
                f"The class folder {folders[name]!r} in {root!r} has no image."
                + _passed_over(contents, root)
            )
        paths += class_paths
        labels += [number[name]] * len(class_paths)
    if not paths:
        raise ValueError(
            f"The class folders in {root!r} have no image."
            + _passed_over(contents, root)
        )
    passed_over = _passed_over(contents, root)
    if passed_over:
        warnings.warn(passed_over.lstrip(), UserWarning, stacklevel=2)
    return paths, np.array(labels, dtype=np.int64), known


def class_folders(root: str, contents: FolderContents | None = None) -> dict[str, str]:
    """Find the class folders in a folder.

    Parameters
    ----------
    root : str
    contents : FolderContents, default=None
        Records folders and images that are passed over.

    Returns
    -------
    dict of str to str
        From the names of the classes, in Unicode's normal form C, to the names of the
        folders.

    Raises
    ------
    ValueError
        If there are none, if two are the same, or if a link is broken.
    OSError
        If the folder cannot be read.
    """
    contents = FolderContents() if contents is None else contents
    folders: dict[str, str] = {}
    real_paths: dict[str, str] = {}
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if is_hidden(name):
            continue
        if os.path.islink(path) and not os.path.exists(path):
            raise ValueError(
                f"The link {name!r} in {root!r} is broken: it points to "
                f"{os.readlink(path)!r}. Mend it, or remove it if it is no class."
            )
        if not os.path.isdir(path):
            contents.count_loose_file(root, name)
            continue
        if is_made_by_systems(name):
            contents.folders[name] += 1
            continue
        real_paths[name] = os.path.realpath(path)
        twin = folders.setdefault(composed_text(name), name)
        if twin != name:
            raise ValueError(
                f"The class folders {twin!a} and {name!a} in {root!r} have the same "
                "name in two Unicode forms: put their images into one folder."
            )
    _refuse_nested(real_paths, root)
    contents.classes = [*real_paths.values()]
    if not folders:
        raise ValueError(
            f"No class folders in {root!r}: it needs a sub-folder for each class."
            + _passed_over(contents, root)
        )
    return folders


def _refuse_nested(real_paths: dict[str, str], root: str) -> None:
    """Refuse links by which a class folder is another, or lies in it, or holds all."""
    real_root = os.path.realpath(root)
    # In this order, a folder comes right before those that it holds.
    ordered = sorted(real_paths, key=lambda name: os.path.join(real_paths[name], ""))
    pairs = [*zip(ordered, ordered[1:], strict=False)]
    for name, other in pairs:
        if is_above(real_paths[name], real_paths[other]):
            link = other if os.path.islink(os.path.join(root, other)) else name
            what = repr(name if link == other else other)
            break
    else:
        holding = [name for name in ordered if is_above(real_paths[name], real_root)]
        if not holding:
            return
        link, what = holding[0], "a folder that holds all class folders"
    raise ValueError(
        f"The class folder {link!r} in {root!r} is a link to {what}, or to a folder in "
        "it: its images would be in two classes. Remove the link."
    )


def _checked_names(names: Sequence[str]) -> list[str]:
    """Check the names of the classes of another folder."""
    # Sets have no order, and the keys of a dict not that of the numbers it may hold.
    is_list = not isinstance(names, (str, bytes, Mapping, Set))
    checked = list(names) if is_list else []
    if not checked or not all(isinstance(name, str) for name in checked):
        raise ValueError(
            "names must be a list of the names of classes, as load_image_folder "
            f"returns it, got {names!r}."
        )
    checked = [str(name) for name in checked]
    if len(set(map(composed_text, checked))) < len(checked):
        raise ValueError(f"names must hold each class once, got {checked!r}.")
    return checked


def _refuse_unknown(
    folders: dict[str, str], number: dict[str, int], known: list[str], root: str
) -> None:
    """Refuse class folders that are none of the known classes."""
    unknown = [name for name in folders if name not in number]
    if not unknown:
        return
    try:
        class_number(np.array(known), unknown[0])
    except ValueError as error:
        raise ValueError(
            f"{root!r} holds class folders that are not in names, "
            f"{', '.join(repr(folders[name]) for name in unknown)}: {error}"
        ) from None


def _passed_over(contents: FolderContents, root: str) -> str:
    """Return a sentence about what was passed over, if anything was."""
    text = contents.passed_over()
    return f" Passed over in {root!r}: {text}." if text else ""
