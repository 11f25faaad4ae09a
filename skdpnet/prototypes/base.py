"""The base class of the prototype networks: from images to prototypes and sources."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.base.part_classifier import PartClassifier
from skdpnet.explanations.explain_mixin import ExplainMixin
from skdpnet.explanations.localisation import boxes_in_pixels, images_of
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import stack_parts
from skdpnet.persistence.checks import check_array, check_whitenings
from skdpnet.prototypes.add_on import apply_add_on, fold_add_on
from skdpnet.prototypes.projection import Projection
from skdpnet.prototypes.similarity import (
    log_similarity,
    outside_images,
    squared_distances,
)
from skdpnet.prototypes.sources import check_sources, source_table
from skdpnet.regions.whitening import Whitening, fit_whitening
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.dataset import MapDataset
from skdpnet.training.fit_tasks import (
    CallbackSupportMixin,
    as_fit_task,
    epochs_as_tasks,
)
from skdpnet.training.net import TermsObjective, build_net
from skdpnet.training.sample_weights import sample_weights
from skdpnet.utils.batching import slices_within
from skdpnet.utils.devices import resolve_device
from skdpnet.utils.host_copies import as_tensor, device_of
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number

__all__ = ["PrototypeClassifier"]

_LARGEST_SEED = np.iinfo(np.int32).max
# Similarities are computed for some images at a time, so that they take at most this
# many bytes.
_SIMILARITY_BYTES = 128 * 2**20


class PrototypeClassifier(CallbackSupportMixin, ExplainMixin, PartClassifier):
    """Base of the classifiers that compare regions with prototypes.

    A prototype is a part. Its response to a region is a similarity, and the descriptor
    of an image has the largest similarity of each prototype. What the methods have in
    common is here: whitened regions of unit length in place of the layers that the
    papers add to a network, the training of a module, the projection onto regions of
    training images, and where each prototype comes from.

    A subclass implements `_learn`, and overrides `_similarities` and
    `_descriptor_of` where its similarity or its descriptor is another.
    """

    _takes_tensors = True
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PartClassifier._parameter_constraints,
        "n_components": [Number(1, whole=True), None],
        "add_on_size": [Number(1, whole=True), None],
        "max_epochs": [Number(0, whole=True)],
        "lr": [Number(0, above=True)],
        "batch_size": [Number(1, whole=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartClassifier._fitted_attributes,
        *("prototypes_", "prototype_sources_", "whitenings_", "history_", "n_iter_"),
    )

    prototypes_: np.ndarray
    prototype_sources_: dict[str, np.ndarray]
    whitenings_: list[Whitening]
    history_: list[dict[str, float]]
    device_: torch.device

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
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.region_scales = region_scales
        self.n_components = n_components
        self.add_on_size = add_on_size
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.random_state = random_state

    @abstractmethod
    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        """Learn prototypes and classifier from the regions of the training images.

        It sets `part_classes_`, `part_maps_`, `history_`, and the attributes of the
        classifier.

        Parameters
        ----------
        regions : list of float32 ndarrays of shape (n, R, K)
            The region descriptors of each map: of unit length, or zero outside images.
        labels : int ndarray of shape (n,)
            The class of each image, as an index into `classes_`.
        weights : float ndarray of shape (n,)
            Weights of the images, above 0.
        random : RandomState

        Returns
        -------
        Projection
            The prototypes, and the image (a row of `regions`) and region of each.
        """

    def fit(self, X, y, sample_weight=None):
        """Learn the prototypes and the classifier.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the losses. Images of weight 0 have no influence at
            all, and no prototype is taken from them. The whitening and the initial
            prototypes, which describe images whatever their labels are, count all
            others alike.

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
        self._fit(X, y, sample_weight)
        return self

    @as_fit_task
    @in_usual_torch_state
    def _fit(self, X, y, sample_weight) -> None:
        maps, labels = self._begin_fit(X, y)
        weights = sample_weights(
            X, self.classes_[labels], sample_weight, self.class_weight
        )
        random = check_random_state(self.random_state)
        self.device_ = resolve_device(self.device)
        rows = np.flatnonzero(weights > 0)
        maps_of_rows = [MapRows(array, rows) for array in maps]
        regions = self._fit_regions(X, rows, maps_of_rows, random)
        learned = self._learn(regions, labels[rows], weights[rows], random)
        self.prototypes_ = stack_parts(learned.prototypes)
        images = np.where(learned.images >= 0, rows[learned.images], -1)
        boxes = self._boxes_of_sources(X, images, learned.regions)
        self.prototype_sources_ = source_table(images, learned.regions, boxes)

    def _fold_add_on(
        self, layers: list[np.ndarray] | None, regions: list[np.ndarray]
    ) -> list[np.ndarray]:
        """Make learned add-on layers part of `whitenings_`.

        Returns
        -------
        list of float32 ndarrays of shape (n, R, L)
            The regions as the layers describe them.
        """
        if layers is not None:
            each = zip(self.whitenings_, layers, strict=True)
            self.whitenings_ = [fold_add_on(*pair) for pair in each]
        return apply_add_on(layers, regions, self.device_, self.memory)

    def _boxes_of_sources(
        self, X, images: np.ndarray, regions: np.ndarray
    ) -> np.ndarray:
        """Return the boxes (P, 4) of regions of items of X; −1 for an item of −1."""
        boxes = np.full((len(images), 4), -1.0)
        found = np.flatnonzero(images >= 0)
        for i in found:
            boxes[i] = self.grids_[self.part_maps_[i]].boxes()[regions[i]]
        collection = images_of(self, X)
        if collection is not None and len(found):
            geometries = [collection.geometry(int(images[i])) for i in found]
            boxes[found] = boxes_in_pixels(
                geometries, boxes[found], self.input_framing(), apply_exif=False
            )
        return boxes

    def _fit_regions(
        self,
        X,
        rows: np.ndarray,
        maps: Sequence[MapRows],
        random: np.random.RandomState,
    ) -> list[np.ndarray]:
        """Learn the whitening of the maps of rows of X, and describe regions by it."""
        self.whitenings_ = [
            fit_whitening(of_map, grid, self.n_components, random)
            for of_map, grid in zip(maps, self.grids_, strict=True)
        ]
        each = zip(self.whitenings_, maps, self.grids_, strict=True)
        return [
            whitening(of_map, grid, folder=self.memory, device=self.device_)
            for whitening, of_map, grid in each
        ]

    def _train(
        self,
        module: torch.nn.Module,
        objective: TermsObjective,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
        callbacks: Sequence | None = None,
    ) -> None:
        """Train a module on the regions of the training images.

        It adds the epochs to `history_`, which begins anew unless there is one.

        Parameters
        ----------
        module : torch.nn.Module
            Takes a list of tensors of regions (N, R, K), one of each map.
        objective : TermsObjective
        regions, labels, weights, random
            As in `_learn`.
        callbacks : list of skorch callbacks, default=None
        """
        self.history_ = getattr(self, "history_", [])
        if self.max_epochs:
            net = build_net(
                module.to(self.device_),
                objective,
                max_epochs=self.max_epochs,
                lr=self.lr,
                batch_size=self.batch_size,
                decay=True,
                valid=None,
                n_iter_no_change=1,
                callbacks=callbacks,
                net_params=None,
                device=self.device_,
                verbose=self.verbose,
                seed=int(random.randint(_LARGEST_SEED)),
            )
            dataset = MapDataset(regions, labels, weights).move_to_gpu(self.device_)
            with epochs_as_tasks(self, net.initialize()):
                net.partial_fit(dataset)
            self.history_ += [
                {name: float(epoch[f"train_{name}"]) for name in objective.term_names}
                for epoch in net.history
            ]
        self.n_iter_ = len(self.history_)

    @in_usual_torch_state
    def part_responses(self, maps: list) -> list[torch.Tensor]:
        """Compute the similarities of prototypes and regions; see `PartEstimator`.

        They are above 0, and 0 in regions that lie beside an image.
        """
        with torch.inference_mode():
            described = [self._described(of_map, i) for i, of_map in enumerate(maps)]
            return self._responses_to(described)

    def _responses_to(self, regions: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the similarities (n, R, P') of the regions (n, R, K) of each map."""
        return [
            self._similarities(of_map, i).masked_fill_(outside_images(of_map), 0.0)
            for i, of_map in enumerate(regions)
        ]

    @in_usual_torch_state
    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute the descriptors from the similarities; see `PartEstimator`."""
        with torch.inference_mode():
            return self._descriptor_of(responses).cpu().numpy()

    @in_usual_torch_state
    def _describe_maps(self, maps: list) -> torch.Tensor:
        n_parts = np.bincount(self.part_maps_, minlength=len(self.grids_))
        bytes_per_image = 4 * sum(
            grid.n_regions * max(1, int(n))
            for grid, n in zip(self.grids_, n_parts, strict=True)
        )
        with torch.inference_mode():
            pieces = [
                self._descriptor_of(self.part_responses([m[images] for m in maps]))
                for images in slices_within(
                    len(maps[0]), bytes_per_image, _SIMILARITY_BYTES
                )
            ]
            return torch.cat(pieces)

    def _similarities(self, regions: torch.Tensor, map_number: int) -> torch.Tensor:
        """Return the similarities (n, R, P') of the regions (n, R, K) of a map.

        The result is a new tensor, above 0. Here it is the similarity of ProtoPNet,
        with the parameter `epsilon`.
        """
        distances = squared_distances(regions, self._prototypes_on(map_number, regions))
        return log_similarity(distances, self.epsilon).float()

    def _descriptor_of(self, responses: list[torch.Tensor]) -> torch.Tensor:
        """Return the descriptors (n, P) from the responses: here the maxima."""
        return torch.cat([of_map.amax(dim=1) for of_map in responses], dim=1)

    def _scores_of(self, descriptors: np.ndarray) -> np.ndarray:
        # In float64, because weights of both signs on many similarities, which are all
        # above 0, cancel one another.
        return descriptors.astype(np.float64) @ self.coef_.T + self.intercept_

    def _prototypes_on(self, map_number: int, like: torch.Tensor) -> torch.Tensor:
        """Return the prototypes of a map, (P', K), on the device of a tensor."""
        depth = self.whitenings_[map_number].projection.shape[1]
        on_map = self.prototypes_[self.part_maps_ == map_number, :depth]
        return as_tensor(on_map, like.device)

    def _described(self, feature_map, map_number: int) -> torch.Tensor:
        """Return the region descriptors (n, R, K) of a map of some images."""
        whitening, grid = self.whitenings_[map_number], self.grids_[map_number]
        return whitening.tensor(feature_map, grid, device_of(feature_map))

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        of_parts = self._state_of_parts(state)
        depths = check_whitenings(state["whitenings_"], of_parts["map_shapes_"])
        n_parts, n_classes = len(state["part_classes_"]), len(state["classes_"])
        check_array("prototypes_", state["prototypes_"], (n_parts, max(depths)))
        for name in ("coef_", "intercept_"):
            if name in self._fitted_attributes:
                shape = (n_classes, n_parts) if name == "coef_" else (n_classes,)
                check_array(name, state[name], shape)
        check_sources(state["prototype_sources_"], n_parts)
        if not Number(0, whole=True).accepts(state["n_iter_"]):
            raise ValueError("n_iter_ is not a number of epochs")
        if not isinstance(state["history_"], list):
            raise ValueError("history_ is not a list of epochs")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "prototype_sources_")
