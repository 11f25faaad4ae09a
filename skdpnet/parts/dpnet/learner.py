"""The base class of the DP-Net estimators, which learns parts and a classifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.parts.dpnet.context import CONTEXT_SCALE, fit_context_axes
from skdpnet.parts.dpnet.description import PartDescriber
from skdpnet.parts.dpnet.fitting import ClassifierFits, training_descriptors
from skdpnet.parts.dpnet.initial_state import can_share, initial_state
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.dpnet.objective import PENALTIES, Objective
from skdpnet.parts.dpnet.region_descriptors import describe_regions, region_weights
from skdpnet.parts.dpnet.running import RunningClassifier
from skdpnet.parts.dpnet.shared_results import SharedResults
from skdpnet.parts.dpnet.state import (
    check_learned_state,
    model_from_state,
    net_state,
    with_context,
)
from skdpnet.parts.layout import classes_and_maps, share_parts, stack_parts
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.classifier_refit import ClassifierRefit
from skdpnet.training.dataset import MapDataset
from skdpnet.training.net import (
    ObjectiveNet,
    build_net,
    restore_history,
    set_constant_rate,
)
from skdpnet.training.running_fit import RunningLeastSquares
from skdpnet.training.sample_weights import hold_out_images, sample_weights
from skdpnet.utils.batching import slices_of
from skdpnet.utils.devices import learning_dtype, resolve_device
from skdpnet.utils.labels import check_labels, check_running_classes
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import check_parameters

__all__ = ["PartLearner"]

_LARGEST_SEED = np.iinfo(np.int32).max
_IMAGES_AT_ONCE = 64
_REFIT = "classifier_refit"


class PartLearner(PartDescriber):
    """Base of `DPNetClassifier` and `DPNetTransformer`, which document it."""

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartDescriber._fitted_attributes,
        *("parts_", "whitenings_", "n_iter_", "coef_", "intercept_", "net_"),
    )

    def fit(self, X, y, sample_weight=None):
        """Learn the parts and the classifier.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.
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
            If parameters, labels or data are unusable; the message says why.
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

    @in_usual_torch_state
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on some images.

        The first call learns the whitening, the first parts, the scale of the
        descriptor and the spread of the logits from its images, which should be of all
        classes. The learning rate does not decay, and `max_epochs` has no influence.
        The classifier minimises the squared error, instead of the squared hinge loss of
        `fit`, over the images of all calls so far, each with the descriptor that it had
        in its call: sums over them are enough for that. So it does not depend on the
        order of the images. If a call is interrupted, its steps up to then remain, and
        the classifier stays as it was.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`, but the images may be of a single class.
        classes : array-like of shape (C,), default=None
            All labels. The first call needs them unless y holds all of them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`; and if `classes` differ from those of the first call, or if y
            holds a label that is not among them.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        check_parameters(self)
        y = check_labels(self, X, y)
        is_first = not hasattr(self, "parts_")
        known = check_running_classes(y, classes, None if is_first else self.classes_)
        labels = np.searchsorted(known, y)
        weights = sample_weights(X, y, sample_weight, self.class_weight)
        if is_first:
            self._reset()
            self.classes_ = known
            maps = self._all_maps(X, reset=True)
            self.grids_ = self._region_grids(maps)
            train, descriptors, _ = self._start(maps, labels, weights, hold_out=False)
            model, fits = self.net_.module_, self._classifier_fits()
            images = descriptors, train.labels, train.weights
            classifier = fits.first_running(model, train, descriptors, self.device_)
            model.set_classifier(*classifier)
            self._running.factor = fits.training_factor(*images, classifier)
            # This call's images count by the descriptors that training gives them.
            self._running.sums = RunningLeastSquares.empty(*classifier[0].shape)
        else:
            maps = self._all_maps(X, reset=False)
            # `device_` is where the model was fitted. The net may be elsewhere now.
            device = torch.device(self.net_.device)
            regions = self._regions_of(maps, device)
            train = self._dataset(regions, labels, weights, device)
            self.net_ = set_constant_rate(self.net_, self.lr)
            model, fits = self.net_.module_, self._classifier_fits()
        try:
            self._running.learn(model, fits, lambda: self._train(train, 1))
        finally:
            # After an interrupt, too, the attributes must be those of the net.
            self._set_learned()
        return self

    @in_usual_torch_state
    def _learn(self, X, y, sample_weight) -> list[np.ndarray]:
        """Set all fitted attributes; return the maps of X."""
        maps, labels = self._begin_fit(X, y)
        y = self.classes_[labels]
        weights = sample_weights(X, y, sample_weight, self.class_weight)
        train, descriptors, shared = self._start(maps, labels, weights, hold_out=True)
        model, fits = self.net_.module_, self._classifier_fits()
        spread = shared.number(
            (self.C, self.beta, train.weights, *[CONTEXT_SCALE] * bool(self.context)),
            lambda: fits.calibrated_spread(model, train, descriptors, self.device_),
        )
        # The gradients of a random classifier would move the parts in directions that
        # are of no use, and so make them worse.
        model.set_classifier(*fits.logistic(descriptors, train.labels, train.weights))
        self._train(train, self.max_epochs)
        # Otherwise the net would keep the validation set, also when it is pickled.
        self.net_.train_split = None
        descriptors = training_descriptors(model, train, self.device_)
        classifier = fits.final(train, descriptors, spread)
        model.set_classifier(*classifier)
        self._running.factor = fits.training_factor(
            descriptors, train.labels, train.weights, classifier
        )
        if self.context:
            self._running.variances = descriptors.var(axis=0, dtype=np.float64)
        self._set_learned()
        return maps

    def _start(
        self, maps, labels, weights, *, hold_out: bool
    ) -> tuple[MapDataset, np.ndarray, SharedResults]:
        """Set whitening, parts and net; return the training set and its descriptors."""
        random = check_random_state(self.random_state)
        self.device_ = resolve_device(self.device)
        n_maps = self._n_maps
        shares = share_parts(self.n_parts_per_class, n_maps)
        train_rows, valid_rows = np.flatnonzero(weights > 0), None
        if hold_out and self.validation_fraction is not None:
            train_rows, valid_rows = hold_out_images(
                train_rows, labels, self.validation_fraction, random
            )
        n_classes = len(self.classes_)
        state, regions, shared = initial_state(
            [MapRows(feature_map, train_rows) for feature_map in maps[:n_maps]],
            labels[train_rows],
            n_classes,
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
        self.part_classes_, self.part_maps_ = classes_and_maps(shares, n_classes)
        if self.context:
            self._add_context(maps[-1][train_rows], regions, parts)
        train = self._dataset(
            regions, labels[train_rows], weights[train_rows], self.device_
        )
        valid = None
        if valid_rows is not None:
            rows = [MapRows(feature_map, valid_rows) for feature_map in maps]
            valid = self._dataset(
                self._regions_of(rows, self.device_),
                labels[valid_rows],
                weights[valid_rows],
                self.device_,
            )
        self._seed = int(random.randint(_LARGEST_SEED))
        self._running = RunningClassifier(float(weights[train_rows].sum()))
        model = PartModel.from_arrays(
            parts,
            n_classes,
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
        n_classes = len(self.classes_)
        self.whitenings_.append(axes)
        regions.append(described)
        parts.append(np.zeros((n_classes, axes.projection.shape[1]), np.float32))
        self.part_classes_ = np.append(self.part_classes_, np.arange(n_classes))
        self.part_maps_ = np.append(self.part_maps_, np.full(n_classes, self._n_maps))

    def _build_net(
        self, model: PartModel, *, decay: bool, valid: MapDataset | None
    ) -> ObjectiveNet:
        """Build the net that trains a model by the estimator's parameters."""
        fits = self._classifier_fits()
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
                (_REFIT, ClassifierRefit(fits.logistic)),
                *(self.callbacks or []),
            ],
            net_params=self.net_params,
            device=self.device_,
            verbose=self.verbose,
            seed=self._seed,
        )

    def _objective(self) -> Objective:
        """Return the objective of training by the estimator's parameters."""
        return Objective(
            torch.from_numpy(self.part_classes_[self.part_maps_ < self._n_maps]),
            weights={name: getattr(self, f"{name}_weight") for name in PENALTIES},
            ridge=self.ridge,
            label_smoothing=self.label_smoothing,
            specificity_form=self.specificity_form,
        )

    def _classifier_fits(self) -> ClassifierFits:
        """Return the fits of V by the estimator's parameters."""
        return ClassifierFits(
            len(self.classes_),
            C=self.C,
            ridge=self.ridge,
            label_smoothing=self.label_smoothing,
            penalty=self._objective().classifier_penalty,
            positive=self.positive,
            n_free=self.whitenings_[-1].projection.shape[1] * self._has_context(),
        )

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
        return {**state, "net_": {**net, "running": self._running.state()}}

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_learned_state(self._state_of_parts(state))

    def _state_of_parts(self, state: dict[str, Any]) -> dict[str, Any]:
        return with_context(super()._state_of_parts(state), state["map_shapes_"])

    @in_usual_torch_state
    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        super()._set_fitted_state(state)
        saved = state["net_"]
        self.device_, self._seed = resolve_device(self.device), saved["seed"]
        has_context = self._has_context()
        model = model_from_state(saved, self.device_, has_context)
        shape = model.get_classifier()[0].shape
        self._running = RunningClassifier.from_state(saved.get("running"), *shape)
        self.net_ = self._build_net(model, decay=False, valid=None).initialize()
        restore_history(self.net_, saved["history"])
        self.history_ = self.net_.history
