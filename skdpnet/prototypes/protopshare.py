"""ProtoPShare on the feature maps of a frozen network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from skdpnet.images.framing import AUTO
from skdpnet.prototypes.merging import (
    dissimilarities,
    find_merges,
    merge_columns,
    merge_owners,
)
from skdpnet.prototypes.owners import check_owners, only_owner
from skdpnet.prototypes.parameters import with_shared_parameters
from skdpnet.prototypes.projection import Projection
from skdpnet.prototypes.protopnet import ProtoPNetClassifier
from skdpnet.utils.validation import Number

__all__ = ["ProtoPShareClassifier"]


@with_shared_parameters
class ProtoPShareClassifier(ProtoPNetClassifier):
    """Classify images by how much they look like regions that classes share.

    ProtoPShare [1]_ on frozen feature maps. The prototypes of a ProtoPNet are merged in
    rounds, so that fewer are left, and several classes share some. In a round, those
    prototypes are merged that respond most alike to the training images: whose columns
    of distances to the nearest regions of the images have the smallest squared
    Euclidean distance. What is left of merged prototypes is the first of them, which
    belongs to the classes of all, with the sum of their weights in W.

    Parameters
    ----------
    {maps}
    {add_on}
    n_prototypes_per_class : int, default=10
        Number of prototypes of each class before any are merged, on all maps together,
        which have equal shares; the last, coarsest map also has the remainder.
    n_merges : int >= 0, default=5
        Number of rounds. With 0 it is ProtoPNet.
    merge_fraction : float in (0, 1], default=0.1
        Share of the prototypes that a round merges with others: as many prototypes as
        this says have another that is alike. Since those are alike in twos or more, a
        round leaves between half and almost all of these out.
    epsilon, cluster_weight, separation_weight, ridge, prune
        As in `ProtoPNetClassifier`.
    off_class_weight : float >= 0, default=0.0001
        Weight of the absolute weights in W of prototypes that do not belong to a class.
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
    prototype_classes_ : bool ndarray of shape (C, P)
        The classes that each prototype belongs to.
    coef_ : float32 ndarray of shape (C, P)
        W.
    intercept_ : float32 ndarray of shape (C,)
        Zeros.

    See Also
    --------
    ProtoPNetClassifier : The same without sharing.
    ProtoPoolClassifier : Prototypes that are learned as shared.
    skdpnet.explain : The contribution of each prototype to the score of an image.

    Notes
    -----
    What differs from the paper, beside the differences of `ProtoPNetClassifier`:

    - Where the distances of prototypes are compared, the image that one was taken from
      has the distance of the second-nearest image. Its own is 0, which would keep
      prototypes of different images apart whatever they look like.
    - Only prototypes on the same feature map are merged, since a prototype is a region
      of one map.
    - W is fitted before the first round, summed in each, and fitted again after the
      last, to the minimum of its objective. The paper trains it further after each
      round. Here this would change nothing: which prototypes merge does not depend on
      W, nor does the minimum on where the search starts.

    Columns of distances might also be compared by their correlation, which ignores how
    near a prototype is to all images. On training images that were held out, this cost
    more accuracy for the same number of prototypes (flowers17, birds27).

    References
    ----------
    .. [1] D. Rymarczyk, Ł. Struski, J. Tabor, B. Zieliński, "ProtoPShare: Prototypical
       Parts Sharing for Similarity Discovery in Interpretable Image Classification",
       KDD 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import ProtoPShareClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ProtoPShareClassifier(
    ...     "precomputed", n_prototypes_per_class=4, random_state=0
    ... ).fit(X, y)
    >>> n_classes, n_prototypes = model.prototype_classes_.shape
    >>> n_classes, n_prototypes < 12
    (3, True)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **ProtoPNetClassifier._parameter_constraints,
        "n_merges": [Number(0, whole=True)],
        "merge_fraction": [Number(0, above=True, at_most=1)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *ProtoPNetClassifier._fitted_attributes,
        "prototype_classes_",
    )

    prototype_classes_: np.ndarray

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
        n_merges: int = 5,
        merge_fraction: float = 0.1,
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
            n_prototypes_per_class=n_prototypes_per_class,
            epsilon=epsilon,
            cluster_weight=cluster_weight,
            separation_weight=separation_weight,
            off_class_weight=off_class_weight,
            ridge=ridge,
            prune=prune,
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
        self.n_merges = n_merges
        self.merge_fraction = merge_fraction

    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        learned, distances, own = self._learn_kept(regions, labels, weights, random)
        self._fit_last_layer(distances, labels, weights, own)
        W = self.coef_
        for _ in range(self.n_merges):
            n_alike = max(1, round(self.merge_fraction * own.shape[1]))
            into = find_merges(dissimilarities(distances, self.part_maps_), n_alike)
            kept = into == np.arange(len(into))
            W, own = merge_columns(W, into), merge_owners(own, into)
            learned, distances = self._keep(learned, kept), distances[:, kept]
        if self.n_merges:
            self._fit_last_layer(distances, labels, weights, own, start=W)
        self.prototype_classes_ = own
        self.part_classes_ = only_owner(own)
        return learned

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_owners(
            state["prototype_classes_"], state["part_classes_"], len(state["classes_"])
        )
