"""Numbers that fits with the same initial state share through the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from skdpnet.storage.array_store import ArrayStore

__all__ = ["SharedResults"]


@dataclass(frozen=True)
class SharedResults:
    """What fits with the same initial state compute alike, in the folder `memory`.

    Parameters
    ----------
    store : ArrayStore or None
        None: nothing is kept.
    key : str
        Key of the initial state in the store.
    """

    store: ArrayStore | None
    key: str

    def number(
        self,
        settings: Iterable[float | np.ndarray | None],
        compute: Callable[[], float],
    ) -> float:
        """Read a number from the store, or compute it and keep it there.

        Parameters
        ----------
        settings : iterable of float, ndarray or None
            All that the number depends on besides the initial state.
        compute : callable
            Function without arguments that returns the number.

        Returns
        -------
        float
        """
        if self.store is None:
            return compute()
        digest = hashlib.blake2b(self.key.encode(), digest_size=16)
        for value in settings:
            digest.update(b"None" if value is None else np.float64(value).tobytes())
        key = digest.hexdigest()
        arrays = self.store.read(key)
        if arrays is None:
            arrays = (np.array([compute()], dtype=np.float64),)
            self.store.write(key, arrays)
        return float(arrays[0][0])
