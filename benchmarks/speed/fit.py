"""The time of a fit with default settings on cached maps, and of each of its stages."""

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
from skdpnet.parts.dpnet import fitting, initial_state
from skdpnet.parts.dpnet.fitting import ClassifierFits
from skdpnet.regions import whitening
from skdpnet.training.classifier_refit import ClassifierRefit
from skdpnet.training.net import ObjectiveNet

__all__ = ["STAGES", "measure_fit", "timed"]

# The functions of each stage. The time of stages that run inside others counts once:
# as that of the inner stage, or as that of the outer one if it is counted as a whole.
STAGES: dict[str, list[tuple[object, str]]] = {
    "cached maps": [(MapEstimator, "_all_maps")],
    "whitening: sample": [(whitening, "sample_regions")],
    "whitening: axes": [(whitening, "_principal_axes")],
    "whitening: apply": [(initial_state, "describe_regions")],
    "k-means": [(initial_state, "cluster_parts")],
    "maxima for the classifiers": [(fitting, "training_maxima")],
    "calibration": [(ClassifierFits, "calibrated_spread")],
    "first classifier": [
        (ClassifierFits, "in_training"),
        (ClassifierFits, "first_running"),
    ],
    "training": [(ObjectiveNet, "partial_fit")],
    "refits of the classifier": [(ClassifierRefit, "on_epoch_begin")],
    "final classifier": [(ClassifierFits, "final"), (ClassifierFits, "running")],
}
# Refits call the function of the first classifier.
_WHOLE = {"refits of the classifier"}
OTHER = "everything else"


class _Clock:
    """A clock for each stage; where stages are nested, that of the innermost runs."""

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
        if _WHOLE.intersection(self._running):
            yield
            return
        self._stop()
        self._running.append(name)
        try:
            yield
        finally:
            self._stop()
            self._running.pop()


@contextmanager
def timed(stages: dict[str, list[tuple[object, str]]]) -> Iterator[dict[str, float]]:
    """Measure the seconds of stages inside the ``with`` block.

    Parameters
    ----------
    stages : dict of str to list of (object, str)
        The functions of each stage, each as the object that it is looked up in and the
        name of its attribute.

    Yields
    ------
    dict of str to float
        Seconds of each stage that ran, without those of stages inside it.
    """
    clock = _Clock()

    def wrapped(name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*args, **kwargs):
            with clock.stage(name):
                return function(*args, **kwargs)

        return run

    with ExitStack() as patches, clock.stage(OTHER):
        for name, functions in stages.items():
            for holder, attribute in functions:
                function = wrapped(name, getattr(holder, attribute))
                patches.enter_context(patch.object(holder, attribute, function))
        yield clock.seconds


def measure_fit(key: dict, repeats: int) -> dict:
    """Fit several times on maps that are in the cache.

    Parameters
    ----------
    key : dict
        ``data`` and ``memory``: folders; ``device``; ``shared``: whether fits find the
        initial state (whitening and first parts) of an earlier fit in the cache.
    repeats : int
        Number of fits.

    Returns
    -------
    dict
        ``images``; ``seconds`` of each fit and their ``median``; ``stages``: medians of
        the seconds of each stage; ``share`` of each stage in their sum; ``peak_bytes``.
    """
    paths, y, _ = load_image_folder(Path(key["data"]))

    def model() -> DPNetClassifier:
        # With a generator no fit can share its initial state through the cache.
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
        name: statistics.median(seconds.get(name, 0.0) for seconds in stages)
        for name in names
    }
    whole = sum(medians.values())
    return {
        "images": len(paths),
        "seconds": fits,
        "median": statistics.median(fits),
        "stages": medians,
        "share": {name: median / whole for name, median in medians.items()},
        "peak_bytes": peak_bytes(lambda: model().fit(paths, y), device),
    }
