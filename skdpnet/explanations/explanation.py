"""What an explanation holds: contributions that add up to a score, and places."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.explanations.heat_map import over_cells, region_shares, resample
from skdpnet.explanations.readout import Readout
from skdpnet.regions import RegionGrid
from skdpnet.utils.validation import class_number, part_numbers

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a model gives an image its score for a class.

    Made by `explain`. C classes, P parts.

    Attributes
    ----------
    predicted : label
        The class of the largest score.
    explained : label
        The class whose score this explains.
    against : label or None
        The class whose score is taken off, in a `difference`.
    score : float
        The explained class's logit, ``contributions.sum() + bias``; of a difference,
        what it is larger by than the logit of `against`.
    contributions : float64 ndarray of shape (P,)
        What each part adds to `score`: ``V_cp · b_p``, with the standardised
        descriptor b, so against what the part adds to an average training image. A
        part of positive weight that is less present than on average adds less than 0.
    bias : float
        What no part accounts for: the score of an image all of whose parts are as
        present as on average.
    classes : ndarray of shape (C,)
    scores : float64 ndarray of shape (C,)
        The logits. Of a classifier with one row of coefficients for two classes (all
        of scikit-learn's linear ones) they are minus its decision value and its
        decision value.
    responses : float32 ndarray of shape (P,)
        Cosine of each part and its best region, ``max_r S_pr``.
    boxes : float64 ndarray of shape (P, 4)
        Those regions: (left, top, right, bottom) in pixels of the image, as stored
        or upright as `explain` was asked; for precomputed features in shares of
        the map's sides.
    weights : float64 ndarray of shape (P,), or None
        What one unit of the descriptor contributes: ``V_cp``; of a difference,
        ``V_cp - V_ap``. None where the decision is not linear in the descriptor.
    part_names : object ndarray of shape (P,)
    part_classes, part_maps : int ndarrays of shape (P,)
        Class that each part was learned for, as an index into the classes that the
        parts were learned with, −1 for a part that classes share; and the map that it
        responds on.
    heat_map_box : float64 ndarray of shape (4,)
        What `heat_map` covers, as the boxes are given: the centred square that the
        network saw.
    readout : skdpnet.explanations.readout.Readout
        The decision on `descriptor`. Of a linear classifier, its `coef` (C, P) and
        `intercept` (C,), with any standardisation before it folded in.
    descriptor : float64 ndarray of shape (P,)
        b, as the parts' `transform` returns it.
    grids : tuple of RegionGrid
        The regions of each map.
    cosines : tuple of float32 ndarrays of shape (R, P')
        Responses S of the P' parts on each map to its R regions.
    beta : float or None
        β of the soft maximum over the regions; None: the maximum is hard.
    """

    predicted: Any
    explained: Any
    against: Any
    score: float
    contributions: np.ndarray = field(repr=False)
    bias: float
    classes: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    responses: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)
    part_names: np.ndarray = field(repr=False)
    part_classes: np.ndarray = field(repr=False)
    part_maps: np.ndarray = field(repr=False)
    heat_map_box: np.ndarray = field(repr=False)
    readout: Readout = field(repr=False)
    descriptor: np.ndarray = field(repr=False)
    grids: tuple[RegionGrid, ...] = field(repr=False)
    cosines: tuple[np.ndarray, ...] = field(repr=False)
    beta: float | None = field(repr=False)

    def top_parts(self, n: int | None = None) -> np.ndarray:
        """Find the parts whose presence speaks for the class.

        These have a positive weight, where the decision is linear, and respond more
        than in an average training image. Other parts may add to the score by being
        absent: of negative weight, and less present than on average. They are in
        `contributions` and `heat_map` too, but the place where such a part responds
        most shows nothing of note.

        Parameters
        ----------
        n : int, default=None
            How many at most; None: all.

        Returns
        -------
        int ndarray
            Largest contribution first; may be empty.
        """
        order = np.argsort(-self.contributions, kind="stable")
        speaks_for = self.contributions[order] > 0
        if self.weights is not None:
            speaks_for &= self.weights[order] > 0
        return order[speaks_for][:n]

    def heat_map(self, parts: ArrayLike | None = None) -> np.ndarray:
        """Share the contributions out over the places that they come from.

        Each part's contribution goes to its regions by their shares in its maximum
        (`skdpnet.explanations.heat_map.region_shares`), and each region's evenly to
        its cells. Nothing is lost or added: the map adds up to the sum of the
        contributions, which with the bias is the score.

        Parameters
        ----------
        parts : int, array-like of int, or bool array-like of shape (P,), default=None
            Parts that the map shows, each once; None: all.

        Returns
        -------
        float64 ndarray of shape (H, W)
            In units of the logit; H×W are the cells of the finest map. Rows run down
            and columns across the square `heat_map_box` of the upright image. Where
            parts live on coarser maps, the value of a coarse cell is spread evenly
            over what it covers.

        Raises
        ------
        IndexError
            If there is no such part.
        """
        shown = np.zeros(len(self.contributions), bool)
        shown[part_numbers(parts, len(shown))] = True
        finest = max(self.grids, key=lambda grid: grid.height * grid.width)
        total = np.zeros((finest.height, finest.width))
        for i, (grid, cosines) in enumerate(zip(self.grids, self.cosines, strict=True)):
            on_map = self.part_maps == i
            shares = region_shares(cosines[:, shown[on_map]], self.beta)
            of_regions = shares @ self.contributions[on_map & shown]
            total += resample(over_cells(of_regions, grid), total.shape)
        return total

    def difference(self, other) -> Explanation:
        """Explain why the explained class and not another.

        Parameters
        ----------
        other : label
            A class.

        Returns
        -------
        Explanation
            Of the difference of the two scores: `contributions` are the differences of
            the parts' contributions, ``(V_cp - V_ap) · b_p`` where the classifier is
            linear, `bias` is the difference of the biases, and `heat_map` shares those
            contributions out. Exchanging the classes turns all signs.

        Raises
        ------
        ValueError
            If there is no such class; the message names close ones.
        """
        a = class_number(self.classes, self.explained)
        b = class_number(self.classes, other)
        descriptors = self.descriptor[None]
        weights_a, weights_b = self.readout.weights(a), self.readout.weights(b)
        if weights_a is None or weights_b is None:
            weights = None
        else:
            weights = weights_a - weights_b
        contributions_a, contributions_b = (
            self.readout.contributions(descriptors, c)[0] for c in (a, b)
        )
        bias_a, bias_b = (self.readout.biases(descriptors, c)[0] for c in (a, b))
        return replace(
            self,
            against=self.classes.tolist()[b],
            score=float(self.scores[a] - self.scores[b]),
            weights=weights,
            contributions=contributions_a - contributions_b,
            bias=float(bias_a - bias_b),
        )
