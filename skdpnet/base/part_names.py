"""Names of parts: which part a user means, and which names parts may be given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from skdpnet.utils.validation import part_numbers

__all__ = ["named_parts", "renamed", "usual_names"]

_SHOWN = 5


def usual_names(part_classes: np.ndarray, classes: np.ndarray) -> list[str]:
    """Return the names that parts have before they are renamed.

    Parameters
    ----------
    part_classes : int ndarray of shape (P,)
        The class of each part, as an index into `classes`; −1 for a shared part.
    classes : ndarray of shape (C,)

    Returns
    -------
    list of str
        As `PartNaming.get_part_names` describes them.
    """
    n_named: Counter[int] = Counter()
    names = []
    for c in part_classes.tolist():
        prefix = "" if c < 0 else f"{classes[c]}_"
        names.append(f"{prefix}part{n_named[c]}")
        n_named[c] += 1
    return names


def named_parts(parts: Any, names: np.ndarray) -> np.ndarray:
    """Return the numbers of parts that are named by number or by name.

    Parameters
    ----------
    parts : int, str, array-like of int and str, or bool array-like of shape (P,)
        Numbers are indices into `names`; a mask is True for the parts that are meant.
    names : object ndarray of shape (P,)
        As from `get_part_names`.

    Returns
    -------
    int ndarray
        The numbers in the order in which they were passed.

    Raises
    ------
    ValueError
        If there is no part of such a name, or if several have it.
    IndexError, TypeError
        As `part_numbers`.
    """
    if parts is None:
        raise TypeError("parts are named by numbers or names, got None.")
    items = [parts] if isinstance(parts, str) else parts
    if not isinstance(items, (list, tuple, set, frozenset, np.ndarray)):
        return part_numbers(items, len(names))
    items = list(items)
    if not any(isinstance(item, str) for item in items):
        return part_numbers(np.array(items) if items else [], len(names))
    return np.concatenate([_numbers_of(item, names) for item in items])


def _numbers_of(item: Any, names: np.ndarray) -> np.ndarray:
    if not isinstance(item, str):
        return part_numbers(item, len(names))
    matches = np.flatnonzero(names == item)
    if len(matches) == 0:
        few = ", ".join(map(repr, names[:_SHOWN].tolist()))
        raise ValueError(
            f"there is no part {str(item)!r}. get_part_names() has the names of "
            f"the {len(names)} parts: {few}{', …' if len(names) > _SHOWN else ''}"
        )
    if len(matches) > 1:
        raise ValueError(
            f"{len(matches)} parts are called {str(item)!r}: take their numbers, "
            f"{matches.tolist()}."
        )
    return matches


def renamed(new: Mapping[int | str, str], names: np.ndarray) -> np.ndarray:
    """Return the names of all parts after some of them were renamed.

    Parameters
    ----------
    new : mapping of int or str to str
        A part's number or present name, and its new name.
    names : object ndarray of shape (P,)
        The present names.

    Returns
    -------
    object ndarray of shape (P,)

    Raises
    ------
    TypeError
        If `new` is not a mapping, or if a new name is not text.
    ValueError
        If a new name is blank, if a part is renamed twice, if two parts would have the
        same name, or as `named_parts`.
    IndexError
        As `named_parts`.
    """
    if not isinstance(new, Mapping):
        raise TypeError(
            "names are passed as a dict from a part's number or name to its new name, "
            f"got {type(new).__name__}."
        )
    after, seen = names.copy(), set()
    for key, name in new.items():
        if not isinstance(name, str):
            raise TypeError(
                f"the new name of part {key!r} must be text, got {type(name).__name__}."
            )
        if not name.strip():
            raise ValueError(f"the new name of part {key!r} is blank.")
        (number,) = named_parts([key], names)
        if number in seen:
            raise ValueError(
                f"part {number}, {names[number]!r}, is renamed twice: name it once, by "
                "its number or its name."
            )
        seen.add(number)
        after[number] = str(name)
    taken = [name for name, count in Counter(after.tolist()).items() if count > 1]
    if taken:
        raise ValueError(
            f"two parts would be called {taken[0]!r}, parts "
            f"{np.flatnonzero(after == taken[0]).tolist()}: each needs a name of its "
            "own."
        )
    return after
