"""The explanation of a score: contributions that add up to it, and their regions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.explanations.heat_map import over_cells, region_shares, resample
from skdpnet.explanations.readout import PartSums, Readout
from skdpnet.regions import RegionGrid
from skdpnet.utils.validation import class_number, part_numbers

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """The contributions of parts and regions to the score of a class in an image.

    `explain` returns it. There are C classes and P parts.

    Attributes
    ----------
    predicted : label
        The class with the largest score. A model of several labels an image predicts it
        if that score is above 0, and so every other class. Of a regressor, the
        predicted number, which is the score too.
    explained : label
        The class whose score is explained; of a regressor, the number of the target.
    against : label or None
        The class whose score is subtracted, in a `difference`.
    score : float
        The score (logit) of the explained class, ``contributions.sum() + bias``; in a
        difference, minus the score of `against`.
    contributions : float64 ndarray of shape (P,)
        The contribution of each part to `score`: ``V_cp · b_p``, if the classifier is
        linear, or the sum of these where a part has several numbers. As the descriptor
        b is standardised, it is relative to the mean over the training images. A part
        of positive weight that responds less than on average has a negative
        contribution.
    bias : float
        The part of the score that no part contributes: the score of an image in which
        all parts respond as on average.
    classes : ndarray of shape (C,)
        The classes of the model.
    scores : float64 ndarray of shape (C,)
        The scores of all classes. Linear classifiers of scikit-learn have one decision
        value for two classes; the scores are then minus this value and this value.
    responses : float32 ndarray of shape (P,)
        Cosine of each part and the region that it responds to most, ``max_r S_pr``.
    boxes : float64 ndarray of shape (P, 4)
        Those regions: (left, top, right, bottom) in pixels of the image, either as it
        is stored or with its EXIF orientation applied (`apply_exif` of `explain`). For
        precomputed features, in shares of the map's sides.
    weights : float64 ndarray of shape (P,), or None
        The contribution of one unit of the descriptor: ``V_cp``; in a difference,
        ``V_cp - V_ap``, where a is the class `against`. None if the decision is not
        linear in the descriptor, or if a part has several numbers.
    part_names : object ndarray of shape (P,)
        Names of the parts, as from `get_part_names`.
    part_classes, part_maps : int ndarrays of shape (P,)
        The class that each part was learned for, as an index into the classes that the
        parts were learned with, −1 for a part that classes share; and the number of the
        map that it responds on.
    heat_map_box : float64 ndarray of shape (4,)
        The box that `heat_map` covers, in the units of `boxes`: what the network sees
        of the image. For ``framing="pad"`` it extends beyond the image.
    readout : skdpnet.explanations.readout.Readout
        The decision on `descriptor`. For a linear classifier, it has `coef` (C, P) and
        `intercept` (C,), which include a standardisation before the classifier.
    descriptor : float64 ndarray of shape (F,)
        The descriptor b, as from the `transform` of the parts. F is P, unless they
        have several numbers each.
    grids : tuple of RegionGrid
        The layout of the regions of each map.
    extents : tuple of (int, int)
        The rows and columns of each map that the image covers, from the upper left
        corner: all of them, but for ``framing="aspect"``. For precomputed features
        they are not known, and all count.
    cosines : tuple of float32 ndarray of shape (R, P')
        For each map, the responses S of its P' parts to its R regions.
    beta : float or None
        β of the soft maximum over the regions; None: the maximum is hard.

    See Also
    --------
    ClassExplanation : Mean contributions to the score of a class.
    skdpnet.display.ExplanationDisplay : Draws contributions, regions and heat map.
    skdpnet.display.HeatMapDisplay : Draws the heat map over the image.
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
    extents: tuple[tuple[int, int], ...] = field(repr=False)
    cosines: tuple[np.ndarray, ...] = field(repr=False)
    beta: float | None = field(repr=False)

    @property
    def present(self) -> np.ndarray:
        """Whether each part is in the image, bool ndarray of shape (P,).

        Where the descriptor has one number for each part, whether the part responds
        more than on average. Where it has several, whether it responds above 0.
        """
        has_several = isinstance(self.readout, PartSums)
        return (self.responses if has_several else self.descriptor) > 0

    def top_parts(self, n: int | None = None) -> np.ndarray:
        """Find the parts whose presence raises the score.

        Their contribution is positive, and so is their weight, if the decision is
        linear: they respond more than on average. A part of negative weight that
        responds less than on average raises the score by its absence. Such parts are
        in `contributions` and `heat_map` too, but not here, because the region to which
        an absent part responds most means nothing.

        Parameters
        ----------
        n : int, default=None
            Maximal number of parts; None: all.

        Returns
        -------
        int ndarray
            Numbers of the parts, largest contribution first. It may be empty.
        """
        order = np.argsort(-self.contributions, kind="stable")
        raises_score = self.contributions[order] > 0
        if self.weights is not None:
            raises_score &= self.weights[order] > 0
        return order[raises_score][:n]

    def heat_map(self, parts: ArrayLike | None = None) -> np.ndarray:
        """Distribute the contributions over the cells that they come from.

        The contribution of a part is divided among the regions by their shares in the
        maximum (`skdpnet.explanations.heat_map.region_shares`), and that of a region
        evenly among its cells. The sum of the heat map is the sum of the contributions,
        which is the score without the bias.

        Parameters
        ----------
        parts : int, array-like of int, or bool array-like of shape (P,), default=None
            The parts whose contributions are distributed. None: all parts.

        Returns
        -------
        float64 ndarray of shape (H, W)
            Contributions, in the unit of the score, of the image's cells on the finest
            map.
            These divide `heat_map_box` of the image with its EXIF orientation applied.
            The value of a cell of a coarser map is divided evenly
            among the cells that it covers.

        Raises
        ------
        IndexError
            If there is no part with such a number.
        TypeError
            If `parts` holds anything but whole numbers.
        """
        shown = np.zeros(len(self.contributions), bool)
        shown[part_numbers(parts, len(shown))] = True
        total = np.zeros(max(self.extents, key=math.prod))
        each = zip(self.grids, self.extents, self.cosines, strict=True)
        for i, (grid, extent, cosines) in enumerate(each):
            on_map = self.part_maps == i
            shares = region_shares(cosines[:, shown[on_map]], self.beta)
            by_region = shares @ self.contributions[on_map & shown]
            total += resample(over_cells(by_region, grid, extent), total.shape)
        return total

    def difference(self, other) -> Explanation:
        """Explain the difference between the scores of the explained class and another.

        Parameters
        ----------
        other : label
            The class whose score is subtracted.

        Returns
        -------
        Explanation
            `score`, `contributions`, `bias` and `weights` are the differences between
            those of the explained class and those of the other. `heat_map` distributes
            these contributions. If the classes are exchanged, all signs change.

        Raises
        ------
        ValueError
            If `other` is not a class of the model; the message names similar labels. If
            the model is a regressor.
        """
        if self.readout.outcome == "target":
            raise ValueError(
                "the predictions of a regressor are in units of their own, so that the "
                "difference of two targets means nothing: explain each by itself."
            )
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
