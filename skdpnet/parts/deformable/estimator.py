"""Deformable part models on feature maps: stars learned by a latent SVM."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from sklearn.utils import check_random_state
from tqdm import tqdm

from skdpnet.base.part_classifier import PartClassifier
from skdpnet.images.framing import AUTO
from skdpnet.parts.deformable.decision import StarDecision
from skdpnet.parts.deformable.initial_stars import first_roots, with_first_parts
from skdpnet.parts.deformable.latent_svm import fit_latent_svm
from skdpnet.parts.deformable.roles import grid_of_cells, part_layout, roles_of
from skdpnet.parts.deformable.star import StarMaps, Stars
from skdpnet.parts.deformable.star_model import by_extent, star_penalty
from skdpnet.regions.extents import shorter_side
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import fit_whitening
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number

__all__ = ["DeformableParts"]

# Width of the smooth part of the hinge loss.
_SMOOTHING = 0.1


class DeformableParts(StarDecision):
    """Classify images by star models, whose parts may be displaced.

    The deformable part model of [1]_, fitted on the labels of whole images as in [2]_.
    Each class has several stars, the components of a mixture. A star has a root, a
    filter that covers much of the image, and parts, smaller filters on a finer map,
    which have anchors in the root. The score of a star, with its root at p, is::

        w_0·φ(p) + Σ_j max_q [w_j·φ(q) - c_j(q - anchor_j(p))] + bias

    where φ has the cells of the map that a filter covers, one after the other, and
    ``c_j(δ) = d·(δy, δy², δx, δx²)`` is the cost of the displacement of part j. The
    score of a class is the maximum over its stars and over p.

    The descriptor of an image has the term of each root and of each part, where they
    are best together; those of a star and its bias add up to its score exactly. So an
    explanation shows the root and the parts of the class's best star in their places.

    The stars of each class are learned against the images of all other classes:

    1. The images of the class are clustered by the cells in their middle, and the mean
       of each cluster is the first filter of a root.
    2. Roots alone are learned by a latent SVM (`fit_latent_svm`).
    3. Parts are anchored where the root's weights are largest, one after the other. The
       first filter of a part is the mean of what is there in the images of the cluster.
    4. Roots, parts, deformations and biases are learned together by the latent SVM.

    Parameters
    ----------
    backbone, weights, image_size, framing, memory, device, precision, num_workers
        As in `FeatureMaps`; ``backbone="precomputed"`` takes two maps n×H×W×D in place
        of images, as `FeatureMaps` returns them, or one map n×H×W×D, regions n×R×D or
        features n×D. Stars are learned and placed on the CPU.
    strides : sequence of int, "last" or "average", or None, \
            default=(16, 32, "average")
        As in `FeatureMaps`: two strides, of which one is twice the other in the paper.
        The roots are on the map with fewer cells. On a single map there are roots
        alone. The average has none, and is computed so that the default shares the maps
        of DP-Net in `memory`.
    n_stars : int, default=2
        Number of stars of each class. The paper has 3, by the aspect of the objects'
        boxes, and their mirror images.
    n_parts : int, default=6
        Number of parts of each star, as in the paper; its later code has 8.
    root_size : float in (0, 1], default=0.7
        Side of the roots, as a share of the image's shorter side on the map.
    part_size : int, default=3
        Side of the parts in cells of the finer map. The paper has 6 cells of 8 pixels.
    n_components : int or None, default=32
        Number of dimensions that the cells of each map have after PCA whitening. None:
        they are only scaled to unit length.
    C : float > 0, default=0.03
        Weight of the losses against the penalty. The 0.001 of the paper's code belongs
        to its features, HOG.
    deformation : float > 0, default=0.01
        Cost of a displacement by one cell along an axis, before learning. The learned
        weights of squares are at least a tenth of it, as in the paper's code.
    n_rounds : int, default=4
        Maximal number of rounds, of placing the images of the class and learning the
        weights, of roots alone and again of whole stars. The paper's code has 4 and 8.
    verbose : int, default=0
        1 shows the progress of the network, and of the fit by classes.
    random_state : int, RandomState or None, default=None
        Determines the sample of cells for the whitening and the start of k-means.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    roots_ : float32 ndarray of shape (C, M, K, k, k)
        The filter of the root of each of M stars of each class.
    part_templates_ : float32 ndarray of shape (C, M, J, K', s, s)
        The filters of their parts. Of stars without parts J is 0.
    anchors_ : int64 ndarray of shape (C, M, J, 2)
        Row and column of each part's upper left corner where it is not displaced, in
        cells of the finer map from that of the root.
    deformations_ : float32 ndarray of shape (C, M, J, 4)
        d, the weights of δy, δy², δx and δx².
    biases_ : float32 ndarray of shape (C, M)
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        Class and map of each root and part, in the order of the descriptor: map by map,
        then class by class, star by star. `get_part_names` says which is which.
    whitenings_ : list of Whitening
        For each map, the projection of cells from D dimensions to K.
    grids_ : list of RegionGrid
        The places of the filters on each map, as regions.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    SoftAssignParts : Parts without an arrangement.

    Notes
    -----
    Scores of classes are margins of separate SVMs, which `predict_proba` does not
    calibrate.

    `part_responses` are relative to the best root of the star in the image: a part's
    response in a region is that of its filter there, less the cost of the displacement.

    What is the papers': the score, mixtures, distance transforms, one SVM of each class
    against all others, rounds of a latent SVM with L-BFGS, the bound of the
    deformations and their tenfold penalty, biases without penalty, anchors chosen
    greedily. What is ours:

    - Cells are those of a frozen network, whitened and of unit length. A part is on the
      map of the smaller stride in place of a finer level of a pyramid of scales.
    - Roots are squares of one size. An image is not searched at several scales, and
      star models are not mirrored.
    - The two maps may have other features, so that a part begins with a mean, and not
      with the root's own weights. In the whitened space, that is a linear discriminant
      detector. The energy of a root is that of all its weights: axes of whitened cells
      have no sign. Anchors are not improved by random swaps.
    - Roots may be anywhere in the image, and the class of the highest score is the
      answer: no classifier follows.
    - A negative image has one loss, at its best place, and not one for each place. Its
      best places are added to a list until the objective on the list explains all but
      5 % of the objective, as in the paper's code.
    - The corner of the hinge loss is a parabola of width 0.1.

    References
    ----------
    .. [1] P. Felzenszwalb, R. Girshick, D. McAllester, D. Ramanan, "Object Detection
       with Discriminatively Trained Part-Based Models", IEEE Transactions on Pattern
       Analysis and Machine Intelligence 32(9), 2010.
    .. [2] M. Pandey, S. Lazebnik, "Scene Recognition and Weakly Supervised Object
       Localization with Deformable Part-Based Models", ICCV 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skdpnet import DeformableParts
    >>> X, y = load_digits(n_class=4, return_X_y=True)
    >>> fine = np.stack([X, 16 - X], axis=-1).reshape(-1, 8, 8, 2)
    >>> coarse = fine.reshape(-1, 4, 2, 4, 2, 2).mean(axis=(2, 4))
    >>> maps = np.empty(len(X), [("0", "f4", (8, 8, 2)), ("1", "f4", (4, 4, 2))])
    >>> maps["0"], maps["1"] = fine, coarse
    >>> model = DeformableParts(
    ...     "precomputed", n_stars=1, n_parts=2, root_size=1.0, random_state=0
    ... ).fit(maps[:200], y[:200])
    >>> bool(model.score(maps[200:], y[200:]) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **{
            name: constraints
            for name, constraints in PartClassifier._parameter_constraints.items()
            if name != "region_scales"
        },
        "n_stars": [Number(1, whole=True)],
        "n_parts": [Number(1, whole=True)],
        "root_size": [Number(0, above=True, at_most=1)],
        "part_size": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
        "C": [Number(0, above=True)],
        "deformation": [Number(0, above=True)],
        "n_rounds": [Number(1, whole=True)],
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        n_stars: int = 2,
        n_parts: int = 6,
        root_size: float = 0.7,
        part_size: int = 3,
        n_components: int | None = 32,
        C: float = 0.03,
        deformation: float = 0.01,
        n_rounds: int = 4,
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
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.n_stars = n_stars
        self.n_parts = n_parts
        self.root_size = root_size
        self.part_size = part_size
        self.n_components = n_components
        self.C = C
        self.deformation = deformation
        self.n_rounds = n_rounds
        self.random_state = random_state

    @in_usual_torch_state
    def fit(self, X, y) -> DeformableParts:
        """Learn the stars of each class.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, or two of them, as `FeatureMaps`
            returns them; regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters, labels or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        maps, labels = self._begin_fit(X, y)
        random = check_random_state(self.random_state)
        self.whitenings_ = [
            fit_whitening(of_map, grid_of_cells(of_map), self.n_components, random)
            for of_map in maps
        ]
        sides = [grid.windows[0][0] for grid in self.grids_]
        roles = roles_of(self.grids_)
        part_side = 1 if roles.fine is None else sides[roles.fine]
        groups = by_extent(self._star_maps(maps), sides[roles.coarse], part_side)
        each = [
            self._fit_class(groups, labels == number, random)
            for number in tqdm(
                range(len(self.classes_)),
                desc="stars",
                unit="class",
                disable=not self.verbose,
            )
        ]
        self.roots_ = np.stack([stars.roots.numpy() for stars in each])
        self.part_templates_ = np.stack([stars.parts.numpy() for stars in each])
        self.anchors_ = np.stack([stars.anchors.numpy() for stars in each])
        self.deformations_ = np.stack([stars.deformations.numpy() for stars in each])
        self.biases_ = np.stack([stars.biases.numpy() for stars in each])
        layout = part_layout(roles_of(self.grids_), *self.anchors_.shape[:3])
        self.part_classes_ = layout.stars // self.n_stars
        self.part_maps_ = layout.maps
        return self

    def _fit_class(
        self,
        groups: list[tuple[np.ndarray, StarMaps]],
        is_positive: np.ndarray,
        random: np.random.RandomState,
    ) -> Stars:
        """Learn the stars of a class against all other images."""
        roles = roles_of(self.grids_)
        of_class = np.flatnonzero(is_positive)
        coarse = [(images, maps.without_parts()) for images, maps in groups]
        side = self.grids_[roles.coarse].windows[0][0]
        model, middles = first_roots(coarse, of_class, self.n_stars, side, random)
        penalty = star_penalty(model.stars, self.C, self.deformation, _SMOOTHING)
        learned = fit_latent_svm(
            model,
            is_positive,
            model.weights(),
            penalty,
            first=middles,
            n_rounds=self.n_rounds,
        )
        stars = model.with_weights(learned.weights)
        if roles.fine is None:
            return stars
        model = with_first_parts(
            stars,
            groups,
            of_class,
            learned.placements,
            self.n_parts,
            self.grids_[roles.fine].windows[0][0],
            self.deformation,
        )
        penalty = star_penalty(model.stars, self.C, self.deformation, _SMOOTHING)
        learned = fit_latent_svm(
            model, is_positive, model.weights(), penalty, n_rounds=self.n_rounds
        )
        return model.with_weights(learned.weights)

    def _region_grids(self, maps: Sequence[np.ndarray]) -> list[RegionGrid]:
        cells = [grid_of_cells(of_map) for of_map in maps]
        roles = roles_of(cells)
        grids = []
        for number, (grid, of_map) in enumerate(zip(cells, maps, strict=True)):
            whole = shorter_side(of_map)
            if number == roles.coarse:
                side = max(1, round(self.root_size * whole))
            else:
                side = min(self.part_size, whole)
            grids.append(RegionGrid(grid.height, grid.width, ((side, side),)))
        return grids
