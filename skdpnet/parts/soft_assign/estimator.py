"""Two-stage parts: LDA detectors refined by soft assignment, then a classifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import classes_and_maps, share_parts, stack_parts
from skdpnet.parts.soft_assign.feature_map import WhitenedFeatureMap
from skdpnet.parts.soft_assign.sinkhorn import anneal, select_distinct
from skdpnet.parts.standardisation import standardisation
from skdpnet.persistence.checks import (
    check_array,
    check_parts_per_map,
    check_whitenings,
)
from skdpnet.regions.whitening import fit_whitening
from skdpnet.utils.validation import Number

__all__ = ["SoftAssignParts"]

# Cosine of whitened detectors above which they find the same regions.
_MAX_COSINE = 0.7


class SoftAssignParts(PartEstimator):
    """Describe images by discriminative parts that were learned without gradients.

    Two stages, after [1]_ and [2]_. First each class's parts are learned: its region
    descriptors are clustered, each cluster gives a linear discriminant detector, and
    those are kept that respond to the class's images but not to others. Then
    images and detectors take turns: in each image of the class every part is
    assigned softly to a region of its own (`soft_assign`), and becomes the detector
    of the mean of its regions, while the assignments harden. The second stage is a
    linear classifier on the descriptor that `transform` gives.

    Parameters
    ----------
    backbone, image_size, memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D instead of images. The parts are learned on the CPU.
    strides : sequence of int or None, default=(16, 32)
        Which maps of the backbone have parts; see `FeatureMaps`.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        Sides of the square regions as shares of the map's shorter side.
    n_parts_per_class : int, default=20
        Of all maps together, which share them evenly.
    n_candidates : int, default=None
        Clusters of each class on all maps, from which its parts are chosen; at least
        `n_parts_per_class`. None: three times `n_parts_per_class`.
    n_components : int or None, default=256
        Directions of largest variance of the regions within which the detectors
        live. Keeping few is what makes the covariance invertible. None: no
        covariance is taken into account, and detectors are plain means.
    n_rounds : int, default=10
        Most rounds of assignment. A class's last round comes earlier where its
        assignments hardly change any more.
    beta_start, beta_end : float, default=40.0, 100.0
        Sharpness of the assignment in the first round and in round `n_rounds`; it
        grows by the same factor each round. Responses are cosines, so with β = 40 a
        region that matches 0.1 better weighs 55 times as much. Too soft a
        start lets the parts of a class fall together.
    random_state : int, RandomState or None, default=None
        Draws the samples of regions and starts k-means.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
    parts_ : float32 ndarray of shape (P, K)
        Unit detectors of the whitened regions, ``P = C * n_parts_per_class``, map by
        map and class by class. A class's parts come in the order in which they were
        chosen, best first. Where a map's whitened space has fewer dimensions than
        another's, zeros fill the row.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        Number of each part's class in `classes_`, and of its map.
    whitenings_ : list of Whitening
        Of each map, from descriptors of D dimensions to K.
    grids_ : list of RegionGrid
        Layout of the regions of each map.
    shift_, scale_ : float32 ndarrays of shape (P,)
        The descriptor is ``(maxima - shift_) * scale_``.
    n_iter_ : int
        Rounds of the class that took most.
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    Notes
    -----
    The discriminant detector of regions of mean μ_k is ``Σ⁻¹ (μ_k - μ)``, with the
    mean μ and covariance Σ of all regions. After PCA whitening, which is
    multiplication by ``Σ^(-1/2)`` within the directions kept, it is the mean of the
    whitened regions itself. Regions are l2-normalised before the whitening, as in the
    papers, and both regions and detectors are brought to length 1 after it, so that
    responses are cosines: β has the same meaning for every data set and part, and no
    part wins by its length.

    The parts have seen the labels of the training images, so their descriptors are
    better than those of new ones. Choose the classifier's parameters by
    cross-validation of a pipeline that holds both, not on `fit_transform`'s output.

    Where images have fewer regions than parts (a single one for features n×D),
    regions are shared among parts rather than parts among regions; see
    `soft_assign`. Where a class has too few distinct regions for its clusters,
    random directions complete them.

    References
    ----------
    .. [1] R. Sicre, F. Jurie, "Discriminative part model for visual recognition",
       Computer Vision and Image Understanding 141, 2015.
    .. [2] R. Sicre, J. Rabin, Y. Avrithis, T. Furon, F. Jurie, E. Kijak, "Automatic
       discovery of discriminative parts as a quadratic assignment problem", 2016,
       arXiv:1611.04413.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skdpnet import SoftAssignParts
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = SoftAssignParts("precomputed", n_components=32, random_state=0)
    >>> model = make_pipeline(parts, LinearSVC()).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PartEstimator._parameter_constraints,
        "n_parts_per_class": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
        "n_candidates": [Number(1, whole=True), None],
        "n_rounds": [Number(1, whole=True)],
        "beta_start": [Number(0, above=True)],
        "beta_end": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartEstimator._fitted_attributes,
        *("parts_", "whitenings_", "n_iter_", "shift_", "scale_"),
    )

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int] | None = (16, 32),
        image_size: int | None = None,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        n_parts_per_class: int = 20,
        n_candidates: int | None = None,
        n_components: int | None = 256,
        n_rounds: int = 10,
        beta_start: float = 40.0,
        beta_end: float = 100.0,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 2,
        verbose: int = 0,
        random_state=None,
    ):
        super().__init__(
            backbone,
            strides=strides,
            image_size=image_size,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.region_scales = region_scales
        self.n_parts_per_class = n_parts_per_class
        self.n_candidates = n_candidates
        self.n_components = n_components
        self.n_rounds = n_rounds
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.random_state = random_state

    def fit(self, X, y) -> SoftAssignParts:
        """Learn the parts of each class.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For unusable parameters, labels or data; the message names what and why.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        self._learn(X, y)
        return self

    def fit_transform(self, X, y=None) -> np.ndarray:
        """Fit and transform, computing the maps once.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, P)
            As from `transform`.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `fit`.
        """
        return self._standardise(self._learn(X, y))

    def transform(self, X) -> np.ndarray:
        """Describe images by their parts.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Returns
        -------
        float32 ndarray of shape (n, P)
            The maximum of each part's response over the regions, standardised on the
            training set (mean 0, variance 1/P), so that a row's length is about 1
            and a linear classifier's ``C`` means the same for every number of parts.
            A part that responded alike to all training images gives 0.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or X is unusable.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        return super().transform(X)

    def part_responses(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        """Compute the cosines of parts and regions; see `PartEstimator`."""
        return [
            one_map.responses(detectors)
            for one_map, detectors in self._whitened_with_parts(maps)
        ]

    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute standardised maxima over the regions; see `PartEstimator`."""
        maxima = [on_map.amax(dim=1).numpy() for on_map in responses]
        return self._standardise(np.hstack(maxima))

    def _learn(self, X, y) -> np.ndarray:
        """Set all fitted attributes; return the maxima (n, P) on the training set."""
        maps, labels = self._begin_fit(X, y)
        n_candidates = self._check_candidates()
        random = check_random_state(self.random_state)
        shares = share_parts(self.n_parts_per_class, len(maps))
        self.whitenings_, parts, maxima, rounds = [], [], [], []
        for feature_map, grid, share in zip(maps, self.grids_, shares, strict=True):
            whitening = fit_whitening(feature_map, grid, self.n_components, random)
            of_map, maxima_of_map, n_rounds = self._learn_map(
                WhitenedFeatureMap(
                    whitening, grid, whitening(feature_map, grid, self.memory)
                ),
                labels,
                share,
                n_candidates * share // self.n_parts_per_class,
                random,
            )
            self.whitenings_.append(whitening)
            parts.append(of_map)
            maxima.append(maxima_of_map)
            rounds.append(n_rounds)
        self.parts_ = stack_parts(parts)
        self.part_classes_, self.part_maps_ = classes_and_maps(
            shares, len(self.classes_)
        )
        self.n_iter_ = max(rounds)
        b = np.hstack(maxima)
        self.shift_, self.scale_ = standardisation(b)
        return b

    def _check_candidates(self) -> int:
        q = self.n_parts_per_class
        n_candidates = 3 * q if self.n_candidates is None else self.n_candidates
        if n_candidates < q:
            raise ValueError(
                f"n_candidates={n_candidates} leaves nothing to choose "
                f"n_parts_per_class={q} parts from: it must be at least as large."
            )
        return n_candidates

    def _learn_map(
        self,
        feature_map: WhitenedFeatureMap,
        labels: np.ndarray,
        n_parts: int,
        n_candidates: int,
        random: np.random.RandomState,
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Learn one map's parts: their detectors, maxima on X, and the rounds taken."""
        n_classes = len(self.classes_)
        candidates = cluster_parts(
            feature_map.whitened,
            feature_map.whitening,
            labels,
            n_classes,
            feature_map.grid,
            n_candidates,
            random,
        )
        maxima = feature_map.maxima(candidates)
        betas = np.geomspace(self.beta_start, self.beta_end, self.n_rounds)
        parts, rounds = [], []
        for label in range(n_classes):
            of_class = labels == label
            numbers = slice(label * n_candidates, (label + 1) * n_candidates)
            merit = maxima[of_class, numbers].mean(0) - maxima[~of_class, numbers].mean(
                0
            )
            detectors = candidates[numbers]
            chosen = select_distinct(detectors, merit, n_parts, _MAX_COSINE)
            regions = feature_map.regions(of_class, self.memory)
            refined, n_rounds = anneal(regions, detectors[chosen], betas)
            parts.append(refined)
            rounds.append(n_rounds)
        learned = np.concatenate(parts)
        return learned, feature_map.maxima(learned), max(rounds)

    def _standardise(self, maxima: np.ndarray) -> np.ndarray:
        return (maxima - self.shift_) * self.scale_

    def _describe_maps(self, maps: list[np.ndarray]) -> np.ndarray:
        maxima = [
            one_map.maxima(detectors)
            for one_map, detectors in self._whitened_with_parts(maps)
        ]
        return self._standardise(np.hstack(maxima))

    def _whitened_with_parts(
        self, maps: list[np.ndarray]
    ) -> Iterator[tuple[WhitenedFeatureMap, np.ndarray]]:
        """Yield each map of some images, whitened, and the parts that live on it."""
        for i, (feature_map, whitening, grid) in enumerate(
            zip(maps, self.whitenings_, self.grids_, strict=True)
        ):
            depth = whitening.projection.shape[1]
            detectors = self.parts_[self.part_maps_ == i, :depth]
            whitened = whitening(feature_map, grid, self.memory)
            yield WhitenedFeatureMap(whitening, grid, whitened), detectors

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_parts_per_map(state)
        depths = check_whitenings(state["whitenings_"], state["map_shapes_"])
        n_parts = len(state["part_classes_"])
        check_array("parts_", state["parts_"], (n_parts, max(depths)))
        check_array("shift_", state["shift_"], (n_parts,))
        check_array("scale_", state["scale_"], (n_parts,))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")
