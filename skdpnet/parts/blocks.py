"""Blocks that shout: seeds expanded to parts, and ranked on other images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.preprocessing import normalize
from tqdm.auto import tqdm

from skdpnet.encodings.pyramid import Levels
from skdpnet.images.framing import AUTO
from skdpnet.parts.block_expansion import (
    all_energies,
    draw_seeds,
    expand_seeds,
    halves,
)
from skdpnet.parts.layout import share_parts
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.map_parts import MapParts, region_maxima
from skdpnet.parts.selection import entropy_areas, select_distinct
from skdpnet.persistence.checks import check_array
from skdpnet.regions.grid import AVERAGE_POOLING
from skdpnet.storage.large_arrays import copy_rows
from skdpnet.utils.validation import Number

__all__ = ["BlocksThatShout"]

# As many seeds of an image, as in the paper.
_SEEDS_PER_IMAGE = 5


class BlocksThatShout(LinearParts):
    """Describe images by blocks that shout: parts grown from single regions.

    As in [1]_, the parts of a class are learned in three steps. Seeds are regions of
    the class's images in which there is something. Each seed is a detector, by linear
    discriminant analysis of one example, and is expanded: in each round the regions of
    the class join it to which it responds most, and it is learned anew. The parts are
    ranked by the entropy of the classes of the images to which they respond most, and
    near-duplicates of better parts are left out. Of each class, one half of the images
    serves to expand the parts, and the other half to rank them.

    The descriptor of an image is the maximum of each part's response over the regions,
    standardised on the training set (mean 0, variance 1/P). Its length is then about 1,
    and a linear classifier's ``C`` has the same meaning for every number of parts. A
    part that responds alike to all training images gives 0.

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
    n_parts_per_class : int, default=50
        Number of parts of each class, on all maps together. The maps have equal shares;
        the last, coarsest map also has the remainder.
    n_seeds_per_class : int, default=300
        Number of seeds of each class, on all maps together, from which its parts are
        chosen; at least `n_parts_per_class`. At most 5 seeds are taken of an image and
        map.
    n_rounds : int, default=10
        Number of rounds of expansion.
    n_added : int, default=10
        Number of regions that join a part in each round, at most one of an image.
    max_cosine : float in [-1, 1], default=0.5
        Parts of a class with a larger cosine, in the whitened space, are
        near-duplicates.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. The
        covariance within few components can be inverted. None: the covariance is
        ignored, and detectors are means of regions.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid; the paper's is ``((1, 1), (2, 2))``. Each cuts the
        image into cells, and each part has a copy for each cell, which responds to the
        regions whose centres lie in the cell. None: no pyramid. Cells of zeros at the
        right and lower edges of given maps are taken to lie beyond the image.
    verbose : int, default=0
        1 or more: progress bars over the images and over the classes.
    random_state : int, RandomState or None, default=None
        Determines the halves of the classes, the seeds, and the samples of regions.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    parts_ : float32 ndarray of shape (P, K)
        Detectors of the whitened regions, of unit length, where P is C times
        `n_parts_per_class`, times the number of cells of a pyramid. They are sorted by
        map, then by class, and then by area, best first. Zeros fill the rows of a map
        whose whitened space has fewer dimensions than another's.
    part_areas_ : float32 ndarray of shape (P,)
        Areas under the entropy-rank curves of the parts on the images that they were
        not expanded on; see `skdpnet.parts.selection.entropy_areas`. Smaller is better.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class of each part, as an index into `classes_`, and the number of its map.
    part_cells_ : float64 ndarray of shape (P, 4)
        With a pyramid only: left, top, right and bottom of the cell of each part, as
        shares of the image's sides. The copies of a part follow one another.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    shift_, scale_ : float32 ndarrays of shape (P,)
        The descriptor is ``(maxima - shift_) * scale_``.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    SoftAssignParts : Parts from clusters, refined by assignment.
    DPNetTransformer : Parts that are learned by gradient descent.

    Notes
    -----
    The steps and their order, the entropy-rank curve, 10 rounds of 10 regions, and 50
    parts of a class are the paper's. Of this package are: regions of a network's
    feature maps in place of blocks of HOG cells at several scales; seeds from the upper
    half of an image's regions by the mean norm of their cells, in place of superpixels
    with strong gradients; regions and detectors of unit length, so that responses are
    cosines; and the standardised maxima.

    The discriminant detector of regions with mean μ_k is ``Σ⁻¹ (μ_k - μ)``, where μ and
    Σ are the mean and the covariance of all regions. After PCA whitening it is the mean
    of the whitened regions, and the detector of a seed is the seed itself.

    If a class has fewer seeds than parts, random directions take the place of the
    missing ones. The only image of a class both expands and ranks parts.

    References
    ----------
    .. [1] M. Juneja, A. Vedaldi, C. V. Jawahar, A. Zisserman, "Blocks that shout:
       distinctive parts for scene classification", CVPR 2013.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skdpnet import BlocksThatShout
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = BlocksThatShout(
    ...     "precomputed", n_parts_per_class=20, n_components=32, random_state=0
    ... )
    >>> model = make_pipeline(parts, LinearSVC()).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LinearParts._parameter_constraints,
        "n_parts_per_class": [Number(1, whole=True)],
        "n_seeds_per_class": [Number(1, whole=True)],
        "n_rounds": [Number(1, whole=True)],
        "n_added": [Number(1, whole=True)],
        "max_cosine": [Number(-1, at_most=1)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LinearParts._fitted_attributes,
        "part_areas_",
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
        n_parts_per_class: int = 50,
        n_seeds_per_class: int = 300,
        n_rounds: int = 10,
        n_added: int = 10,
        max_cosine: float = 0.5,
        n_components: int | None = 256,
        pyramid: Levels | None = None,
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
        self.n_parts_per_class = n_parts_per_class
        self.n_seeds_per_class = n_seeds_per_class
        self.n_rounds = n_rounds
        self.n_added = n_added
        self.max_cosine = max_cosine

    def _check_learning(self, n_maps: int) -> None:
        if self.n_seeds_per_class < self.n_parts_per_class:
            raise ValueError(
                f"n_seeds_per_class={self.n_seeds_per_class} must be at least "
                f"n_parts_per_class={self.n_parts_per_class}, because parts are chosen "
                "from the expanded seeds."
            )
        share_parts(self.n_parts_per_class, n_maps)

    def _learn_maps(
        self, maps: list[np.ndarray], labels: np.ndarray, random: np.random.RandomState
    ) -> list[tuple[MapParts, np.ndarray]]:
        expanding, ranking = halves(labels, random)
        learned = []
        for number, feature_map in enumerate(maps):
            regions = self._whiten(number, feature_map, random)
            energies = all_energies(feature_map, self.grids_[number])
            candidates = self._expanded(
                number, regions, energies, labels, expanding, random
            )
            parts = self._best(number, regions, labels, ranking, candidates)
            maxima = self._training_maxima(number, feature_map, regions, parts)
            learned.append((parts, maxima))
            del regions
        return learned

    def _expanded(
        self,
        number: int,
        regions: np.ndarray,
        energies: np.ndarray,
        labels: np.ndarray,
        expanding: np.ndarray,
        random: np.random.RandomState,
    ) -> list[np.ndarray]:
        """Return the expanded seeds (S, K) of each class on a map."""
        n_parts = share_parts(self.n_parts_per_class, len(self.grids_))[number]
        n_seeds = self.n_seeds_per_class * n_parts // self.n_parts_per_class
        n_classes, depth = len(self.classes_), regions.shape[2]
        of_map = f"expanding parts of map {number + 1} of {len(self.grids_)}"
        candidates = []
        for label in tqdm(
            range(n_classes), of_map, disable=not self.verbose, unit="class"
        ):
            images = np.flatnonzero(expanding & (labels == label))
            detectors = expand_seeds(
                copy_rows(regions, images, self.memory),
                draw_seeds(energies[images], n_seeds, _SEEDS_PER_IMAGE, random),
                self.grids_[number].cells,
                self.n_rounds,
                self.n_added,
            )
            detectors = detectors[detectors.any(axis=1)]
            n_others = max(0, n_parts - len(detectors))
            others = random.standard_normal((n_others, depth)).astype(np.float32)
            candidates.append(normalize(np.concatenate([detectors, others])))
        return candidates

    def _best(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        ranking: np.ndarray,
        candidates: list[np.ndarray],
    ) -> MapParts:
        """Return the best parts of each class by their areas on other images."""
        n_parts = share_parts(self.n_parts_per_class, len(self.grids_))[number]
        of_class = np.repeat(np.arange(len(candidates)), list(map(len, candidates)))
        detectors = np.concatenate(candidates)
        others = copy_rows(regions, np.flatnonzero(ranking), self.memory)
        maxima = region_maxima(others, MapParts(detectors, of_class))
        areas = entropy_areas(maxima, labels[ranking], len(candidates))
        chosen = []
        for label in range(len(candidates)):
            numbers = np.flatnonzero(of_class == label)
            best = select_distinct(
                detectors[numbers], -areas[numbers], n_parts, self.max_cosine
            )
            chosen.append(numbers[best])
        parts = np.concatenate(chosen)
        return MapParts(
            detectors[parts],
            of_class[parts],
            facts={"part_areas_": areas[parts].astype(np.float32)},
        )

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        n_parts = len(state["part_classes_"])
        check_array("part_areas_", state["part_areas_"], (n_parts,))
