"""Parts that are modes: where a class's regions are dense, and those of others not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from skdpnet.encodings.pyramid import Levels
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import share_parts
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.map_parts import MapParts
from skdpnet.parts.mode_seeking.elements import Search
from skdpnet.parts.mode_seeking.learning import learn_modes
from skdpnet.persistence.checks import check_array
from skdpnet.regions.grid import AVERAGE_POOLING
from skdpnet.utils.validation import Number

__all__ = ["ModeSeeking"]


class ModeSeeking(LinearParts):
    """Describe images by parts that are modes of their class's regions.

    A mode is a direction around which the regions of a class are dense and those of
    other classes are not [1]_. A part w and its bias b maximise
    ``Σ max(w·x - b, 0) - λ |w|²`` over the regions x of the class, while
    ``Σ max(w·x - b, 0) = β`` over those of all other classes: the part that gathers the
    most of its class for the same, small, share of others.

    Elements start from regions of the class, and are trained on one fifth of the images
    after another. Before each fifth, an element's best region in each of its images is
    found, so that elements are ranked by images that they were not trained on. For
    each class those are selected one by one whose detections are mostly of the class,
    and are not covered by the detections of the parts before.

    The descriptor of an image is the maximum of each part's response over the regions,
    standardised on the training set (mean 0, variance 1/P). Its length is then about 1,
    and a linear classifier's ``C`` has the same meaning for every number of parts. A
    part that responds alike to all training images gives 0.

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
        or by all of them side by side, as rigid templates of HOG are, the papers'
        features. They need a single share as `region_scales`; see `SoftAssignParts`.
    n_parts_per_class : int, default=20
        Number of parts of each class, on all maps together. The maps have equal shares;
        the last, coarsest map also has the remainder. The paper has 200 of each class.
    n_seeds_per_class : int, default=200
        Number of elements of each class, on all maps together, from which its parts are
        selected; at least `n_parts_per_class`. The time of the fit grows with it.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. None:
        regions are not whitened.
    beta : float > 0, default=1.0
        β: how far the responses of other classes' regions exceed the bias, in sum. 1 is
        the published value.
    penalty : float > 0, default=0.01
        λ for each image of the class that an element has seen. The larger it is, the
        wider is a part: the more regions of other classes it responds to. λ acts
        against sums over regions, and so is scaled with the number of images. Of the
        values tried (0.0003 to 0.3, on held-out training images of 17 classes of
        flowers), those up to 0.1 differ little.
    n_rounds : int > 1, default=5
        Number of parts of the images of a class that elements are trained on in turn.
    purity : float in (0, 1], default=0.7
        An element's detections count down to the last rank at which this share of them
        is of its class. 0.7 is the published value.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid; the paper's is ``((1, 1), (2, 2))``. Each cuts the
        image into cells, and each part has a copy for each cell, which responds to the
        regions whose centres lie in the cell. None: no pyramid. Cells of zeros at the
        right and lower edges of given maps are taken to lie beyond the image.
    random_state : int, RandomState or None, default=None
        Determines the samples of regions, the seeds and the fifths.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    parts_ : float32 ndarray of shape (P, K)
        w of each part, divided by its length. P is C times `n_parts_per_class`, times
        the number of cells of a pyramid. Parts are sorted by map, then by class, and
        then by the order of their selection. Zeros fill the rows of a map whose
        whitened space has fewer dimensions than another's.
    part_biases_ : float32 ndarray of shape (P,)
        b divided by the length of w, at least -1. A response is a cosine minus the
        bias: above 0, the region lies within the part's cap.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class of each part, as an index into `classes_`, and the number of its map.
    part_purities_ : float32 ndarray of shape (P,)
        Share of the class among the part's best detections in images that it had not
        been trained on, as many as there are of the class; 0 if there are none.
    part_coverages_ : float32 ndarray of shape (P,)
        Share of those images of the class whose detection counts, by `purity`.
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
    SoftAssignParts : Parts that are means of softly assigned regions.
    DPNetTransformer : Parts that are learned by gradient descent.

    Notes
    -----
    The constraint determines the bias of each w in closed form, so that the parts are
    found by unconstrained ascent; the authors project gradients onto the constraint. An
    element is trained on the 256 regions of its class and the 512 of other classes
    that it responds to most, of all that it has seen. While it turns, others come above
    its bias; the biases of the selected parts are computed anew from all images.

    Ours, not the paper's, are: regions of a frozen network, whitened by PCA, in place
    of HOG; one detection of an element in an image; no weights of regions that several
    elements share; each element begins with the fifth that holds its seed; the
    descriptor is not cut off below the bias. The paper describes an image and its
    mirror image by 200 parts of each class with a pyramid.

    If a class has fewer distinct regions than `n_seeds_per_class`, seeds are repeated,
    and parts may be equal. If a class has one image, its elements are ranked by
    nothing.

    The parts are learned with the labels of the training images, so that these are
    separated better than new images. Choose the parameters of the classifier by
    cross-validation of a pipeline that holds both, not on the output of
    `fit_transform`.

    References
    ----------
    .. [1] C. Doersch, A. Gupta, A. A. Efros, "Mid-level visual element discovery as
       discriminative mode seeking", NIPS 2013.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skdpnet import ModeSeeking
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = ModeSeeking("precomputed", n_seeds_per_class=30, random_state=0)
    >>> model = make_pipeline(parts, LinearSVC()).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LinearParts._parameter_constraints,
        "n_parts_per_class": [Number(1, whole=True)],
        "n_seeds_per_class": [Number(1, whole=True)],
        "beta": [Number(0, above=True)],
        "penalty": [Number(0, above=True)],
        "n_rounds": [Number(2, whole=True)],
        "purity": [Number(0, above=True, at_most=1)],
    }
    _added_parameters: ClassVar[dict[str, Any]] = {}
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LinearParts._fitted_attributes,
        *("part_biases_", "part_purities_", "part_coverages_"),
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
        n_parts_per_class: int = 20,
        n_seeds_per_class: int = 200,
        n_components: int | None = 256,
        beta: float = 1.0,
        penalty: float = 0.01,
        n_rounds: int = 5,
        purity: float = 0.7,
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
        self.beta = beta
        self.penalty = penalty
        self.n_rounds = n_rounds
        self.purity = purity

    def _check_learning(self, n_maps: int) -> None:
        if self.n_seeds_per_class < self.n_parts_per_class:
            raise ValueError(
                f"n_seeds_per_class={self.n_seeds_per_class} must be at least "
                f"n_parts_per_class={self.n_parts_per_class}, because each part starts "
                "from a seed of its own."
            )
        share_parts(self.n_parts_per_class, n_maps)

    def _learn_map(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> MapParts:
        n_parts = share_parts(self.n_parts_per_class, len(self.grids_))[number]
        return learn_modes(
            regions,
            labels,
            self.grids_[number].cells,
            Search(self.beta, self.penalty, self.n_rounds),
            n_seeds=self.n_seeds_per_class * n_parts // self.n_parts_per_class,
            n_parts=n_parts,
            purity=self.purity,
            random_state=random,
        )

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        for name in ("part_purities_", "part_coverages_"):
            check_array(name, state[name], (len(state["part_classes_"]),), most=1.0)
            if state[name].min() < 0:
                raise ValueError(f"{name} holds shares below 0")
