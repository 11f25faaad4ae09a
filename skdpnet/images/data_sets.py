"""Data sets as lists of images, each of which is fetched when it is needed."""

from __future__ import annotations

import sys
from typing import Any

from skdpnet.images.conversion import UnusableImage
from skdpnet.images.item_values import image_in_item, joined, only_key
from skdpnet.utils.forks import ForkSafeLock

__all__ = ["DataSetImage", "data_set_images", "hugging_face", "image_of", "parts_of"]

# Nothing says whether a data set may be read by several threads at once, nor whether
# two of them share a file. The thread that holds the lock may read another data set,
# as those do that wrap others.
_FETCHING = ForkSafeLock(reentrant=True)


class DataSetImage:
    """An image of a data set, which is fetched anew for each use.

    Parameters
    ----------
    data_set : object
        With items by number.
    number : int
        Of the item.
    key : object, default=None
        Of the image in an item that is a dict; None: as `image_in_item` finds it.
    """

    __slots__ = ("_data_set", "_key", "_number")

    def __init__(self, data_set: Any, number: int, key: Any = None) -> None:
        self._data_set, self._number, self._key = data_set, number, key

    def __repr__(self) -> str:
        return f"image {self._number} of a {type(self._data_set).__name__}"

    def fetch(self) -> Any:
        """Fetch the item, in one thread at a time, and return the image in it.

        Returns
        -------
        object
            A path, PIL image, array or tensor; what is no image is returned as it is.

        Raises
        ------
        UnusableImage
            If the data set raises an error, or if it is not clear which value is the
            image.
        """
        try:
            with _FETCHING:
                item = self._data_set[self._number]
        except MemoryError:
            raise
        except Exception as error:
            # The code of data sets raises exceptions of all kinds.
            raise UnusableImage(
                f"the data set raises {type(error).__name__}: {error}"
            ) from error
        return image_in_item(item, self._key)


def image_of(item: Any) -> Any:
    """Return the image that an item of a list is, or that is in it.

    Parameters
    ----------
    item : object
        As `data_set_images` lists them, or as users do.

    Returns
    -------
    object
        As from `DataSetImage.fetch`.

    Raises
    ------
    UnusableImage
        As `DataSetImage.fetch`.
    """
    is_listed = isinstance(item, DataSetImage)
    return item.fetch() if is_listed else image_in_item(item)


def data_set_images(data_set: Any, key: Any = None) -> list[Any]:
    """Return the images of a data set, none of which is fetched.

    Parameters
    ----------
    data_set : object
        With a length and items by number; torch's ``Subset`` and ``ConcatDataset``
        stand for the items of what they are made of.
    key : object, default=None
        The key of the image in dicts, or the column of a table. None: of a Hugging Face
        data set the only column of type ``Image``; otherwise as `image_in_item` and
        `only_key` find it.

    Returns
    -------
    list of str or DataSetImage
        Paths, where torchvision's data set lists files and does nothing but open them.

    Raises
    ------
    ValueError
        If it is not clear which column of a table holds the images.
    """
    parts = parts_of(data_set)
    if parts is not None:
        bases, numbers = parts
        items = [item for base in bases for item in data_set_images(base, key)]
        return items if numbers is None else [items[i] for i in numbers]
    table = hugging_face(data_set)
    if table is not None:
        data_set, key = _undecoded(table[0], table[1] if key is None else key)
    elif _only_opens_files(data_set):
        return [str(path) for path, _ in data_set.samples]
    return [DataSetImage(data_set, i, key) for i in range(len(data_set))]


def parts_of(data_set: Any) -> tuple[list[Any], list[int] | None] | None:
    """Return the data sets that torch's Subset or ConcatDataset is made of.

    Parameters
    ----------
    data_set : object

    Returns
    -------
    (list of data sets, list of int or None) or None
        The data sets, and the numbers of the chosen items among all of theirs, None for
        all of them; or None, for other data sets.
    """
    kinds = sys.modules.get("torch.utils.data")
    if kinds is None:
        return None
    if _gets_items_as(data_set, kinds.Subset):
        return [data_set.dataset], [int(i) for i in data_set.indices]
    if _gets_items_as(data_set, kinds.ConcatDataset):
        return list(data_set.datasets), None
    return None


def hugging_face(data_set: Any) -> tuple[Any, str | None] | None:
    """Recognise a data set of Hugging Face, or a column of one.

    Parameters
    ----------
    data_set : object

    Returns
    -------
    (datasets.Dataset, str or None) or None
        The data set, and the name of the column; None for anything else.
    """
    library = sys.modules.get("datasets.arrow_dataset")
    if library is None:
        return None
    if isinstance(data_set, library.Dataset):
        return data_set, None
    # Versions before 4 give a list in place of a column.
    column = getattr(library, "Column", ())
    if isinstance(data_set, column) and isinstance(data_set.source, library.Dataset):
        return data_set.source, data_set.column_name
    return None


def _undecoded(data_set: Any, key: Any) -> tuple[Any, Any]:
    """Leave out what is not the image, and leave it encoded where that is the same."""
    if data_set.format["type"] == "custom":
        # The user's function makes the items, whose keys may be others.
        return data_set, key
    features = data_set.features
    if key is None:
        typed = [name for name in features if _is_image_type(features[name])]
        try:
            key = typed[0] if len(typed) == 1 else only_key(list(features), typed)
        except UnusableImage as error:
            raise ValueError(
                f"X is a {type(data_set).__name__} with the columns "
                f"{joined(features)}: {error}"
            ) from None
    elif key not in features:
        raise ValueError(
            f"X is a {type(data_set).__name__} without the column {key!r}; it has "
            f"{joined(features)}"
        )
    data_set = data_set.with_format(None).select_columns([key])
    kind = features[key]
    if _is_image_type(kind) and kind.decode and kind.mode is None:
        data_set = data_set.cast_column(key, type(kind)(decode=False))
    return data_set, key


def _is_image_type(feature: Any) -> bool:
    """Return whether a column of Hugging Face's is of its type for images."""
    return type(feature).__name__ == "Image"


def _only_opens_files(data_set: Any) -> bool:
    """Return whether torchvision's data set gives the images of files as they are."""
    kinds = sys.modules.get("torchvision.datasets.folder")
    return (
        kinds is not None
        and _gets_items_as(data_set, kinds.DatasetFolder)
        and data_set.transform is None
        and data_set.loader is kinds.default_loader
    )


def _gets_items_as(data_set: Any, kind: type) -> bool:
    """Return whether a data set is of a class, and does not make items otherwise."""
    return isinstance(data_set, kind) and all(
        getattr(type(data_set), name) is getattr(kind, name)
        for name in ("__getitem__", "__len__")
    )
