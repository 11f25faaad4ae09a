"""ProtoPool on the feature maps of a frozen network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.images.framing import AUTO
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import share_parts, stack_parts
from skdpnet.prototypes.add_on import apply_add_on, initial_add_on
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.prototypes.focal import focal_of_responses
from skdpnet.prototypes.last_layer import fit_last_layer
from skdpnet.prototypes.owners import only_owner
from skdpnet.prototypes.parameters import with_shared_parameters
from skdpnet.prototypes.pool_model import PoolModel, PoolObjective
from skdpnet.prototypes.projection import Projection, leave_sources_out, project
from skdpnet.prototypes.similarity import nearest_distances
from skdpnet.prototypes.slots import initial_logits, owners_of_slots, sum_slots
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor
from skdpnet.utils.validation import Number

__all__ = ["ProtoPoolClassifier"]

_LARGEST_SEED = np.iinfo(np.int32).max
# Similarities are computed for some images at a time, so that they take at most this
# many bytes.
_SIMILARITY_BYTES = 128 * 2**20


@with_shared_parameters
class ProtoPoolClassifier(PrototypeClassifier):
    """Classify images by their likeness to regions of a pool that classes share.

    ProtoPool [1]_ on frozen feature maps. All classes share a pool of prototypes, and
    each class has some slots (`n_slots`) that hold prototypes of the pool. The number
    of a prototype in the descriptor is its focal similarity: the similarity ``log((d +
    1) / (d + ε))`` of the region that is nearest to it, less the similarity at the mean
    distance d over all regions of the image. It is large for what is in one place only.
    There are three stages:

    1. Prototypes and slots are learned together. A slot is a mixture of the pool,
       softmax shares with Gumbel noise, which ends as a single prototype. The loss is
       the cross-entropy of the sums over a class's slots, plus the distance of each
       image to the nearest of its class's prototypes (`cluster_weight`), less that to
       the nearest of all others (`separation_weight`), plus the likeness of the slots
       of a class (`orthogonality_weight`).
    2. Each slot takes the prototype of its largest share; prototypes in no slot are
       left out. Each prototype becomes the nearest region of the training images of the
       classes that have it.
    3. The weights of the slots are fitted, with a penalty on the absolute weights of
       the slots of other classes (`off_class_weight`).

    Parameters
    ----------
    {maps}
    {add_on}
    n_prototypes : int, default=200
        Number of prototypes in the pool, on all maps together, which have equal shares;
        the last, coarsest map also has the remainder. Those in no slot are left out
        after training. The fewer there are for C · N slots, the more classes share one.
        (The paper has 202 for 200 classes of 10 slots.)
    n_slots : int, default=10
        Number N of slots of each class.
    tau : float > 0, default=0.5
        τ of the softmax: the smaller, the nearer are the shares to 0 and 1.
    gamma : float >= 0, default=1000
        γ, by which the logits of the slots are multiplied at the end of the training,
        and by less before it: the larger, the less the noise matters.
    epsilon : float in (0, 1), default=0.0001
        ε of the similarity.
    cluster_weight : float >= 0, default=0.8
        Weight of `skdpnet.losses.cluster_cost`. A class's own prototypes are the N that
        have the largest shares in its slots.
    separation_weight : float >= 0, default=0.08
        Weight of `skdpnet.losses.separation_cost`, which is subtracted.
    orthogonality_weight : float >= 0, default=1
        Weight of `skdpnet.losses.slot_orthogonality`.
    off_class_weight : float >= 0, default=0.0001
        Weight of the absolute weights of slots of other classes.
    ridge : float > 0, default=0.0001
        Weight of the squared weights in the last fit, which the paper ends early
        instead.
    max_epochs : int >= 0, default=10
        Number of passes over the training set in which prototypes and slots are
        learned. With 0 slots take the prototypes that they begin with.
    lr : float > 0, default=0.003
        Learning rate of prototypes and slots, which decays to 0 along a cosine.
    batch_size : int, default=64
        Number of images in a training step.
    {training}

    Attributes
    ----------
    {attributes}
    slots_ : int64 ndarray of shape (C, N)
        The number of the prototype in each slot of each class. Two slots of a class may
        hold the same one.
    coef_ : float32 ndarray of shape (C, P)
        The weights of the classes on the prototypes: those of the slots, summed over
        the slots that hold a prototype.
    intercept_ : float32 ndarray of shape (C,)
        Zeros.

    See Also
    --------
    ProtoPNetClassifier : Prototypes of one class each.
    ProtoPShareClassifier : Prototypes that are merged after they were learned.
    skdpnet.explain : The contribution of each prototype to the score of an image.

    Notes
    -----
    What differs from the paper, because the network is frozen:

    - Instead of layers of convolutions and a sigmoid, regions have unit length behind
      the PCA whitening and a learned linear layer (`add_on_size`).
    - The initial prototypes are centres of clusters of the regions of all images, and a
      slot begins with a head start for a prototype that is nearer to the images of its
      class than to others. In so few steps, slots that start at random would stay with
      prototypes that say little.
    - γ grows with the square root of the step until the end of the training, not until
      epoch 30. The noise ends with the training: predictions have none.
    - The mean distance is taken over the regions of the grid, without regions outside
      the image. Where a map has a single region, it would be that region's distance and
      all similarities would be 0; if all maps are such, it is left out.
    - The likeness of slots is the cosine of their shares, without that of each slot
      with itself.
    - A prototype in no slot is left out, where the authors' code sets it to zero. A map
      keeps one, with weights of 0, if none of its prototypes is in a slot.
    - Prototypes are projected once, and the weights are fitted to the minimum of their
      objective. In this fit, the image that a prototype was taken from has the largest
      similarity among the other images.
    - Images are not augmented, nor mixed up.

    References
    ----------
    .. [1] D. Rymarczyk, Ł. Struski, M. Górszczak, K. Lewandowska, J. Tabor, B.
       Zieliński, "Interpretable Image Classification with Differentiable Prototypes
       Assignment", ECCV 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import ProtoPoolClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ProtoPoolClassifier(
    ...     "precomputed", n_prototypes=12, n_slots=3, random_state=0
    ... ).fit(X, y)
    >>> model.slots_.shape
    (3, 3)
    >>> bool(model.slots_.max() < len(model.prototypes_))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PrototypeClassifier._parameter_constraints,
        "n_prototypes": [Number(1, whole=True)],
        "n_slots": [Number(1, whole=True)],
        "tau": [Number(0, above=True)],
        "gamma": [Number(0)],
        "epsilon": [Number(0, above=True, below=1)],
        "cluster_weight": [Number(0)],
        "separation_weight": [Number(0)],
        "orthogonality_weight": [Number(0)],
        "off_class_weight": [Number(0)],
        "ridge": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PrototypeClassifier._fitted_attributes,
        *("slots_", "coef_", "intercept_"),
    )

    slots_: np.ndarray

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
        n_prototypes: int = 200,
        n_slots: int = 10,
        tau: float = 0.5,
        gamma: float = 1000.0,
        epsilon: float = 1e-4,
        cluster_weight: float = 0.8,
        separation_weight: float = 0.08,
        orthogonality_weight: float = 1.0,
        off_class_weight: float = 1e-4,
        ridge: float = 1e-4,
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
        self.n_prototypes = n_prototypes
        self.n_slots = n_slots
        self.tau = tau
        self.gamma = gamma
        self.epsilon = epsilon
        self.cluster_weight = cluster_weight
        self.separation_weight = separation_weight
        self.orthogonality_weight = orthogonality_weight
        self.off_class_weight = off_class_weight
        self.ridge = ridge

    @property
    def prototype_classes_(self) -> np.ndarray:
        """The classes that own each prototype, bool (C, P)."""
        return owners_of_slots(self.slots_, len(self.part_classes_))

    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        model = self._initial_model(regions, labels, random)
        objective = PoolObjective(
            self.epsilon,
            self.cluster_weight,
            self.separation_weight,
            self.orthogonality_weight,
        )
        self._train(model, objective, regions, labels, weights, random)
        regions = self._fold_add_on(model.layer_arrays(), regions)
        on_maps, own = self._assign(model)
        learned = project(regions, on_maps, labels, own, self.device_)
        self.prototypes_ = stack_parts(learned.prototypes)
        descriptors = self._describe_regions(regions)
        self._fit_last_layer(descriptors, learned.images, labels, weights)
        return learned

    def _initial_model(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> PoolModel:
        shares = share_parts(self.n_prototypes, len(regions), "n_prototypes")
        self.part_maps_ = np.repeat(np.arange(len(shares)), shares)
        layers = initial_add_on(regions, self.add_on_size)
        described = apply_add_on(layers, regions, self.device_, self.memory)
        as_one_class = np.zeros_like(labels)
        prototypes = [
            cluster_parts(of_map, None, as_one_class, 1, share, random)
            for of_map, share in zip(described, shares, strict=True)
        ]
        distances = nearest_distances(described, prototypes, self.device_)
        return PoolModel(
            prototypes,
            layers,
            initial_logits(distances, labels, len(self.classes_), self.n_slots, random),
            n_steps=self.max_epochs * -(-len(labels) // self.batch_size),
            tau=self.tau,
            gamma=self.gamma,
            focal=self._is_focal(),
            random=np.random.RandomState(random.randint(_LARGEST_SEED)),
        )

    def _assign(self, model: PoolModel) -> tuple[list[np.ndarray], np.ndarray]:
        """Make slots hard, and leave out the prototypes that are in none.

        It sets `slots_`, `part_classes_` and `part_maps_`.

        Returns
        -------
        on_maps : list of float32 ndarrays of shape (P', L)
            The prototypes that are left.
        allowed : bool ndarray of shape (C, P)
            The classes whose images they may come from.
        """
        slots, on_maps = model.hard_slots(), model.arrays()
        used = np.isin(np.arange(len(self.part_maps_)), slots)
        for i in range(len(on_maps)):
            of_map = np.flatnonzero(self.part_maps_ == i)
            # The layout of parts has at least one on each map.
            used[of_map[0]] |= not used[of_map].any()
        self.slots_ = (np.cumsum(used) - 1)[slots]
        kept = [on_map[used[self.part_maps_ == i]] for i, on_map in enumerate(on_maps)]
        self.part_maps_ = self.part_maps_[used]
        own = owners_of_slots(self.slots_, len(self.part_maps_))
        self.part_classes_ = only_owner(own)
        return kept, own | ~own.any(axis=0)

    def _describe_regions(self, regions: list[np.ndarray]) -> np.ndarray:
        """Return the descriptors (n, P) of images, from their regions (n, R, K)."""
        n_responses = sum(of_map.shape[1] for of_map in regions) * len(self.part_maps_)
        rows = []
        with torch.inference_mode():
            for images in slices_within(
                len(regions[0]), 8 * n_responses, _SIMILARITY_BYTES
            ):
                some = [as_tensor(of_map[images], self.device_) for of_map in regions]
                descriptors = self._descriptor_of(self._responses_to(some))
                rows.append(descriptors.cpu().numpy())
        return np.concatenate(rows)

    def _fit_last_layer(
        self,
        descriptors: np.ndarray,
        sources: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """Set `coef_` and `intercept_` from the training images' descriptors (n, P)."""
        similarities = -leave_sources_out(-descriptors, sources)
        n_classes, n_slots = self.slots_.shape
        W = fit_last_layer(
            similarities[:, self.slots_.ravel()],
            labels,
            weights,
            own=np.repeat(np.eye(n_classes, dtype=bool), n_slots, axis=1),
            off_class=0.0,
            off_class_weight=self.off_class_weight,
            ridge=self.ridge,
        )
        self.coef_ = sum_slots(W, self.slots_, descriptors.shape[1])
        self.intercept_ = np.zeros(n_classes, np.float32)

    def _is_focal(self) -> bool:
        """Whether there are regions that the nearest one is compared with."""
        return any(grid.n_regions > 1 for grid in self.grids_)

    def _descriptor_of(self, responses: list[torch.Tensor]) -> torch.Tensor:
        if not self._is_focal():
            return super()._descriptor_of(responses)
        of_maps = [focal_of_responses(of_map, self.epsilon) for of_map in responses]
        return torch.cat(of_maps, dim=1)

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        slots, n_classes = state["slots_"], len(state["classes_"])
        n_prototypes = len(state["part_classes_"])
        if (
            not isinstance(slots, np.ndarray)
            or slots.dtype != np.int64
            or slots.ndim != 2
            or len(slots) != n_classes
            or slots.size == 0
            or slots.min() < 0
            or slots.max() >= n_prototypes
        ):
            raise ValueError(
                "slots_ does not hold the numbers of prototypes, a row for each class"
            )
        own = owners_of_slots(slots, n_prototypes)
        if (only_owner(own) != state["part_classes_"]).any():
            raise ValueError("slots_ and part_classes_ name different classes")
