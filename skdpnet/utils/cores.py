"""The cores that this process may use, and how many threads decode on them."""

from __future__ import annotations

import multiprocessing

import joblib

__all__ = ["AUTO_WORKERS", "decoding_threads", "usable_cores"]

# In place of a number of workers: as many as there are cores for this process.
AUTO_WORKERS = "auto"
# Each thread holds a decoded image. Beyond this many, Python's lock is what they wait
# for.
_MOST_AUTO_THREADS = 32


def usable_cores() -> int:
    """Return the number of cores that this process may use.

    Its affinity and the limits of control groups are respected, as is joblib's variable
    LOKY_MAX_CPU_COUNT. A process that another Python process started, such as a worker
    of joblib, has the share of the cores that its threads of torch were given.

    Returns
    -------
    int
        At least 1.
    """
    cores = joblib.cpu_count()
    if multiprocessing.parent_process() is None:
        return cores
    # Not at the top: images are checked without torch.
    import torch

    return min(cores, torch.get_num_threads())


def decoding_threads(num_workers: int | str) -> int:
    """Return how many threads decode images.

    Parameters
    ----------
    num_workers : int or "auto"
        "auto": the cores that this process may use, at most 32.

    Returns
    -------
    int
        0: the calling thread decodes.
    """
    if isinstance(num_workers, str):
        return min(usable_cores(), _MOST_AUTO_THREADS)
    return int(num_workers)
