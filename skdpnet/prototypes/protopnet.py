"""ProtoPNet on the feature maps of a frozen network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch

from skdpnet.images.framing import AUTO
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import classes_and_maps, share_parts
from skdpnet.prototypes.add_on import apply_add_on, initial_add_on
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.prototypes.last_layer import fit_last_layer, initial_last_layer
from skdpnet.prototypes.model import PrototypeModel
from skdpnet.prototypes.parameters import with_shared_parameters
from skdpnet.prototypes.projection import Projection, leave_sources_out, project
from skdpnet.prototypes.protopnet_objective import ProtoPNetObjective
from skdpnet.prototypes.similarity import log_similarity, nearest_distances
from skdpnet.utils.validation import Number, TrueOrFalse

__all__ = ["OFF_CLASS", "ProtoPNetClassifier", "keep_prototypes"]

# The weight of the prototypes of other classes in the last layer, before it is fitted.
OFF_CLASS = -0.5


@with_shared_parameters
class ProtoPNetClassifier(PrototypeClassifier):
    """Classify images by how much their regions look like regions of training images.

    ProtoPNet [1]_ on frozen feature maps. Each class has some prototypes. The response
    of a prototype p to a region z is ``log((d + 1) / (d + ε))`` with their squared
    distance d, and the largest over the regions is its number in the descriptor. A
    linear layer W without intercepts decides. There are three stages:

    1. The prototypes minimise the cross-entropy, plus the distance of each image to the
       nearest prototype of its class (`cluster_weight`), less that to the nearest of
       other classes (`separation_weight`). W is fixed: 1 on a class's own prototypes
       and −0.5 on all others.
    2. Each prototype becomes the nearest region of the training images of its class.
    3. W is fitted, with a penalty on the absolute weights of the prototypes of other
       classes (`off_class_weight`).

    Parameters
    ----------
    {maps}
    {add_on}
    n_prototypes_per_class : int, default=10
        Number of prototypes of each class on all maps together, which have equal
        shares; the last, coarsest map also has the remainder.
    epsilon : float in (0, 1), default=0.0001
        ε of the similarity, whose largest value is ``log(1 / ε)``.
    cluster_weight : float >= 0, default=0.8
        Weight of `skdpnet.losses.cluster_cost`.
    separation_weight : float >= 0, default=0.08
        Weight of `skdpnet.losses.separation_cost`, which is subtracted.
    off_class_weight : float >= 0, default=0.0001
        Weight of the absolute weights in W of prototypes of other classes. Larger
        weights make more of them exactly 0.
    ridge : float > 0, default=0.0001
        Weight of ‖W‖² in the fit of W, which the paper ends early instead.
    prune : bool, default=False
        Whether prototypes are left out, before W is fitted, that are near the images of
        several classes: of the 6 training images nearest to a prototype, fewer than 3
        are of its class.
    max_epochs : int >= 0, default=10
        Number of passes over the training set in which prototypes are learned.
    lr : float > 0, default=0.003
        Learning rate of the prototypes, which decays to 0 along a cosine.
    batch_size : int, default=64
        Number of images in a training step.
    {training}

    Attributes
    ----------
    {attributes}
    coef_ : float32 ndarray of shape (C, P)
        W.
    intercept_ : float32 ndarray of shape (C,)
        Zeros.

    See Also
    --------
    ProtoPShareClassifier : The same with prototypes that classes share.
    DPNetClassifier : Parts that are learned, and not regions of training images.
    skdpnet.explain : The contribution of each prototype to the score of an image.

    Notes
    -----
    What differs from the paper, because the network is frozen:

    - The paper adds two layers of 1×1 convolutions and a sigmoid to the network. Here a
      fixed layer, the PCA whitening of regions, and a learned linear one
      (`add_on_size`) are in their place, and regions have unit length. Distances are
      then in [0, 4], and W sees similarities of the same range whatever the network.
    - The initial prototypes are centres of clusters of the regions of their class
      instead of random numbers; with `max_epochs` 0 they are projected as they are.
    - Prototypes are projected once, after they are learned, and not every ten epochs
      with further training in between.
    - W is fitted to the minimum of its objective, with a ridge. In this fit, the image
      that a prototype was taken from has the distance of the second-nearest image: its
      own is 0, which no new image has.
    - Images are not augmented.

    References
    ----------
    .. [1] C. Chen, O. Li, D. Tao, A. Barnett, C. Rudin, J. Su, "This Looks Like That:
       Deep Learning for Interpretable Image Recognition", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import ProtoPNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ProtoPNetClassifier(
    ...     "precomputed", n_prototypes_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> model.prototypes_.shape, model.coef_.shape
    ((6, 4), (3, 6))
    >>> y[model.prototype_sources_["image"]]
    array([0, 0, 1, 1, 2, 2])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PrototypeClassifier._parameter_constraints,
        "n_prototypes_per_class": [Number(1, whole=True)],
        "epsilon": [Number(0, above=True, below=1)],
        "cluster_weight": [Number(0)],
        "separation_weight": [Number(0)],
        "off_class_weight": [Number(0)],
        "ridge": [Number(0, above=True)],
        "prune": [TrueOrFalse()],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PrototypeClassifier._fitted_attributes,
        *("coef_", "intercept_"),
    )

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3,),
        n_components: int | None = 256,
        add_on_size: int | None = 64,
        n_prototypes_per_class: int = 10,
        epsilon: float = 1e-4,
        cluster_weight: float = 0.8,
        separation_weight: float = 0.08,
        off_class_weight: float = 1e-4,
        ridge: float = 1e-4,
        prune: bool = False,
        max_epochs: int = 10,
        lr: float = 0.003,
        batch_size: int = 64,
        class_weight: dict | str | None = None,
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
            add_on_size=add_on_size,
            max_epochs=max_epochs,
            lr=lr,
            batch_size=batch_size,
            class_weight=class_weight,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.n_prototypes_per_class = n_prototypes_per_class
        self.epsilon = epsilon
        self.cluster_weight = cluster_weight
        self.separation_weight = separation_weight
        self.off_class_weight = off_class_weight
        self.ridge = ridge
        self.prune = prune

    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        learned, distances, own = self._learn_kept(regions, labels, weights, random)
        self._fit_last_layer(distances, labels, weights, own)
        return learned

    def _learn_kept(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> tuple[Projection, np.ndarray, np.ndarray]:
        """Learn, project and prune; return prototypes, distances (n, P), `own` (C, P).

        The distances are without the sources.
        """
        regions, learned, own = self._learn_prototypes(regions, labels, weights, random)
        distances = leave_sources_out(
            nearest_distances(regions, learned.prototypes, self.device_), learned.images
        )
        if self.prune:
            kept = keep_prototypes(distances, labels, own)
            learned, own = self._keep(learned, kept), own[:, kept]
            distances = distances[:, kept]
        return learned, distances, own

    def _learn_prototypes(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> tuple[list[np.ndarray], Projection, np.ndarray]:
        """Learn prototypes and project them.

        Returns
        -------
        regions : list of float32 ndarrays of shape (n, R, L)
            The regions behind the add-on layer.
        learned : Projection
        own : bool ndarray of shape (C, P)
            Which prototypes are a class's own.
        """
        n_classes = len(self.classes_)
        shares = share_parts(
            self.n_prototypes_per_class, len(regions), "n_prototypes_per_class"
        )
        layers = initial_add_on(regions, self.add_on_size)
        initial = [
            cluster_parts(of_map, None, labels, n_classes, share, random)
            for of_map, share in zip(
                apply_add_on(layers, regions, self.device_, self.memory),
                shares,
                strict=True,
            )
        ]
        self.part_classes_, self.part_maps_ = classes_and_maps(shares, n_classes)
        own = self.part_classes_ == np.arange(n_classes)[:, None]
        model = PrototypeModel(initial, layers)
        objective = ProtoPNetObjective(
            own,
            initial_last_layer(own, OFF_CLASS),
            self.epsilon,
            self.cluster_weight,
            self.separation_weight,
        )
        self._train(model, objective, regions, labels, weights, random)
        regions = self._fold_add_on(model.layer_arrays(), regions)
        learned = project(regions, model.arrays(), labels, own, self.device_)
        return regions, learned, own

    def _keep(self, learned: Projection, kept: np.ndarray) -> Projection:
        """Leave out all prototypes but those that are `kept`, a mask (P,)."""
        on_maps = [
            prototypes[kept[self.part_maps_ == i]]
            for i, prototypes in enumerate(learned.prototypes)
        ]
        self.part_classes_ = self.part_classes_[kept]
        self.part_maps_ = self.part_maps_[kept]
        return Projection(on_maps, learned.images[kept], learned.regions[kept])

    def _fit_last_layer(
        self,
        distances: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        own: np.ndarray,
        start: np.ndarray | None = None,
    ) -> None:
        """Set `coef_` and `intercept_` from distances without the sources."""
        similarities = log_similarity(torch.from_numpy(distances), self.epsilon).numpy()
        self.coef_ = fit_last_layer(
            similarities,
            labels,
            weights,
            own,
            OFF_CLASS,
            self.off_class_weight,
            self.ridge,
            start,
        )
        self.intercept_ = np.zeros(len(self.classes_), np.float32)


def keep_prototypes(
    distances: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    n_nearest: int = 6,
    n_of_class: int = 3,
) -> np.ndarray:
    """Find the prototypes that are near images of their own class.

    It is the pruning of ProtoPNet (Chen et al., 2019, supplement, section 7).

    Parameters
    ----------
    distances : float ndarray of shape (n, P)
        Distances of the prototypes to the nearest region of each training image.
    labels : int ndarray of shape (n,)
    own : bool ndarray of shape (C, P)
        Which prototypes are a class's own.
    n_nearest : int, default=6
        Number k of the images that are nearest to a prototype; all, if there are fewer.
    n_of_class : int, default=3
        Number of them that must be of a class whose own the prototype is.

    Returns
    -------
    bool ndarray of shape (P,)
        The prototypes that are kept. If none would be, all are.
    """
    order = np.argsort(distances, axis=0, kind="stable")[:n_nearest]
    of_class = own[labels[order], np.arange(distances.shape[1])]
    kept = of_class.sum(axis=0) >= n_of_class
    return kept if kept.any() else np.ones_like(kept)
