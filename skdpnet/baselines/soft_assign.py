"""Two-stage parts: LDA detectors refined by soft assignment, then a classifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdpnet.base import PartEstimator
from skdpnet.baselines.assignment import anneal, pieces, select_distinct
from skdpnet.features import allocate
from skdpnet.initialisation import cluster_parts, moments
from skdpnet.parameters import check_labels, check_parameters
from skdpnet.parts import part_responses
from skdpnet.whitening import WhitenedMaps, fit_whitening

__all__ = ["SoftAssignParts"]

# Cosine of whitened detectors above which they find the same regions.
_MAX_COSINE = 0.7
# A response that varies less over the training set is constant but for rounding.
_LEAST_DEVIATION = 1e-6


class SoftAssignParts(PartEstimator):
    """Describe pictures by discriminative parts that were learned without gradients.

    Two stages, after [1]_ and [2]_. First each class's parts are learned: its region
    descriptors are clustered, each cluster gives a linear discriminant detector, and
    those are kept that respond to the class's pictures but not to others. Then
    pictures and detectors take turns: in each picture of the class every part is
    assigned softly to a region of its own (`soft_assign`), and becomes the detector
    of the mean of its regions, while the assignments harden. The second stage is a
    linear classifier on the descriptor that `transform` gives.

    Parameters
    ----------
    backbone, image_size, memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D instead of pictures. The parts are learned on the CPU.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        Sides of the square regions as shares of the map's shorter side.
    n_parts_per_class : int, default=10
    n_candidates : int, default=None
        Clusters of each class, from which its parts are chosen; at least
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
        Unit detectors of the whitened regions, ``P = C * n_parts_per_class``. A
        class's parts come in the order in which they were chosen, best first.
    part_classes_ : int ndarray of shape (P,)
        Number of each part's class in `classes_`.
    whitening_ : Whitening
        From descriptors of D dimensions to K.
    grid_ : RegionGrid
        Layout of the regions.
    shift_, scale_ : float32 ndarrays of shape (P,)
        The descriptor is ``(maxima - shift_) * scale_``.
    n_iter_ : int
        Rounds of the class that took most.
    map_shape_ : tuple
        Shape of one picture's features.
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

    The parts have seen the labels of the training pictures, so their descriptors are
    better than those of new ones. Choose the classifier's parameters by
    cross-validation of a pipeline that holds both, not on `fit_transform`'s output.

    Where pictures have fewer regions than parts (a single one for features n×D),
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

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        image_size: int | None = None,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        n_parts_per_class: int = 10,
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
        self.backbone = backbone
        self.image_size = image_size
        self.region_scales = region_scales
        self.n_parts_per_class = n_parts_per_class
        self.n_candidates = n_candidates
        self.n_components = n_components
        self.n_rounds = n_rounds
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.memory = memory
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y) -> SoftAssignParts:
        """Learn the parts of each class.

        Parameters
        ----------
        X : pictures, or array for ``backbone="precomputed"``
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
            Names the first item of X that is no readable picture.
        """
        self._learn(X, y)
        return self

    def fit_transform(self, X, y=None) -> np.ndarray:
        """Fit and transform, computing the maps once."""
        return self._standardise(self._learn(X, y))

    def transform(self, X) -> np.ndarray:
        """Describe pictures by their parts.

        Parameters
        ----------
        X : pictures, or array for ``backbone="precomputed"``

        Returns
        -------
        float32 ndarray of shape (n, P)
            The maximum of each part's response over the regions, standardised on the
            training set (mean 0, variance 1/P), so that a row's length is about 1
            and a linear classifier's ``C`` means the same for every number of parts.
            A part that responded alike to all training pictures gives 0.
        """
        check_is_fitted(self)
        responses = self._responses(self._maps(X, reset=False))
        maxima = [piece.amax(dim=1).numpy() for piece in responses]
        return self._standardise(np.concatenate(maxima))

    def _learn(self, X, y) -> np.ndarray:
        """Set all fitted attributes; return the maxima (n, P) on the training set."""
        self._forget()
        check_parameters(self)
        q = self.n_parts_per_class
        n_candidates = 3 * q if self.n_candidates is None else self.n_candidates
        if n_candidates < q:
            raise ValueError(
                f"n_candidates={n_candidates} leaves nothing to choose "
                f"n_parts_per_class={q} parts from: it must be at least as large."
            )
        y = check_labels(self, X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes to tell apart; y "
                f"has {n_classes} class(es): {self.classes_.tolist()!r}."
            )
        maps = self._maps(X, reset=True)
        random = check_random_state(self.random_state)
        self.grid_ = self._grid()
        self.whitening_ = fit_whitening(maps, self.grid_, self.n_components, random)
        whitened = self.whitening_(maps, self.grid_)

        candidates = cluster_parts(
            whitened,
            self.whitening_,
            labels,
            n_classes,
            self.grid_,
            n_candidates,
            random,
        )
        maxima = self._maxima(whitened, candidates)
        betas = np.geomspace(self.beta_start, self.beta_end, self.n_rounds)
        parts, rounds = [], []
        for label in range(n_classes):
            mine = labels == label
            own = slice(label * n_candidates, (label + 1) * n_candidates)
            merit = maxima[mine, own].mean(0) - maxima[~mine, own].mean(0)
            first = candidates[own]
            first = first[select_distinct(first, merit, q, _MAX_COSINE)]
            regions = self._regions(WhitenedMaps(*(array[mine] for array in whitened)))
            refined, n_rounds = anneal(regions, first, betas)
            parts.append(refined)
            rounds.append(n_rounds)
        self.parts_ = np.concatenate(parts)
        self.part_classes_ = np.repeat(np.arange(n_classes), q)
        self.n_iter_ = max(rounds)

        maxima = self._maxima(whitened, self.parts_)
        self.shift_, deviation = moments(maxima)
        varies = deviation > _LEAST_DEVIATION
        # A part that never varies is switched off rather than blown up.
        length = np.where(varies, deviation, np.inf) * np.sqrt(len(deviation))
        self.scale_ = (1 / length).astype(np.float32)
        return maxima

    def _standardise(self, maxima: np.ndarray) -> np.ndarray:
        return (maxima - self.shift_) * self.scale_

    def _responses(self, maps: np.ndarray) -> Iterator[torch.Tensor]:
        """Yield the responses (n', R, P) of successive pieces of some maps."""
        for piece in pieces(len(maps), self.grid_.n_regions * len(self.parts_)):
            whitened = self.whitening_(maps[piece], self.grid_)
            for _, responses in self._cosines(whitened, self.parts_):
                yield responses

    def _cosines(
        self, whitened: WhitenedMaps, parts: np.ndarray
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield which pictures, and the cosines (n', R, P) of their regions with parts.

        The parts have unit rows.
        """
        offset = torch.from_numpy(self.whitening_.offset)
        detectors = torch.from_numpy(parts)
        for piece in pieces(len(whitened.cells), self.grid_.n_regions * len(parts)):
            cells, lengths, norms = (
                torch.from_numpy(np.asarray(array[piece])) for array in whitened
            )
            yield (
                piece,
                part_responses(cells, lengths, norms, offset, detectors, self.grid_),
            )

    def _maxima(self, whitened: WhitenedMaps, parts: np.ndarray) -> np.ndarray:
        """Maxima of the responses over the regions, (n, P)."""
        out = np.empty((len(whitened.cells), len(parts)), np.float32)
        for piece, responses in self._cosines(whitened, parts):
            out[piece] = responses.amax(dim=1).numpy()
        return out

    def _regions(self, whitened: WhitenedMaps) -> np.ndarray:
        """Form the unit (or zero) descriptors of all regions, (n, R, K)."""
        n, _, depth = whitened.cells.shape
        out = allocate((n, self.grid_.n_regions, depth), np.float32)
        # Cosines with the axes are the coordinates.
        axes = np.eye(depth, dtype=np.float32)
        for piece, cosines in self._cosines(whitened, axes):
            out[piece] = cosines.numpy()
        return out
