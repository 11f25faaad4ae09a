"""PIP-Net on the feature maps of a frozen network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.images.collection import as_images
from skdpnet.images.framing import AUTO
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import share_parts
from skdpnet.persistence.checks import check_array
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.prototypes.parameters import with_shared_parameters
from skdpnet.prototypes.pip_model import PIPNetModel, PIPNetObjective, shares
from skdpnet.prototypes.projection import Projection
from skdpnet.prototypes.views import mirrored_regions
from skdpnet.regions.extents import have_parts
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.linear_fits import ClassifierPenalty, fit_logistic
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor
from skdpnet.utils.validation import Number

__all__ = ["PIPNetClassifier"]

# Weights of alignment, presence and class loss in the second stage, as in the paper; in
# the first they are 1, which the alignment grows to, 5 and 0.
_FIRST, _SECOND = (1.0, 5.0, 0.0), (5.0, 2.0, 2.0)
_PER_CLASS = 10
_PIECE_BYTES = 64 * 2**20


@with_shared_parameters
class PIPNetClassifier(PrototypeClassifier):
    """Classify images by few prototypes that are present, or by none of them.

    PIP-Net [1]_ on frozen feature maps. A region is shared out among the prototypes of
    its map, by a softmax over them, and the descriptor of an image has the largest
    share of each prototype over the regions; shares below `presence_threshold` count
    as absent, and are 0. A sparse linear layer W without negative weights and without
    intercepts decides: the score of a class is the sum of the evidence for it. An image
    without any of the prototypes that have a weight has the score 0 for all classes;
    `abstains` tells such images. There are two stages:

    1. Without labels, prototypes learn to agree in two views of each image
       (`skdpnet.losses.alignment`), and each to be present in some image
       (`skdpnet.losses.presence`).
    2. Prototypes and classifier learn together: the same terms, and the cross-entropy
       of ``log(1 + score²)``.

    Finally, W is fitted on the learned prototypes.

    Parameters
    ----------
    {maps_of_64}
    n_prototypes : int or None, default=None
        Number of prototypes on all maps together, which have equal shares; the last,
        coarsest map also has the remainder. All classes share them. None: ten times the
        number of classes.
    temperature : float > 0, default=0.1
        Temperature of the softmax that training starts from. Each map learns its own.
    presence_threshold : float in [0, 1), default=0.1
        Smallest share that counts as present.
    sparsity_weight : float >= 0, default=0.001
        Weight of the sum of W in its fit. Larger weights leave fewer of them above 0.
    ridge : float > 0, default=0.00001
        Weight of ‖W‖² in its fit.
    max_epochs : int >= 0, default=10
        Number of passes over the training set in each of the two stages.
    lr : float > 0, default=0.003
        Learning rate, which decays to 0 along a cosine in each stage.
    batch_size : int, default=64
        Number of images in a training step.
    {training}

    Attributes
    ----------
    {attributes}
    coef_ : float32 ndarray of shape (C, P)
        W, at least 0; most of its numbers are exactly 0.
    intercept_ : float32 ndarray of shape (C,)
        Zeros.
    temperatures_ : float32 ndarray
        The temperature of each map.

    See Also
    --------
    ProtoPNetClassifier : Prototypes that are regions of training images.
    skdpnet.explain : The contribution of each prototype to the score of an image.

    Notes
    -----
    What differs from the paper, because the network is frozen:

    - In the paper the channels of a fine-tuned network are the prototypes. Those of a
      frozen one do not tell regions apart, so prototypes are directions of whitened
      regions, behind a temperature. They start as centres of clusters of the regions of
      each class (what does not divide by the number of classes, of all), but belong to
      none. With as many clusters of all regions, accuracy on held-out training images
      was 60.4 % on birds27 instead of 67.0, and 92.5 % on flowers17 instead of 93.4 (a
      third of the images, 288 pixels, seed 0).
    - The two views differ in colours and by small shifts in the paper. Here the second
      view is the mirror image, whose map has the same cells in the opposite order; it
      goes through the network once, and into `memory`, as every image does. For
      ``backbone="precomputed"`` there are no images: both views are the map that was
      given, and the alignment is the entropy of the shares. On the same held-out images
      that had 65.9 % on birds27 and 94.3 % on flowers17, so that the mirror decides
      little where the network is frozen.
    - W starts each stage fitted rather than random, and its last fit has a penalty that
      makes weights exactly 0. The paper subtracts 0.001 from all weights after each
      step.
    - Prototypes are not projected onto regions. `prototype_sources_` has the training
      region with the largest share of each.
    - `part_classes_` has a class for prototypes that it alone has a weight on.

    References
    ----------
    .. [1] M. Nauta, J. Schlötterer, M. van Keulen, C. Seifert, "PIP-Net: Patch-Based
       Intuitive Prototypes for Interpretable Image Classification", CVPR 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import PIPNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = PIPNetClassifier("precomputed", n_prototypes=12, random_state=0)
    >>> model = model.fit(X, y)
    >>> bool((model.coef_ >= 0).all())
    True
    >>> bool(model.abstains(X).mean() < 0.1)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PrototypeClassifier._parameter_constraints,
        "n_prototypes": [Number(1, whole=True), None],
        "temperature": [Number(0, above=True)],
        "presence_threshold": [Number(0, below=1)],
        "sparsity_weight": [Number(0)],
        "ridge": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PrototypeClassifier._fitted_attributes,
        *("coef_", "intercept_", "temperatures_"),
    )

    temperatures_: np.ndarray

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3,),
        n_components: int | None = 64,
        n_prototypes: int | None = None,
        temperature: float = 0.1,
        presence_threshold: float = 0.1,
        sparsity_weight: float = 1e-3,
        ridge: float = 1e-5,
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
        self.temperature = temperature
        self.presence_threshold = presence_threshold
        self.sparsity_weight = sparsity_weight
        self.ridge = ridge

    def abstains(self, X) -> np.ndarray:
        """Tell the images that show none of the prototypes that classes depend on.

        `predict` names the first class for them, and `predict_proba` gives all classes
        the same probability.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        bool ndarray of shape (n,)

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        return (self._logits(X) == 0).all(axis=1)

    def _fit_regions(
        self,
        X,
        rows: np.ndarray,
        maps: Sequence[MapRows],
        random: np.random.RandomState,
    ) -> list[np.ndarray]:
        """Describe the regions of both views; for maps that were given, of one."""
        first = super()._fit_regions(X, rows, maps, random)
        if self.is_precomputed:
            return first
        second = mirrored_regions(
            self.feature_maps(),
            as_images(X).take(rows),
            have_parts(self.map_shapes_),
            self.whitenings_,
            self.grids_,
            self.device_,
            self.memory,
        )
        return first + second

    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        n_maps, n_classes = len(self.grids_), len(self.classes_)
        own_view = regions[:n_maps]
        n_prototypes = self.n_prototypes or _PER_CLASS * n_classes
        counts = share_parts(n_prototypes, n_maps, "n_prototypes")
        initial = [
            _first_prototypes(of_map, labels, n_classes, count, random)
            for of_map, count in zip(own_view, counts, strict=True)
        ]
        self.part_maps_ = np.repeat(np.arange(n_maps), counts)
        model = PIPNetModel(initial, self.temperature, n_classes).to(self.device_)
        for stage, stage_weights in enumerate((_FIRST, _SECOND)):
            model.step = 0
            model.n_steps = max(1, self.max_epochs * -(-len(labels) // self.batch_size))
            if stage == 1:
                self._read(model)
                maxima, _, _ = self._strongest(own_view)
                start = self._fit_weights(maxima, labels, weights)
                with torch.no_grad():
                    model.weight.copy_(torch.from_numpy(start))
            objective = PIPNetObjective(
                *stage_weights, grows=stage == 0, batch_size=self.batch_size
            )
            self._train(model, objective, regions, labels, weights, random)
        self._read(model)
        maxima, images, places = self._strongest(own_view)
        self.coef_ = self._fit_weights(maxima, labels, weights)
        self.intercept_ = np.zeros(n_classes, np.float32)
        speaks = self.coef_ > 0
        alone = speaks.sum(axis=0) == 1
        self.part_classes_ = np.where(alone, speaks.argmax(axis=0), -1)
        return Projection(self._unit, images, places)

    def _read(self, model: PIPNetModel) -> None:
        """Take prototypes and temperatures from the module."""
        with torch.no_grad():
            self._unit = [p.cpu().numpy().copy() for p in model.unit_prototypes()]
            temperatures = model.log_temperatures.exp().cpu().numpy()
        self.temperatures_ = temperatures.copy()

    def _strongest(
        self, regions: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the largest shares of the prototypes in training images.

        Returns
        -------
        maxima : float32 ndarray of shape (n, P)
            Of each image; absent ones are 0.
        images, places : int64 ndarrays of shape (P,)
            The image and region with the largest share of each prototype.
        """
        maxima, places = [], []
        for i, (of_map, points) in enumerate(zip(regions, self._unit, strict=True)):
            prototypes = as_tensor(points, self.device_)
            size = 4 * of_map.shape[1] * (of_map.shape[2] + len(points))
            largest = []
            with torch.inference_mode():
                for rows in slices_within(len(of_map), size, _PIECE_BYTES):
                    some = as_tensor(of_map[rows], self.device_)
                    found = shares(some, prototypes, float(self.temperatures_[i]))
                    largest.append([x.cpu().numpy() for x in found.max(dim=1)])
            values, numbers = (np.concatenate(x) for x in zip(*largest, strict=True))
            maxima.append(values)
            places.append(numbers)
        values, numbers = np.hstack(maxima), np.hstack(places)
        images = values.argmax(axis=0)
        of_sources = numbers[images, np.arange(values.shape[1])]
        return self._present(torch.from_numpy(values)).numpy(), images, of_sources

    def _fit_weights(
        self, maxima: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Fit W (C, P): cross-entropy with non-negative, sparse weights."""
        penalty = ClassifierPenalty(
            lambda V: self.sparsity_weight * V.abs().sum(), sparse=True
        )
        coef, _ = fit_logistic(
            maxima,
            labels,
            weights,
            len(self.classes_),
            self.ridge,
            penalty if self.sparsity_weight else None,
            positive=True,
            fit_intercept=False,
        )
        return coef

    def _similarities(self, regions: torch.Tensor, map_number: int) -> torch.Tensor:
        points = self._prototypes_on(map_number, regions)
        return shares(regions, points, float(self.temperatures_[map_number]))

    def _descriptor_of(self, responses: list[torch.Tensor]) -> torch.Tensor:
        return self._present(super()._descriptor_of(responses))

    def _present(self, maxima: torch.Tensor) -> torch.Tensor:
        """Set the shares of absent prototypes to 0."""
        return torch.where(maxima >= self.presence_threshold, maxima, 0.0)

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        n_maps = len(state["grids_"])
        check_array("temperatures_", state["temperatures_"], (n_maps,))
        if (state["temperatures_"] <= 0).any():
            raise ValueError("temperatures_ holds numbers that are not above 0")
        if (state["coef_"] < 0).any():
            raise ValueError("coef_ holds negative weights")


def _first_prototypes(
    regions: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    n_prototypes: int,
    random: np.random.RandomState,
) -> np.ndarray:
    """Cluster the regions of each class; what is left over is of all classes.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
    labels : int ndarray of shape (n,)
    n_classes, n_prototypes : int
    random : RandomState

    Returns
    -------
    float32 ndarray of shape (n_prototypes, K)
        Unit rows.
    """
    n_each, n_left = divmod(n_prototypes, n_classes)
    found = []
    if n_each:
        found.append(cluster_parts(regions, None, labels, n_classes, n_each, random))
    if n_left:
        together = np.zeros_like(labels)
        found.append(cluster_parts(regions, None, together, 1, n_left, random))
    return np.concatenate(found)
