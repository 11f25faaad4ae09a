"""A fit with the defaults on cached maps: seconds, and where they go."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.speed.timing import peak_bytes
from skdpnet import DPNetClassifier
from skdpnet.base.map_estimator import MapEstimator
from skdpnet.datasets import load_image_folder
from skdpnet.parts.dpnet import initial_state as starting
from skdpnet.parts.dpnet import learner as learning
from skdpnet.regions import whitening
from skdpnet.training.net import PartNet

__all__ = ["STAGES", "measure_fit", "timed"]

# Stage -> the functions whose time it is, less that of other stages within.
STAGES: dict[str, list[tuple[object, str]]] = {
    "cached maps": [(MapEstimator, "_maps")],
    "whitening: sample": [(whitening, "sample_regions")],
    "whitening: axes": [(whitening, "_principal_axes")],
    "whitening: apply": [(starting, "_whiten")],
    "k-means": [(starting, "cluster_parts")],
    "first classifier": [(learning, "fit_logistic")],
    "training": [(PartNet, "partial_fit")],
    "final classifier": [(learning, "fit_svm")],
    "maxima for the classifiers": [(learning, "training_maxima")],
}
OTHER = "everything else"


class _Clock:
    """Seconds of each stage; of nested ones, the innermost is running."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.perf_counter()

    def _stop(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0) + now - self._since
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._stop()
        self._running.append(name)
        try:
            yield
        finally:
            self._stop()
            self._running.pop()


@contextmanager
def timed(stages: dict[str, list[tuple[object, str]]]) -> Iterator[dict[str, float]]:
    """Take the time of stages inside the ``with`` block.

    Parameters
    ----------
    stages : dict of str to list of (object, str)
        The functions of each stage, as attributes of what they are looked up in.

    Yields
    ------
    dict of str to float
        Seconds of each that ran, without those of others within it.
    """
    clock = _Clock()

    def wrapped(name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*args, **kwargs):
            with clock.stage(name):
                return function(*args, **kwargs)

        return run

    with ExitStack() as patches, clock.stage(OTHER):
        for name, places in stages.items():
            for holder, attribute in places:
                function = wrapped(name, getattr(holder, attribute))
                patches.enter_context(patch.object(holder, attribute, function))
        yield clock.seconds


def measure_fit(key: dict, repeats: int) -> dict:
    """Fit several times, each from maps that the cache has.

    Parameters
    ----------
    key : dict
        ``data`` and ``memory``, folders; ``device``; ``shared``: whether the start
        (whitening and first parts) is one that an earlier fit left in the cache.
    repeats : int

    Returns
    -------
    dict
        ``images``; ``seconds`` of each fit; ``stages``: medians of each one's
        seconds; ``share`` of each in the median fit; ``peak_bytes``.
    """
    paths, y, _ = load_image_folder(Path(key["data"]))

    def model() -> DPNetClassifier:
        # A generator's numbers are this fit's own, so that no start is found.
        seed = 0 if key["shared"] else np.random.RandomState(0)
        return DPNetClassifier(
            memory=key["memory"], device=key["device"], random_state=seed
        )

    device = torch.device(key["device"])
    model().fit(paths, y)
    fits, stages = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        with timed(STAGES) as seconds:
            model().fit(paths, y)
        fits.append(time.perf_counter() - start)
        stages.append(seconds)
    names = [*STAGES, OTHER]
    medians = {
        name: statistics.median(own.get(name, 0.0) for own in stages) for name in names
    }
    whole = sum(medians.values())
    return {
        "images": len(paths),
        "seconds": fits,
        "median": statistics.median(fits),
        "stages": medians,
        "share": {name: own / whole for name, own in medians.items()},
        "peak_bytes": peak_bytes(lambda: model().fit(paths, y), device),
    }
