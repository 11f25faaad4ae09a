"""Parts learned without gradients: LDA detectors, refined by soft assignment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from skdpnet.encodings.pyramid import Levels
from skdpnet.images.framing import AUTO
from skdpnet.parts.encoded_parts import EncodedParts
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import share_parts
from skdpnet.parts.map_parts import MapParts, region_maxima
from skdpnet.parts.region_encodings import MAX
from skdpnet.parts.selection import select_distinct
from skdpnet.parts.soft_assign.annealing import BETA_END, BETA_START, N_ROUNDS
from skdpnet.parts.soft_assign.hungarian import refine_one_to_one
from skdpnet.parts.soft_assign.sinkhorn import anneal
from skdpnet.regions.grid import AVERAGE_POOLING
from skdpnet.storage.large_arrays import copy_rows
from skdpnet.utils.validation import Number, OneOf

__all__ = ["SoftAssignParts"]

# Detectors with a larger cosine, in the whitened space, respond to the same regions.
_MAX_COSINE = 0.7


class SoftAssignParts(EncodedParts):
    """Describe images by discriminative parts that are learned without gradients.

    There are two stages, as in [1]_ and [2]_. The first learns the parts of each class.
    The descriptors of the class's regions are clustered, and each cluster gives a
    linear discriminant detector. The detectors are kept that respond to the class's
    images but not to those of other classes. Then two steps alternate: in each image of
    the class, the parts are assigned softly to different regions (`soft_assign`), and
    each part is replaced by the detector of the mean of its regions. The assignments
    harden from round to round. The second stage is a linear classifier on the
    descriptors that `transform` returns.

    The descriptor of an image is the maximum of each part's response over the regions,
    or what `encoding` has in its place. Its numbers, F in all, are standardised on the
    training set (mean 0, variance 1/F). Its length is then about 1, and a linear
    classifier's ``C`` has the same meaning for every number of parts. A number that is
    alike in all training images gives 0.

    Parameters
    ----------
    backbone, weights, image_size, framing, memory, device, precision, num_workers, \
            verbose
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
        or by all of them side by side. Parts are then rigid templates, as those of
        HOG. All windows on a map need one size, so that `region_scales` is a single
        share. h×w cells of D channels make descriptors of h·w·D numbers, whose
        covariance takes memory by their square.
    n_parts_per_class : int, default=20
        Number of parts of each class, on all maps together. The maps have equal shares;
        the last, coarsest map also has the remainder.
    n_candidates : int, default=None
        Number of clusters of each class, on all maps together, from which its parts are
        chosen; at least `n_parts_per_class`. None: three times `n_parts_per_class`.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. The
        covariance within few components can be inverted. None: the covariance is
        ignored, and detectors are means of regions.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid, such as ``((1, 1), (2, 2))`` [1]_. Each cuts the
        image into cells, and each part has a copy for each cell, which responds to the
        regions whose centres lie in the cell. None: no pyramid. Cells of zeros at the
        right and lower edges of given maps are taken to lie beyond the image.
    encoding : {"max", "mean_max", "features"}, default="max"
        What the descriptor has of each part [1]_. "max": the maximum of its responses
        over the regions. "mean_max": the maximum and the mean. "features": the whitened
        descriptor of the region to which it responds most, which says more of what is
        there than how well it fits: a linear classifier then has K weights for each
        part and class. 340 parts with K of 112 and 256 make 63,000 numbers an image, a
        quarter of a megabyte. The last two go without a pyramid.
    assignment : {"sinkhorn", "hungarian"}, default="sinkhorn"
        How regions are assigned to parts in each round. "sinkhorn": softly, with
        `beta_start` and `beta_end`. "hungarian": each part has one region of each
        image, and no two parts the same, so that the sum of the scores is largest
        [2]_.
    n_rounds : int, default=10
        Maximal number of rounds of assignment. The rounds of a class end earlier when
        its assignments hardly change any more.
    beta_start, beta_end : float > 0, default=40.0, 100.0
        Sharpness β of soft assignments in the first round and in round `n_rounds`; it
        grows by the same factor from round to round. Responses are cosines, so that
        with β = 40 a response that is larger by 0.1 weighs 55 times as much. If the
        first assignment is too soft, parts of a class become equal.
    random_state : int, RandomState or None, default=None
        Determines the samples of regions and the start of k-means.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    parts_ : float32 ndarray of shape (P, K)
        Detectors of the whitened regions, of unit length, where P is C times
        `n_parts_per_class`, times the number of cells of a pyramid. They are sorted by
        map, then by class, and then by the order in which they were chosen, best first.
        Zeros fill the rows of a map whose whitened space has fewer dimensions than
        another's.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class of each part, as an index into `classes_`, and the number of its map.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    shift_, scale_ : float32 ndarrays of shape (F,)
        The descriptor is ``(numbers - shift_) * scale_``.
    encoding_ : str
        The `encoding` of the fit.
    part_cells_ : float64 ndarray of shape (P, 4)
        With a pyramid only: left, top, right and bottom of the cell of each part, as
        shares of the image's sides. The copies of a part follow one another.
    n_iter_ : int
        Number of rounds of the class with most rounds.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    DPNetTransformer : Parts that are learned by gradient descent.
    GlobalFeatures : The descriptor without parts, to compare with.

    Notes
    -----
    The discriminant detector of regions with mean μ_k is ``Σ⁻¹ (μ_k - μ)``, where μ and
    Σ are the mean and the covariance of all regions. After PCA whitening, which is
    multiplication by ``Σ^(-1/2)`` within the kept components, it is the mean of the
    whitened regions. Regions are l2-normalised before the whitening, as in the papers,
    and both regions and detectors are l2-normalised after it. Responses are then
    cosines, so that β has the same meaning for every data set and part, and the length
    of a detector has no influence.

    The parts are learned with the labels of the training images, so that these are
    separated better than new images. Choose the parameters of the classifier by
    cross-validation of a pipeline that holds both, not on the output of
    `fit_transform`.

    If images have fewer regions than there are parts (features n×D are one region),
    each region is assigned to parts rather than each part to regions; see
    `soft_assign`. If a class has fewer distinct regions than clusters, random
    directions take the place of the missing detectors.

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
        **EncodedParts._parameter_constraints,
        "n_parts_per_class": [Number(1, whole=True)],
        "n_candidates": [Number(1, whole=True), None],
        "assignment": [OneOf(("sinkhorn", "hungarian"))],
        "n_rounds": [Number(1, whole=True)],
        "beta_start": [Number(0, above=True)],
        "beta_end": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *EncodedParts._fitted_attributes,
        "n_iter_",
    )
    _added_parameters: ClassVar[dict[str, Any]] = {
        **EncodedParts._added_parameters,
        "assignment": "sinkhorn",
    }

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
        n_parts_per_class: int = 20,
        n_candidates: int | None = None,
        n_components: int | None = 256,
        pyramid: Levels | None = None,
        encoding: str = MAX,
        assignment: str = "sinkhorn",
        n_rounds: int = N_ROUNDS,
        beta_start: float = BETA_START,
        beta_end: float = BETA_END,
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
        self.n_candidates = n_candidates
        self.encoding = encoding
        self.assignment = assignment
        self.n_rounds = n_rounds
        self.beta_start = beta_start
        self.beta_end = beta_end

    def _check_learning(self, n_maps: int) -> None:
        super()._check_learning(n_maps)
        n_parts, n_candidates = self.n_parts_per_class, self._n_candidates()
        if n_candidates < n_parts:
            raise ValueError(
                f"n_candidates={n_candidates} must be at least n_parts_per_class="
                f"{n_parts}, because parts are chosen from the candidates."
            )
        share_parts(n_parts, n_maps)

    def _n_candidates(self) -> int:
        """Return the number of candidates of each class on all maps."""
        if self.n_candidates is None:
            return 3 * self.n_parts_per_class
        return self.n_candidates

    def _learn_map(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> MapParts:
        n_parts = share_parts(self.n_parts_per_class, len(self.grids_))[number]
        n_candidates = self._n_candidates() * n_parts // self.n_parts_per_class
        n_classes = len(self.classes_)
        candidates = cluster_parts(
            regions, None, labels, n_classes, n_candidates, random
        )
        of_candidates = np.repeat(np.arange(n_classes), n_candidates)
        maxima = region_maxima(regions, MapParts(candidates, of_candidates))
        betas = np.geomspace(self.beta_start, self.beta_end, self.n_rounds)
        parts, rounds = [], [getattr(self, "n_iter_", 0)]
        for label in range(n_classes):
            in_class = labels == label
            numbers = slice(label * n_candidates, (label + 1) * n_candidates)
            responses = maxima[:, numbers]
            merit = responses[in_class].mean(0) - responses[~in_class].mean(0)
            detectors = candidates[numbers]
            chosen = select_distinct(detectors, merit, n_parts, _MAX_COSINE)
            of_class = copy_rows(regions, np.flatnonzero(in_class), self.memory)
            if self.assignment == "hungarian":
                refined, n_rounds = refine_one_to_one(
                    of_class, detectors[chosen], self.n_rounds
                )
            else:
                refined, n_rounds = anneal(of_class, detectors[chosen], betas)
            parts.append(refined)
            rounds.append(n_rounds)
        self.n_iter_ = max(rounds)
        return MapParts(np.concatenate(parts), np.repeat(np.arange(n_classes), n_parts))

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        if not Number(0, whole=True).accepts(state["n_iter_"]):
            raise ValueError("n_iter_ is not a number of rounds")
