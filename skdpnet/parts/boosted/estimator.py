"""Parts of all classes, shared by trees that are boosted for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

from skdpnet.explanations.explain_mixin import ExplainMixin
from skdpnet.images.framing import AUTO
from skdpnet.parts.boosted.learner import BoostedLearner
from skdpnet.utils.validation import Number, OneOf, TrueOrFalse

__all__ = ["SharedBoostedParts"]

_GLOBAL = "global"
_MOST_LEVELS = 6


class SharedBoostedParts(ExplainMixin, BoostedLearner):
    """Classify images by parts that boosting selects from those of all classes.

    A part that tells a class from others may have been found in its own images, in
    those of another class, or beside the objects. So the classes share a pool of
    candidate parts, from which each class selects its own by AdaBoost, as in [1]_. The
    candidates are clusters of the whitened regions of each class. An image is described
    by the maximum of each candidate's response over its regions. For each class,
    decision trees on these numbers are boosted against the rest, and the parts that no
    tree asks for are left out. With the global start, boosting goes on where a
    classifier of whole images is wrong.

    Parameters
    ----------
    backbone, weights, image_size, framing, memory, device, precision, num_workers, \
            verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images. The parts are learned on the CPU;
        ``verbose=1`` shows the classes that are boosted, too.
    strides : sequence of int, "last" or "average", or None, \
            default=(16, 32, "average")
        As in `FeatureMaps`. Maps of several cells have parts; the average is for the
        whole image only.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        Sides of the square regions, as shares of the image's shorter side on the map.
    n_components : int or None, default=256
        Number of dimensions that regions, and whole images, have after PCA. None: all,
        and regions are not whitened.
    n_candidates_per_class : int, default=200
        Number of candidate parts of each class, on all maps together. The maps have
        equal shares; the last, coarsest map also has the remainder.
    n_rounds : int, default=100
        Largest number of trees of each class. A class has fewer if one of them is never
        wrong, or if none is better than chance.
    max_depth : int, default=1
        Depth of the trees. A tree of depth 1 asks for one part; deeper ones take about
        two, four and more times as long.
    start : {"global"} or None, default="global"
        What boosting starts from: the scores of a classifier of whole images, which
        then are part of the decision; or nothing, so that parts alone decide.
    shared : bool, default=True
        Whether a class may select parts of other classes. False: only its own.
    random_state : int, RandomState or None, default=None
        Determines the samples of regions, the start of k-means, and the folds of the
        global start.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    parts_ : float32 ndarray of shape (P, K)
        Directions of unit length in the space of whitened regions, of the candidates
        that a tree asks for, sorted by map and by class; after them, with the global
        start, the directions of the whole image that speak for each class. Zeros fill
        the rows of a map whose space has fewer dimensions than another's.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class in whose images each part was found, as an index into `classes_`, and
        the number of its map.
    part_importances_ : float64 ndarray of shape (C, P)
        By how much each part decides on each class: the share of a tree's parts in its
        gain, averaged over the trees with their weights. Rows sum to 1.
    part_shares_ : float64 ndarray of shape (C, C)
        The sums of a class's importances over the parts that were found in each class:
        on the diagonal its own parts, beside it those of others.
    part_foreground_ : float32 ndarray of shape (P,)
        Whether a part is found on objects (1) or beside them (0): the mean weight of
        its best regions in the images of its class, by `foreground_weights` with Otsu's
        threshold.
    background_shares_ : float64 ndarray of shape (C,)
        The sums of a class's importances over the parts whose foreground is below 0.5.
    tree_parts_ : int64 ndarray of shape (C, T, 2**d - 1)
        The part that each node of each tree asks for; −1: none. The children of node k
        are 2 k + 1 and 2 k + 2.
    tree_thresholds_ : float32 ndarray of shape (C, T, 2**d - 1)
        Images go to the second child whose descriptor has a larger number of that part.
    tree_values_ : float64 ndarray of shape (C, T, 2**(d + 1) - 1)
        What a leaf adds to the score; of a node the mean over the training images that
        come to it.
    context_coef_, intercept_ : float64 ndarrays of shape (C,)
        What a class's context part weighs in its score, and a constant.
    losses_ : float64 ndarray of shape (C, T + 1)
        The exponential loss of each class at the start and after each tree, with the
        unscaled α.
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
    SoftAssignParts : Parts of each class, for a linear classifier.
    ProtoTreeClassifier : One tree of prototypes for all classes.

    Notes
    -----
    The score of a class is a sum of log-odds, those of the start and ``α`` or ``-α`` of
    each tree. The α of each class are scaled to the same sum, the mean over the
    classes, so that a class whose boosting ends early is not outvoted; within a class
    they are those of AdaBoost. ``predict_proba`` is the softmax of the scores. With
    many rounds the probabilities are too near to 0 and 1;
    `sklearn.calibration.CalibratedClassifierCV` corrects them.

    *Explanations.* On its path through a tree an image comes from a node to a child,
    and the change of the node's value is the contribution of the part that the node
    asks for. A stump has one part, so that this is what its answer adds beyond the mean
    over the training images. The bias is the sum of these means, the intercept and, for
    trees, nothing else: contributions and bias add up to the score exactly.

    *The global start.* Whole images are described, and are parts of each class, as in
    `DPNetClassifier` with ``context=True``. The classifier is a logistic regression of
    each class against the rest. The weights of the images come from its scores in
    cross-validation over five folds, because its scores of the images that it was
    fitted on are too good.

    From the paper are the candidates of all classes, the selection by boosting over
    their responses, the fusion by starting from the global classifier's weights, and
    the analysis by own, other and background parts; it was not available in full, so
    that the rest is ours: candidates are clusters in place of all boxes of a selective
    search, trees are those of scikit-learn's ``AdaBoostClassifier`` but for thresholds
    at 64 quantiles, and background is told by the network's responses in place of
    annotations. If a class has fewer distinct regions than candidates, random
    directions take the place of the missing ones.

    References
    ----------
    .. [1] P. Mettes, J. C. van Gemert, C. G. M. Snoek, "No spare parts: Sharing part
       detectors for image categorization", Computer Vision and Image Understanding 152,
       2016, arXiv:1510.04908.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import SharedBoostedParts
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SharedBoostedParts(
    ...     "precomputed", n_candidates_per_class=20, n_rounds=20, random_state=0
    ... ).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> model.part_shares_.shape
    (3, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **BoostedLearner._parameter_constraints,
        "n_candidates_per_class": [Number(1, whole=True)],
        "n_rounds": [Number(1, whole=True)],
        "max_depth": [Number(1, at_most=_MOST_LEVELS, whole=True)],
        "start": [OneOf((_GLOBAL,)), None],
        "shared": [TrueOrFalse()],
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
        n_components: int | None = 256,
        n_candidates_per_class: int = 200,
        n_rounds: int = 100,
        max_depth: int = 1,
        start: str | None = _GLOBAL,
        shared: bool = True,
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
            n_components=n_components,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.n_candidates_per_class = n_candidates_per_class
        self.n_rounds = n_rounds
        self.max_depth = max_depth
        self.start = start
        self.shared = shared
