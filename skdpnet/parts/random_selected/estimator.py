"""Random regions as parts that classes share, selected and improved by one loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.encodings.pyramid import Levels
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import share_parts
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.map_parts import MapParts, region_maxima
from skdpnet.parts.random_selected.joint_rounds import fit_classifier, optimise_jointly
from skdpnet.parts.random_selected.selection import (
    columns_of,
    draw_candidates,
    select_parts,
)
from skdpnet.parts.standardisation import standardisation
from skdpnet.persistence.checks import check_array
from skdpnet.regions.grid import AVERAGE_POOLING
from skdpnet.utils.validation import Number

__all__ = ["RandomSelectedParts"]

# The parts of a map, and their maxima on the training images.
Learned = tuple[MapParts, np.ndarray]


class RandomSelectedParts(LinearParts):
    """Describe images by random regions that were selected because they classify well.

    Parts are shared by all classes, as in [1]_. A pool of candidates is drawn at random
    from all regions of the training images, whatever their class. A linear classifier
    on the maxima of the candidates' responses is fitted with a penalty on the norm of
    each candidate's weights in all classes, the group lasso, so that it uses few of
    them; those with the largest norms become the parts. The parts may then be improved
    jointly with a classifier (`joint_rounds`), by a convex bound on its loss. All three
    steps ask only what classifies the training images; nothing asks that parts be of a
    class, frequent or distinct.

    The descriptor of an image is the maximum of each part's response over the regions,
    standardised on the training set (mean 0, variance 1/P). A linear classifier on it
    gives each part a weight for every class. Many of the weights are negative: the part
    speaks against the class. [1]_ calls these negative parts. Explanations show their
    contributions with their signs.

    Parameters
    ----------
    backbone, weights, image_size, framing, memory, device, precision, num_workers
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images. The parts are learned on the CPU.
    strides : sequence of int, "last" or "average", or None, \
            default=(16, 32, "average")
        As in `FeatureMaps`. Maps of several cells have parts; the average has none, and
        is computed so that the default shares the maps of DP-Net in `memory`.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        Sides of the square regions, as shares of the image's shorter side on the map.
    pooling : {"average", "concat"}, default="average"
        How a region is described by its cells before it is whitened: by their average,
        or by all of them side by side, as rigid templates of HOG are, the papers'
        features. They need a single share as `region_scales`; see `SoftAssignParts`.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. None:
        regions are not whitened.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid, such as ``((1, 1), (2, 2))`` [1]_. Each cuts the
        image into cells, and each part has a copy for each cell, which responds to the
        regions whose centres lie in the cell. The copies of a part are selected
        together. The joint rounds see whole images. None: no pyramid. Cells of zeros at
        the right and lower edges of given maps are taken to lie beyond the image.
    n_candidates : int, default=5000
        Size of the pool, on all maps together. The maps have equal shares, and the
        coarsest also the remainder; a map with fewer regions gives all that it has.
    n_parts : int, default=200
        Number of parts, on all maps together, which have equal shares as well; with a
        pyramid, there are as many in each cell. As many as candidates: all are kept,
        and nothing is selected.
    joint_rounds : int, default=0
        Rounds in which parts and classifier are improved in turn. The parts are then no
        longer regions of images.
    C : float > 0, default=1.0
        Weight of the hinge losses, against half the squared weights, in the multiclass
        classifier that gives `part_norms_` and with which the parts are improved.
    verbose : int, default=0
        As in `FeatureMaps`; also shows the selection and the rounds.
    random_state : int, RandomState or None, default=None
        Determines the sample of regions for the whitening and the pool.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    parts_ : float32 ndarray of shape (P, K)
        Detectors of the whitened regions, of unit length, where P is `n_parts`, times
        the number of cells of a pyramid. They are sorted by map, and then by the norms
        of the selection, largest first. Zeros fill the rows of a map whose whitened
        space has fewer dimensions than another's.
    part_norms_ : float32 ndarray of shape (P,)
        Norms of the parts' weights in all classes and cells, in a support vector
        machine of Crammer and Singer on the descriptors of the training images. A part
        of a small norm hardly matters to it.
    part_sources_ : int64 ndarray of shape (P, 3)
        The region that each part was drawn as: the number of the image in X, that of
        the region in the grid of the map, and the class of the image, as an index into
        `classes_`. The class is where a part comes from, not what it speaks for. All
        are −1 for a random direction; see the notes.
    objectives_ : list of float
        What the joint rounds lower, before the first and after each; it never rises.
        Empty if there are no rounds.
    part_classes_ : int ndarray of shape (P,)
        −1: classes share the parts.
    part_maps_ : int ndarray of shape (P,)
        The number of the map of each part.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    shift_, scale_ : float32 ndarrays of shape (P,)
        The descriptor is ``(maxima - shift_) * scale_``.
    part_cells_ : float64 ndarray of shape (P, 4)
        With a pyramid only: left, top, right and bottom of the cell of each part, as
        shares of the image's sides. The copies of a part follow one another.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    SoftAssignParts : Parts of each class, learned without gradients.
    DPNetTransformer : Parts that are learned by gradient descent.
    GlobalFeatures : The descriptor without parts, to compare with.

    Notes
    -----
    From [1]_ are the shared parts, the pool of random regions, the selection by the
    group lasso, the multiclass hinge loss, classifier and parts in turn, and the convex
    bound. There, the joint model is the classifier. Here the estimator is a
    transformer, as the other part learners are, and any linear classifier follows.

    Ours are these choices. The parts see whitened regions of cached feature maps. The
    selection has the squared hinge loss of each class against the rest, which is
    smooth, so that its minimum can be verified, and the standardised maxima. λ is not a
    parameter: it is lowered until enough candidates of each map are in use, each λ
    being 0.85 times the one before. In the joint rounds L-BFGS lowers the bound in
    place of cutting planes, and the penalty on the parts is such that it equals that of
    the classifier at the start. After them the parts are scaled to unit length, which
    the standardisation makes equivalent.

    The parts are selected with the labels of the training images, so that these are
    separated better than new images. Choose the parameters of the classifier by
    cross-validation of a pipeline that holds both, not on the output of
    `fit_transform`.

    If the images have fewer regions than there are parts, or if all of them are alike,
    random directions take the place of the missing parts.

    References
    ----------
    .. [1] S. Naderi Parizi, A. Vedaldi, A. Zisserman, P. Felzenszwalb, "Automatic
       discovery and optimization of parts for image classification", ICLR 2015,
       arXiv:1412.6598.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skdpnet import RandomSelectedParts
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = RandomSelectedParts(
    ...     "precomputed", n_components=32, n_candidates=500, n_parts=60, random_state=0
    ... )
    >>> model = make_pipeline(parts, LinearSVC()).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LinearParts._parameter_constraints,
        "n_candidates": [Number(1, whole=True)],
        "n_parts": [Number(1, whole=True)],
        "joint_rounds": [Number(0, whole=True)],
        "C": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LinearParts._fitted_attributes,
        *("part_norms_", "part_sources_", "objectives_"),
    )

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        pooling: str = AVERAGE_POOLING,
        n_components: int | None = 256,
        pyramid: Levels | None = None,
        n_candidates: int = 5000,
        n_parts: int = 200,
        joint_rounds: int = 0,
        C: float = 1.0,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
        random_state=None,
    ):
        super().__init__(
            backbone,
            weights=weights,
            strides=strides,
            image_size=image_size,
            framing=framing,
            region_scales=region_scales,
            pooling=pooling,
            n_components=n_components,
            pyramid=pyramid,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.n_candidates = n_candidates
        self.n_parts = n_parts
        self.joint_rounds = joint_rounds
        self.C = C

    def _check_learning(self, n_maps: int) -> None:
        if self.n_candidates < self.n_parts:
            raise ValueError(
                f"n_candidates={self.n_candidates} must be at least n_parts="
                f"{self.n_parts}, because parts are chosen from the candidates."
            )
        share_parts(self.n_parts, n_maps, "n_parts")

    def _learn_map(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> MapParts:
        """Draw the candidates of a map."""
        n_maps = len(self.grids_)
        n_parts = share_parts(self.n_parts, n_maps)[number]
        n_candidates = max(n_parts, share_parts(self.n_candidates, n_maps)[number])
        images, places = draw_candidates(regions, n_candidates, random)
        sources = np.column_stack([images, places, labels[images]]).astype(np.int64)
        n_lacking = max(0, n_parts - len(images))
        directions = random.standard_normal((n_lacking, regions.shape[2]))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        detectors = np.concatenate([regions[images, places], directions])
        sources = np.concatenate([sources, np.full((n_lacking, 3), -1)])
        return MapParts(
            detectors.astype(np.float32),
            np.full(len(detectors), -1),
            facts={"part_sources_": sources},
        )

    def _learn_maps(
        self, maps: list[np.ndarray], labels: np.ndarray, random: np.random.RandomState
    ) -> list[Learned]:
        learned = super()._learn_maps(maps, labels, random)
        shares = share_parts(self.n_parts, len(maps))
        n_cells = learned[0][1].shape[1] // len(learned[0][0].detectors)
        chosen = select_parts(
            [maxima for _, maxima in learned], labels, shares, n_cells, self.verbose
        )
        learned = [
            (_taken(parts, numbers), maxima[:, columns_of(numbers, n_cells)])
            for (parts, maxima), numbers in zip(learned, chosen, strict=True)
        ]
        seed = int(random.randint(np.iinfo(np.int32).max))
        self.objectives_: list[float] = []
        if self.joint_rounds:
            learned = self._improve(learned, maps, labels, seed)
        return self._with_norms(learned, labels, seed)

    def _improve(
        self,
        learned: list[Learned],
        maps: list[np.ndarray],
        labels: np.ndarray,
        seed: int,
    ) -> list[Learned]:
        """Set `objectives_`; return parts and maxima after the joint rounds."""
        layout = zip(self.whitenings_, maps, self.grids_, strict=True)
        regions = [
            whitening(feature_map, grid, folder=self.memory)
            for whitening, feature_map, grid in layout
        ]
        first = [parts for parts, _ in learned]
        maxima = [region_maxima(x, w) for x, w in zip(regions, first, strict=True)]
        shift, scale = standardisation(np.hstack(maxima))
        scales = np.split(scale, np.cumsum([len(w.detectors) for w in first])[:-1])
        model, self.objectives_ = optimise_jointly(
            [
                torch.from_numpy(of_map.detectors * of_parts[:, None])
                for of_map, of_parts in zip(first, scales, strict=True)
            ],
            [torch.from_numpy(on_map) for on_map in regions],
            torch.from_numpy(shift * scale),
            labels,
            self.C,
            self.joint_rounds,
            seed,
            self.verbose,
        )
        improved = []
        for number, (moved, of_map) in enumerate(zip(model.parts, first, strict=True)):
            parts = of_map._replace(detectors=_unit(moved.numpy(), of_map.detectors))
            of_parts = self._training_maxima(
                number, maps[number], regions[number], parts
            )
            improved.append((parts, of_parts))
        return improved

    def _with_norms(
        self, learned: list[Learned], labels: np.ndarray, seed: int
    ) -> list[Learned]:
        """Add `part_norms_` to what is known of the parts."""
        maxima = np.hstack([of_map for _, of_map in learned])
        shift, scale = standardisation(maxima)
        weights, _ = fit_classifier((maxima - shift) * scale, labels, self.C, seed)
        n_each = [len(parts.detectors) for parts, _ in learned]
        of_parts = weights.reshape(len(weights), sum(n_each), -1)
        norms = np.sqrt((of_parts**2).sum(axis=(0, 2))).astype(np.float32)
        return [
            (parts._replace(facts={**parts.facts, "part_norms_": of_map}), of_images)
            for (parts, of_images), of_map in zip(
                learned, np.split(norms, np.cumsum(n_each)[:-1]), strict=True
            )
        ]

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_array("part_norms_", state["part_norms_"], (len(state["part_classes_"]),))
        _check_sources(self._state_of_parts(state))
        values = state["objectives_"]
        if not isinstance(values, list) or not all(map(Number(0).accepts, values)):
            raise ValueError("objectives_ is not a list of numbers")


def _taken(parts: MapParts, numbers: np.ndarray) -> MapParts:
    """Return some of the parts, in the order of the numbers."""
    facts = {name: of_parts[numbers] for name, of_parts in parts.facts.items()}
    return MapParts(parts.detectors[numbers], parts.classes[numbers], facts=facts)


def _unit(moved: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Scale parts to unit length; those of no length are as they were at first."""
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.where(norms > 0, moved / np.where(norms > 0, norms, 1), first)


def _check_sources(state: dict[str, Any]) -> None:
    """Check `part_sources_` of a model file, whose other attributes were checked."""
    sources, part_maps = state["part_sources_"], state["part_maps_"]
    if (
        not isinstance(sources, np.ndarray)
        or sources.dtype != np.int64
        or sources.shape != (len(part_maps), 3)
        or (sources < -1).any()
    ):
        raise ValueError("part_sources_ is not a table of images, regions and classes")
    n_regions = np.array([grid.n_regions for grid in state["grids_"]])[part_maps]
    if (sources[:, 1] >= n_regions).any():
        raise ValueError("part_sources_ has a region that there is not")
    if (sources[:, 2] >= len(state["classes_"])).any():
        raise ValueError("part_sources_ has a class that there is not")
