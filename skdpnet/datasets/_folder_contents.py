"""What a class folder holds: images, and what is passed over on the way to them."""

from __future__ import annotations

import os
import stat
import warnings
from collections import Counter
from functools import cached_property

from PIL import Image

from skdpnet.images.formats import readable_formats, readable_suffixes

__all__ = ["FolderContents", "is_hidden", "is_made_by_systems"]

# Folders for deleted files, thumbnails and the like, in lower case: of Synology, QNAP
# and NetApp, Windows, macOS, Android and Linux.
_SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
        *("~snapshot", "$recycle.bin", "recycler", "recycled", "found.000"),
        *("system volume information", "__macosx", "network trash folder"),
        *("temporary items", "lost.dir", "lost+found"),
        *("_thumb", "_thumbs", "_thumbnails"),
    )
)
# Among images these are smaller copies; beside class folders they may be classes.
_THUMBNAILS = frozenset(("thumb", "thumbs", "thumbnail", "thumbnails"))
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
# Files that may hold an image, which is a copy of another or not complete: backups,
# downloads that have not ended, thumbnails of cameras.
_COPIES = (".bak", ".crdownload", ".download", ".part", ".partial", ".thm", ".tmp")
_COPY_ENDINGS = ("~", "_original", "@synoeastream", "@synoresource")
_MOST_NAMED = 5


def is_hidden(name: str) -> bool:
    """Return whether files and folders of this name are hidden.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
    """
    return name.startswith(".")


def is_made_by_systems(name: str) -> bool:
    """Return whether systems call folders for deleted files or thumbnails like this.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
    """
    return name.lower() in _SYSTEM_FOLDERS


class FolderContents:
    """The images in folders, and a record of all that is passed over.

    Attributes
    ----------
    folders : Counter of str
        Names of folders that systems made, and of links out of a class.
    classes : list of str
        Real paths of all class folders.
    """

    def __init__(self) -> None:
        self.folders: Counter[str] = Counter()
        self.classes: list[str] = []
        self._files: Counter[str] = Counter()
        self._loose: Counter[str] = Counter()
        self._broken: list[str] = []

    def images_below(self, root: str) -> list[str]:
        """List the images in a folder and below it.

        Parameters
        ----------
        root : str

        Returns
        -------
        list of str
            Their paths, which begin with `root`, sorted by folder and name.

        Raises
        ------
        OSError
            If a folder cannot be read.
        """
        images = []
        real_root = os.path.realpath(root)
        visited = set()
        for folder, subfolders, files in os.walk(root, True, _raise, followlinks=True):
            # A link to a folder above it would otherwise be followed for ever.
            real_path = os.path.realpath(folder)
            if real_path in visited:
                subfolders.clear()
                continue
            visited.add(real_path)
            subfolders[:] = sorted(
                name for name in subfolders if self._enters(folder, name, real_root)
            )
            images += [(folder, name) for name in files if self._lists(folder, name)]
        return [os.path.join(folder, name) for folder, name in sorted(images)]

    def count_loose_file(self, folder: str, name: str) -> None:
        """Record a file that lies beside the class folders, if it is an image.

        Parameters
        ----------
        folder, name : str
        """
        if not is_hidden(name) and self._is_image(folder, name):
            self._loose[_suffix(name)] += 1

    def passed_over(self) -> str:
        """Return what was passed over as text: numbers of files by their suffixes.

        Returns
        -------
        str
            Empty if nothing was.
        """
        parts = []
        if self._files:
            parts.append(_files(self._files, "file"))
        if self._loose:
            parts.append(_files(self._loose, "image beside the class folders"))
        if self.folders:
            named = ", ".join(
                f"{name!r} {n}" for name, n in sorted(self.folders.items())
            )
            parts.append(
                f"folders of thumbnails and bins, or links to other classes ({named})"
            )
        if self._broken:
            links = [*map(repr, self._broken[:_MOST_NAMED])]
            more = ["…"] if len(self._broken) > _MOST_NAMED else []
            parts.append(f"broken links ({', '.join([*links, *more])})")
        return "; ".join(parts)

    def _enters(self, folder: str, name: str, real_root: str) -> bool:
        """Return whether the images of a folder below a class folder belong to it."""
        if is_hidden(name):
            return False
        if is_made_by_systems(name) or name.lower() in _THUMBNAILS:
            self.folders[name] += 1
            return False
        path = os.path.join(folder, name)
        if os.path.islink(path) and self._leaves(os.path.realpath(path), real_root):
            self.folders[name] += 1
            return False
        return True

    def _leaves(self, linked: str, real_root: str) -> bool:
        """Return whether images of other classes would come into a class by a link."""
        if is_above(real_root, linked):
            return False
        others = (other for other in self.classes if is_above(other, linked))
        return is_above(linked, real_root) or any(others)

    def _lists(self, folder: str, name: str) -> bool:
        """Return whether a file is an image, and record it if not."""
        if is_hidden(name) or name.lower() in _SYSTEM_FILES:
            return False
        if self._is_image(folder, name):
            return True
        path = os.path.join(folder, name)
        if os.path.islink(path) and not os.path.exists(path):
            self._broken.append(path)
        else:
            self._files[_suffix(name)] += 1
        return False

    def _is_image(self, folder: str, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()
        if suffix in self._suffixes:
            return True
        if suffix in _COPIES or name.lower().endswith(_COPY_ENDINGS):
            return False
        formats = self._signatures
        if suffix:
            # Raw files of cameras are TIFF files, in which Pillow finds a thumbnail.
            formats = [name for name in formats if name != "TIFF"]
        return _holds_image(os.path.join(folder, name), formats)

    @cached_property
    def _suffixes(self) -> frozenset[str]:
        return frozenset(readable_suffixes())

    @cached_property
    def _signatures(self) -> list[str]:
        """The formats that are recognised by their first bytes.

        Those of DIB are a length, with which other files may begin.
        """
        Image.init()
        names = [name for name in readable_formats() if name != "DIB"]
        return [name for name in names if Image.OPEN[name][1] is not None]


def is_above(folder: str, other: str) -> bool:
    """Return whether a folder is another, or holds it.

    Parameters
    ----------
    folder, other : str
        Their real paths.

    Returns
    -------
    bool
    """
    return os.path.join(other, "").startswith(os.path.join(folder, ""))


def _holds_image(path: str, formats: list[str]) -> bool:
    """Return whether the content of a file is an image's; only its header is read."""
    try:
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=formats):
                return True
    except Image.DecompressionBombError:
        return True
    except Exception:
        # Readers raise exceptions of nearly every kind on files of other formats.
        return False


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "no suffix"


def _files(counts: Counter[str], noun: str) -> str:
    """Return how many files there are, and how many of each suffix."""
    n = counts.total()
    first, *rest = noun.split(" ", 1)
    each = ", ".join(f"{suffix} {k}" for suffix, k in sorted(counts.items()))
    return f"{n} {' '.join([first + 's' * (n > 1), *rest])} ({each})"


def _raise(error: OSError) -> None:
    raise error
