"""The base class of the DP-Net estimators, which learns parts and a linear readout."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.parts.dpnet.context import fit_context_axes
from skdpnet.parts.dpnet.description import PartDescriber
from skdpnet.parts.dpnet.fitting import LinearFits, training_descriptors
from skdpnet.parts.dpnet.initial_state import can_share, initial_state
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.dpnet.objective import Objective
from skdpnet.parts.dpnet.region_descriptors import describe_regions, region_weights
from skdpnet.parts.dpnet.shared_results import SharedResults
from skdpnet.parts.dpnet.state import model_from_state, net_state
from skdpnet.parts.layout import classes_and_maps, share_parts, stack_parts
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.classifier_refit import ClassifierRefit
from skdpnet.training.dataset import MapDataset
from skdpnet.training.fit_tasks import (
    CallbackSupportMixin,
    as_fit_task,
    epochs_as_tasks,
)
from skdpnet.training.linear_fits import Classifier
from skdpnet.training.net import ObjectiveNet, build_net, restore_history
from skdpnet.training.sample_weights import hold_out_images
from skdpnet.utils.batching import slices_of
from skdpnet.utils.devices import learning_dtype, resolve_device
from skdpnet.utils.torch_state import in_usual_torch_state

__all__ = ["PartLearner"]

_LARGEST_SEED = np.iinfo(np.int32).max
_IMAGES_AT_ONCE = 64
_REFIT = "classifier_refit"


class PartLearner(CallbackSupportMixin, PartDescriber):
    """Base of the DP-Net estimators.

    A subclass says what targets are, and how the readout V of the descriptor is fitted
    on them. Its constructor has the parameters, `_parts_parameter` among them: the
    number of first parts of each group of images.
    """

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartDescriber._fitted_attributes,
        *("parts_", "whitenings_", "n_iter_", "coef_", "intercept_", "net_"),
    )

    _parts_parameter: ClassVar[str]

    def fit(self, X, y, sample_weight=None):
        """Learn the parts and the readout.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like
            The targets of the images.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the losses. Images of weight 0 have no influence at
            all. Whitening, first parts and the scale of the descriptor, which describe
            the images whatever their labels are, count all others alike.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters, targets or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        self._learn(X, y, sample_weight)
        return self

    def fit_transform(self, X, y=None, sample_weight=None) -> np.ndarray:
        """Fit and transform, computing the maps once.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, P)
            As from `transform`.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `fit`.
        """
        maps = self._learn(X, y, sample_weight)
        return self._describe(
            [feature_map[images] for feature_map in maps]
            for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE)
        )

    @as_fit_task
    @in_usual_torch_state
    def _learn(self, X, y, sample_weight) -> list[np.ndarray]:
        """Set all fitted attributes; return the maps of X."""
        maps, given = self._begin_fit(X, y)
        weights = self._image_weights(X, given, sample_weight)
        targets, groups = self._targets_and_groups(given, weights)
        start = self._start(maps, targets, groups, weights, hold_out=True)
        train, descriptors, shared = start
        model, fits = self.net_.module_, self._fits()
        final = self._final_fit(train, descriptors, shared)
        # The gradients of a random classifier would move the parts in directions that
        # are of no use, and so make them worse.
        model.set_classifier(
            *fits.in_training(descriptors, train.labels, train.weights)
        )
        self._train(train, self.max_epochs)
        # Otherwise the net would keep the validation set, also when it is pickled.
        self.net_.train_split = None
        descriptors = training_descriptors(model, train, self.device_)
        model.set_classifier(*final(descriptors))
        self._after_training(train, descriptors)
        self._set_learned()
        return maps

    @abstractmethod
    def _image_weights(self, X, given: np.ndarray, sample_weight) -> np.ndarray:
        """Return the weights (n,) of the images, from targets as `_set_targets`'s."""

    @abstractmethod
    def _targets_and_groups(
        self, given: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what training takes as targets, and the groups of the first parts.

        Groups are labels (n,), or memberships (n, G) in groups that may overlap. The
        first parts of a group are clusters of regions of its images.
        """

    @abstractmethod
    def _fits(self) -> LinearFits:
        """Return the fits of V by the estimator's parameters."""

    @abstractmethod
    def _final_fit(
        self, train: MapDataset, descriptors: np.ndarray, shared: SharedResults
    ) -> Callable[[np.ndarray], Classifier]:
        """Return the final fit, a function of the descriptors of the learned parts.

        It is called with the descriptors of the first parts, before training.
        """

    def _after_training(self, train: MapDataset, descriptors: np.ndarray) -> None:
        """Keep what later calls need of the training images."""

    def _start(
        self, maps, targets, groups, weights, *, hold_out: bool
    ) -> tuple[MapDataset, np.ndarray, SharedResults]:
        """Set whitening, parts and net; return the training set and its descriptors."""
        random = check_random_state(self.random_state)
        self.device_ = resolve_device(self.device)
        n_maps = self._n_maps
        shares = share_parts(self._parts_per_group(), n_maps, self._parts_parameter)
        train_rows, valid_rows = np.flatnonzero(weights > 0), None
        if hold_out and self.validation_fraction is not None:
            train_rows, valid_rows = hold_out_images(
                train_rows, targets, self.validation_fraction, random
            )
        n_groups = groups.shape[1] if groups.ndim == 2 else self._n_outputs
        state, regions, shared = initial_state(
            [MapRows(feature_map, train_rows) for feature_map in maps[:n_maps]],
            groups[train_rows],
            n_groups,
            self.grids_[:n_maps],
            shares,
            self.n_components,
            self.foreground,
            self.annealed_share,
            random,
            self.memory,
            self.device_,
            keep=can_share(self.random_state),
        )
        self.whitenings_, parts = state.whitenings, state.parts
        self.part_classes_, self.part_maps_ = self._part_layout(shares, n_groups)
        if self.context:
            self._add_context(maps[-1][train_rows], regions, parts)
        train = self._dataset(
            regions, targets[train_rows], weights[train_rows], self.device_
        )
        valid = None
        if valid_rows is not None:
            rows = [MapRows(feature_map, valid_rows) for feature_map in maps]
            valid = self._dataset(
                self._regions_of(rows, self.device_),
                targets[valid_rows],
                weights[valid_rows],
                self.device_,
            )
        self._seed = int(random.randint(_LARGEST_SEED))
        model = PartModel.from_arrays(
            parts,
            self._n_outputs,
            None if self.beta is None else float(self.beta),
            self.dropout,
            self._has_context(),
        ).to(self.device_)
        self.net_ = self._build_net(model, decay=hold_out, valid=valid)
        self.net_.initialize()
        return train, training_descriptors(model, train, self.device_), shared

    def _add_context(self, whole, regions: list, parts: list) -> None:
        """Add the averages `whole` (n, 1, 1, D) and the context parts to what is there.

        These parts are zero until the classifier is set.
        """
        axes = fit_context_axes(whole, self.n_components)
        described = axes(whole, self.grids_[-1], device=self.device_)
        n = self._n_outputs
        self.whitenings_.append(axes)
        regions.append(described)
        parts.append(np.zeros((n, axes.projection.shape[1]), np.float32))
        self.part_classes_ = np.append(self.part_classes_, self._context_classes(n))
        self.part_maps_ = np.append(self.part_maps_, np.full(n, self._n_maps))

    def _context_classes(self, n: int) -> np.ndarray:
        """Return the classes of the n context parts."""
        return np.arange(n)

    def _n_context_columns(self) -> int:
        """Return the number K of the columns of V that belong to the context."""
        return self.whitenings_[-1].projection.shape[1] * self._has_context()

    def _parts_per_group(self) -> int:
        return getattr(self, self._parts_parameter)

    def _part_layout(
        self, shares: Sequence[int], n_groups: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `part_classes_` and `part_maps_` of the parts of all groups."""
        return classes_and_maps(shares, n_groups)

    @property
    @abstractmethod
    def _n_outputs(self) -> int:
        """Number of scores that the model computes."""

    def _build_net(
        self, model: PartModel, *, decay: bool, valid: MapDataset | None
    ) -> ObjectiveNet:
        """Build the net that trains a model by the estimator's parameters."""
        fits = self._fits()
        temperature = self.assignment_temperature if self.assignment_weight else None
        model.assignment_temperature = temperature
        model.learning_dtype = learning_dtype(self.precision, self.device_)
        return build_net(
            model,
            self._objective(),
            max_epochs=self.max_epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            decay=decay,
            valid=valid,
            n_iter_no_change=self.n_iter_no_change,
            callbacks=[
                (_REFIT, ClassifierRefit(fits.in_training)),
                *(self.callbacks or []),
            ],
            net_params=self.net_params,
            device=self.device_,
            verbose=self.verbose,
            seed=self._seed,
        )

    @abstractmethod
    def _objective(self) -> Objective:
        """Return the objective of training by the estimator's parameters."""

    def _dataset(self, regions, labels, weights, device) -> MapDataset:
        dataset = MapDataset(regions, labels, weights)
        # A loader among the user's parameters may start processes, which cannot use
        # tensors on a GPU.
        return dataset if self.net_params else dataset.move_to_gpu(device)

    def _regions_of(self, maps, device: torch.device) -> list[np.ndarray]:
        weights = region_weights(maps, self.grids_, self.foreground, device)
        each = self.whitenings_, maps, self.grids_
        return describe_regions(*each, weights, self.memory, device)

    def _train(self, dataset: MapDataset, epochs: int) -> tuple | None:
        """Train the net for some epochs; return the images of the last one, if any.

        As from `ClassifierRefit.take`.
        """
        if epochs == 0:
            return None
        # Each call has a seed of its own, so that it does not depend on whether the
        # estimator was pickled or saved after the last one.
        self.net_.module_.dropout.manual_seed(self._seed + len(self.net_.history))
        refit = dict(self.net_.callbacks_)[_REFIT]
        try:
            with epochs_as_tasks(self, self.net_):
                self.net_.partial_fit(dataset, epochs=epochs)
            return refit.take()
        finally:
            refit.forget()

    def _set_learned(self) -> None:
        """Set the fitted attributes from the trained model."""
        model = self.net_.module_.eval()
        self.history_ = self.net_.history
        self.n_iter_ = len(self.history_)
        with torch.no_grad():
            self.parts_ = stack_parts(
                [on_map.unit_parts().cpu().numpy() for on_map in model.each_map()]
            )
            self.coef_ = model.classifier.weight.cpu().numpy().copy()
            self.intercept_ = model.classifier.bias.cpu().numpy().copy()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")

    def _get_fitted_state(self) -> dict[str, Any]:
        state = super()._get_fitted_state()
        net = {**net_state(self.net_), "seed": self._seed}
        return {**state, "net_": net}

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        self._check_learned_state(self._state_of_parts(state))

    @abstractmethod
    def _check_learned_state(self, state: dict[str, Any]) -> None:
        """Check the attributes in a file that training sets; see `check_learned_state`.

        All maps with parts, and the context, are in its ``map_shapes_``.
        """

    @in_usual_torch_state
    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        super()._set_fitted_state(state)
        saved = state["net_"]
        self.device_, self._seed = resolve_device(self.device), saved["seed"]
        has_context = self._has_context()
        model = model_from_state(saved, self.device_, has_context)
        self.net_ = self._build_net(model, decay=False, valid=None).initialize()
        restore_history(self.net_, saved["history"])
        self.history_ = self.net_.history
