"""What the DP-Net estimators that learn from labels have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from skdpnet.parts.dpnet.context import CONTEXT_SCALE
from skdpnet.parts.dpnet.fitting import ClassifierFits
from skdpnet.parts.dpnet.label_fits import LabelFits
from skdpnet.parts.dpnet.learner import PartLearner
from skdpnet.parts.dpnet.objective import PENALTIES, Objective
from skdpnet.parts.dpnet.parameters import DPNetParameters
from skdpnet.parts.dpnet.running import RunningClassifier
from skdpnet.parts.dpnet.shared_results import SharedResults
from skdpnet.parts.dpnet.state import check_learned_state, with_context
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import Classifier
from skdpnet.training.net import set_constant_rate
from skdpnet.training.running_fit import RunningLeastSquares
from skdpnet.training.sample_weights import sample_weights
from skdpnet.training.score_losses import CrossEntropy, LabelEntropy
from skdpnet.utils.indicators import check_indicators, is_matrix
from skdpnet.utils.labels import check_labels, check_running_classes
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import check_parameters

__all__ = ["ClassLearner"]


class ClassLearner(PartLearner, DPNetParameters):
    """Base of `DPNetClassifier` and `DPNetTransformer`, which document it."""

    _parts_parameter = "n_parts_per_class"
    # Models that an earlier version fitted have one label of each image.
    multilabel_: bool = False

    def fit(self, X, y, sample_weight=None):
        """Learn the parts and the classifier.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,), or matrix of shape (n, K)
            Labels of at least two classes, numbers or strings. Or which of K classes
            each image has: an array, sparse matrix or DataFrame of 0 and 1, or of False
            and True, in scikit-learn's format for multilabel targets.
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
        return super().fit(X, y, sample_weight)

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
            As `fit`; if y is an indicator matrix; and if `classes` differ from those of
            the first call, or if y holds a label that is not among them.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        check_parameters(self)
        is_first = not hasattr(self, "parts_")
        if is_matrix(y) or (self.multilabel_ and not is_first):
            raise ValueError(
                "partial_fit takes one label of each image; call fit with all images "
                "for an indicator matrix, by which an image may have several classes."
            )
        y = check_labels(self, X, y)
        known = check_running_classes(y, classes, None if is_first else self.classes_)
        labels = np.searchsorted(known, y)
        weights = sample_weights(X, y, sample_weight, self.class_weight)
        if is_first:
            self._reset()
            self.classes_ = known
            maps = self._all_maps(X, reset=True)
            self.grids_ = self._region_grids(maps)
            start = self._start(maps, labels, labels, weights, hold_out=False)
            train, descriptors, _ = start
            self._running = RunningClassifier(
                float(train.weights.sum(dtype=np.float64))
            )
            model, fits = self.net_.module_, self._fits()
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
            model, fits = self.net_.module_, self._fits()
        try:
            self._running.learn(model, fits, lambda: self._train(train, 1))
        finally:
            # After an interrupt, too, the attributes must be those of the net.
            self._set_learned()
        return self

    def _set_targets(self, X, y) -> np.ndarray:
        if not is_matrix(y):
            self.multilabel_ = False
            return super()._set_targets(X, y)
        indicators = check_indicators(self, X, y, warn=True)
        if self.class_weight is not None:
            raise ValueError(
                "class_weight weighs images by their label, and an indicator matrix "
                "gives an image several or none: leave class_weight=None and pass "
                "sample_weight."
            )
        self.multilabel_ = True
        self.classes_ = np.arange(indicators.shape[1])
        return indicators

    def _image_weights(self, X, given: np.ndarray, sample_weight) -> np.ndarray:
        y = given if self.multilabel_ else self.classes_[given]
        return sample_weights(X, y, sample_weight, self.class_weight)

    def _targets_and_groups(
        self, given: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return given, given

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _objective(self) -> Objective:
        loss = LabelEntropy if self.multilabel_ else CrossEntropy
        return Objective(
            torch.from_numpy(self.part_classes_[self.part_maps_ < self._n_maps]),
            weights={name: getattr(self, f"{name}_weight") for name in PENALTIES},
            ridge=self.ridge,
            loss=loss(self.label_smoothing),
            specificity_form=self.specificity_form,
        )

    def _fits(self) -> ClassifierFits:
        kind = LabelFits if self.multilabel_ else ClassifierFits
        return kind(
            len(self.classes_),
            C=self.C,
            ridge=self.ridge,
            label_smoothing=self.label_smoothing,
            penalty=self._objective().classifier_penalty,
            positive=self.positive,
            n_free=self._n_context_columns(),
        )

    def _final_fit(
        self, train: MapDataset, descriptors: np.ndarray, shared: SharedResults
    ) -> Callable[[np.ndarray], Classifier]:
        model, fits = self.net_.module_, self._fits()
        spread = shared.number(
            (self.C, self.beta, train.weights, *[CONTEXT_SCALE] * bool(self.context)),
            lambda: fits.calibrated_spread(model, train, descriptors, self.device_),
        )
        return lambda learned: fits.final(train, learned, spread)

    def _after_training(self, train: MapDataset, descriptors: np.ndarray) -> None:
        """Set the classifier that calls of `partial_fit` carry on."""
        self._running = RunningClassifier(float(train.weights.sum(dtype=np.float64)))
        images = descriptors, train.labels, train.weights
        classifier = self.net_.module_.get_classifier()
        self._running.factor = self._fits().training_factor(*images, classifier)
        if self.context:
            self._running.variances = descriptors.var(axis=0, dtype=np.float64)

    def _get_fitted_state(self) -> dict[str, Any]:
        state = super()._get_fitted_state()
        more = {"running": self._running.state()}
        if self.multilabel_:
            more["multilabel"] = True
        return {**state, "net_": {**state["net_"], **more}}

    def _check_learned_state(self, state: dict[str, Any]) -> None:
        n_classes, net = len(state["classes_"]), state["net_"]
        counts, depths = check_learned_state(state, n_classes)
        shapes = state["map_shapes_"]
        has_context = len(shapes) > 1 and len(shapes[-1]) == 1
        n_columns = sum(counts) - has_context * (counts[-1] - depths[-1])
        RunningClassifier.from_state(net.get("running"), n_classes, n_columns)
        is_multilabel = net.get("multilabel", False)
        if not isinstance(is_multilabel, bool):
            raise ValueError("the net does not say whether images have several labels")
        if is_multilabel and state["classes_"].tolist() != list(range(n_classes)):
            raise ValueError("classes_ does not hold the numbers of columns")

    def _state_of_parts(self, state: dict[str, Any]) -> dict[str, Any]:
        classes = range(len(state["classes_"]))
        state_of_parts = super()._state_of_parts(state)
        return with_context(state_of_parts, state["map_shapes_"], classes)

    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        self.multilabel_ = state["net_"].get("multilabel", False)
        super()._set_fitted_state(state)
        shape = self.net_.module_.get_classifier()[0].shape
        running = state["net_"].get("running")
        self._running = RunningClassifier.from_state(running, *shape)
