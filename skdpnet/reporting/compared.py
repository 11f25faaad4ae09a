"""What a comparison says of one method: its answers, its parts, and where it looks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skdpnet.explanations.contributions import explain_each
from skdpnet.explanations.readout import read_model
from skdpnet.images.collection import Images
from skdpnet.metrics import parts_for_evidence

__all__ = ["Compared", "Strongest", "measure"]


@dataclass(frozen=True, eq=False)
class Strongest:
    """The part that speaks most for the predicted class of an image.

    Attributes
    ----------
    part : str
        Its name.
    box : float64 ndarray of shape (4,)
        The region that it responds to most, in pixels of the upright image.
    """

    part: str
    box: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Compared:
    """A fitted method, measured on the held-out images.

    Attributes
    ----------
    title : str
    seconds : float
        Time of the fit.
    predicted : list of n labels
    right : bool ndarray of shape (n,)
        Whether each image was recognised.
    n_parts : int or None
        None for a method without parts.
    in_decision : float or None
        Median over the images of the number of parts that give most of the evidence;
        see `skdpnet.metrics.parts_for_evidence`.
    strongest : dict of int to Strongest or None
        For the images that are shown; None where no part that has a place is present
        and speaks for the class. Empty for a method without parts.
    """

    title: str
    seconds: float
    predicted: list[Any] = field(repr=False)
    right: np.ndarray = field(repr=False)
    n_parts: int | None = None
    in_decision: float | None = None
    strongest: dict[int, Strongest | None] = field(default_factory=dict, repr=False)


def measure(
    title: str,
    estimator,
    test: Images,
    y_test: np.ndarray,
    *,
    seconds: float,
    has_parts: bool,
    shown: Collection[int],
    verbose: int = 0,
) -> Compared:
    """Measure a fitted method on held-out images.

    Parameters
    ----------
    title : str
    estimator : fitted classifier
        As `skdpnet.explain` takes it, if it has parts.
    test : Images
    y_test : ndarray of shape (n,)
        Labels.
    seconds : float
        Time of the fit.
    has_parts : bool
    shown : collection of int
        Numbers of the images that are shown.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    Compared
    """
    predicted = estimator.predict(test)
    right = predicted == y_test
    if not has_parts:
        return Compared(title, seconds, predicted.tolist(), right)
    parts, _ = read_model(estimator)
    names = parts.get_part_names()
    # The whole image, as a part, has no place in it.
    has_place = np.array([grid.n_regions > 1 for grid in parts.grids_])
    counts, strongest = [], {}
    explanations = tqdm(
        explain_each(estimator, test, apply_exif=True),
        desc=f"explaining {title}",
        total=len(y_test),
        unit="image",
        disable=not verbose,
    )
    for i, why in enumerate(explanations):
        counts.append(parts_for_evidence(why.contributions[None])[0])
        if i in shown:
            top = why.top_parts()
            top = top[has_place[why.part_maps[top]]]
            strongest[i] = (
                Strongest(str(names[top[0]]), why.boxes[top[0]].copy())
                if len(top)
                else None
            )
    return Compared(
        title,
        seconds,
        predicted.tolist(),
        right,
        n_parts=len(parts.part_maps_),
        in_decision=float(np.median(counts)),
        strongest=strongest,
    )
