"""How boosting learns which parts decide on which class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from tqdm import tqdm

from skdpnet.parts.boosted.adaboost import Boosted, adaboost
from skdpnet.parts.boosted.bins import Bins
from skdpnet.parts.boosted.decision import BoostedDecision
from skdpnet.parts.boosted.forests import forest_importances, stack_trees
from skdpnet.parts.boosted.global_start import fit_global_start
from skdpnet.parts.boosted.shares import (
    background_shares,
    class_shares,
    foreground_of_parts,
)
from skdpnet.parts.dpnet.context import CONTEXT_GRID, fit_context_axes
from skdpnet.parts.dpnet.region_descriptors import region_weights
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import share_parts
from skdpnet.parts.map_parts import MapParts, region_maxima
from skdpnet.parts.standardisation import standardisation
from skdpnet.regions.foreground import OTSU

__all__ = ["BoostedLearner"]

_N_BINS = 64
_FOREGROUND = "part_foreground_"

# The parts of a map, and their maxima (n, P') on the training images.
Learned = tuple[MapParts, np.ndarray]


class BoostedLearner(BoostedDecision):
    """The fit of `SharedBoostedParts`, which documents it."""

    n_candidates_per_class: int
    n_rounds: int
    max_depth: int
    start: str | None
    shared: bool

    def _wants_context(self) -> bool:
        return self.start is not None

    def _check_learning(self, n_maps: int) -> None:
        self._shares()

    def _shares(self) -> list[int]:
        """Return the number of candidates of each class on each map."""
        n_candidates = self.n_candidates_per_class
        return share_parts(n_candidates, self._n_maps, "n_candidates_per_class")

    def _learn(self, X, y) -> np.ndarray:
        """Set all fitted attributes; return the maxima (n, P) on the training set."""
        maxima = super()._learn(X, y)
        # Trees are grown on the maxima. The descriptor is these, standardised.
        shift, scale = self.shift_[self.tree_parts_], self.scale_[self.tree_parts_]
        standard = (self.tree_thresholds_ - shift) * scale
        has_split = self.tree_parts_ >= 0
        self.tree_thresholds_ = np.where(has_split, standard, np.float32(0))
        if self._has_context():
            n_classes, weights = len(self.classes_), self.context_coef_
            scale = self.scale_[-n_classes:]
            self.intercept_ = self.intercept_ + weights * self.shift_[-n_classes:]
            self.context_coef_ = weights * (scale > 0) / np.where(scale > 0, scale, 1)
        importances, classes = self.part_importances_, self.part_classes_
        self.part_shares_ = class_shares(importances, classes)
        self.background_shares_ = background_shares(importances, self.part_foreground_)
        return maxima

    def _learn_maps(
        self, maps: list[np.ndarray], labels: np.ndarray, random: np.random.RandomState
    ) -> list[Learned]:
        of_parts, grids = maps[: self._n_maps], self.grids_[: self._n_maps]
        cpu = torch.device("cpu")
        weights = cast(list, region_weights(of_parts, grids, OTSU, cpu))
        candidates: list[Learned] = []
        for number, feature_map in enumerate(of_parts):
            regions = self._whiten(number, feature_map, random)
            found = self._learn_map(number, regions, labels, random)
            foreground = foreground_of_parts(regions, found, labels, weights[number])
            found = found._replace(facts={_FOREGROUND: foreground})
            candidates.append((found, region_maxima(regions, found)))
            del regions
        context, start = self._learn_context(maps[-1], labels, random)
        boosted = self._boost(candidates, labels, start)
        return [*self._keep_used(candidates, boosted, len(context)), *context]

    def _learn_map(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> MapParts:
        """Return the candidates of a map."""
        n_classes, share = len(self.classes_), self._shares()[number]
        centres = cluster_parts(regions, None, labels, n_classes, share, random)
        return MapParts(centres, np.repeat(np.arange(n_classes), share))

    def _learn_context(
        self, whole: np.ndarray, labels: np.ndarray, random: np.random.RandomState
    ) -> tuple[list[Learned], np.ndarray]:
        """Learn the classifier of whole images, and set its weights and intercepts.

        Returns
        -------
        context : list of Learned
            Its directions, if there is a global start.
        start : float64 ndarray of shape (n, C)
            The scores that boosting starts from.
        """
        n_classes = len(self.classes_)
        if not self._wants_context():
            self.context_coef_ = self.intercept_ = np.zeros(n_classes)
            return [], np.zeros((len(labels), n_classes))
        axes = fit_context_axes(whole, self.n_components)
        self.whitenings_.append(axes)
        regions = axes(whole, CONTEXT_GRID)
        start = fit_global_start(regions[:, 0], labels, n_classes, random)
        lengths = np.linalg.norm(start.coef, axis=1)
        directions = start.coef / np.where(lengths > 0, lengths, 1)[:, None]
        self.context_coef_ = lengths.astype(np.float64)
        self.intercept_ = start.intercept.astype(np.float64)
        ones = np.ones(n_classes, np.float32)
        parts = MapParts(directions, np.arange(n_classes), facts={_FOREGROUND: ones})
        return [(parts, region_maxima(regions, parts))], start.scores

    def _boost(
        self, candidates: Iterable[Learned], labels: np.ndarray, start: np.ndarray
    ) -> list[Boosted]:
        """Boost trees for each class, from scores (n, C)."""
        maxima = np.hstack([of_map for _, of_map in candidates])
        classes = np.concatenate([parts.classes for parts, _ in candidates])
        bins = Bins.of(maxima, _N_BINS)
        # A part that responds alike to all images is 0 in the descriptor.
        varies = standardisation(maxima)[1] > 0
        bar = tqdm(
            range(len(self.classes_)),
            desc="boosting",
            unit="class",
            disable=not self.verbose,
        )
        return [
            adaboost(
                bins,
                np.where(labels == c, 1.0, -1.0),
                start[:, c],
                self.n_rounds,
                self.max_depth,
                varies if self.shared else varies & (classes == c),
            )
            for c in bar
        ]

    def _keep_used(
        self, candidates: list[Learned], boosted: list[Boosted], n_context_maps: int
    ) -> list[Learned]:
        """Keep the candidates that trees ask for, and set the trees' attributes."""
        maps = np.repeat(
            np.arange(len(candidates)), [len(parts.classes) for parts, _ in candidates]
        )
        forest = stack_trees(boosted, self.max_depth)
        is_used = np.zeros(len(maps), bool)
        is_used[forest.parts[forest.parts >= 0]] = True
        # A map without parts would have no place in the descriptor.
        unused = np.setdiff1d(maps, maps[is_used])
        is_used[np.searchsorted(maps, unused)] = True
        numbers = np.cumsum(is_used) - 1
        self.tree_parts_ = np.where(forest.parts >= 0, numbers[forest.parts], -1)
        self.tree_thresholds_, self.tree_values_ = forest.thresholds, forest.values
        importances = forest_importances(boosted, len(maps))[:, is_used]
        n_columns = n_context_maps * len(self.classes_)
        self.part_importances_ = np.pad(importances, ((0, 0), (0, n_columns)))
        n_losses = forest.parts.shape[1] + 1
        self.losses_ = np.array(
            [
                np.pad(of.losses, (0, n_losses - len(of.losses)), mode="edge")
                for of in boosted
            ]
        )
        kept = []
        for number, (parts, maxima) in enumerate(candidates):
            used = is_used[maps == number]
            facts = {name: fact[used] for name, fact in parts.facts.items()}
            some = MapParts(parts.detectors[used], parts.classes[used], facts=facts)
            kept.append((some, np.ascontiguousarray(maxima[:, used])))
        return kept
