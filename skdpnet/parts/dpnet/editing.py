"""Changes to the parts of a fitted DP-Net estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_names import named_parts
from skdpnet.parts.dpnet.class_learner import ClassLearner
from skdpnet.parts.dpnet.fitting import training_descriptors
from skdpnet.parts.dpnet.running import RunningClassifier
from skdpnet.parts.dpnet.state import model_from_state, net_state
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.net import restore_history
from skdpnet.training.sample_weights import sample_weights
from skdpnet.utils.batching import slices_of
from skdpnet.utils.indicators import check_indicators
from skdpnet.utils.labels import check_labels, check_running_classes
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import check_parameters

__all__ = ["EditableParts"]

_IMAGES_AT_ONCE = 64


class EditableParts(ClassLearner):
    """A `ClassLearner` whose parts can be dropped after they were learned."""

    @in_usual_torch_state
    def drop_parts(self, parts, X, y, sample_weight=None):
        """Remove parts from the fitted model, and fit the classifier on the others.

        The parts that remain, their responses and their names stay as they are; their
        descriptor is standardised to the variance 1/P for the new number P of parts.
        The classifier is fitted as at the end of `fit`. The logits of the images keep
        their spread, so that probabilities are as certain as before: where parts were
        dropped without which images are recognised less well, calibrate them anew.

        The model does not keep its training images, so that they are passed once more.
        With `memory`, their feature maps are read from there.

        Parameters
        ----------
        parts : int, str, array-like of int and str, or bool array-like of shape (P,)
            The parts that go, by number or by name, as in `get_part_names`.
        X, y, sample_weight
            The images that the classifier is fitted on, as in `fit`: usually the
            training images. Those that `validation_fraction` holds out in `fit` are not
            held out here. Each class needs an image.

        Returns
        -------
        self
            The estimator itself, changed in place, as after `fit`. ``copy.deepcopy``
            keeps the model before. If an error is raised, nothing has changed.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        IndexError, TypeError, ValueError
            If there is no such part, if a part is a context, if no part would remain on
            a feature map; if parameters, labels or data are unusable.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.

        See Also
        --------
        rename_parts : Give parts names of your own.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skdpnet import DPNetClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = DPNetClassifier("precomputed", random_state=0).fit(X, y)
        >>> model.coef_.shape
        (3, 39)
        >>> model.drop_parts(["0_part0", 5], X, y).coef_.shape
        (3, 37)
        """
        check_is_fitted(self)
        check_parameters(self)
        names = self.get_part_names()
        kept = self._parts_without(named_parts(parts, names), names)
        if self.multilabel_:
            labels = check_indicators(self, X, y, len(self.classes_))
            weights = self._image_weights(X, labels, sample_weight)
        else:
            y = check_labels(self, X, y)
            weights = sample_weights(X, y, sample_weight, self.class_weight)
            labels = self._labels_of_all_classes(y, weights)
        maps = self._all_maps(X, reset=False)
        rows = np.flatnonzero(weights > 0)
        maps = [MapRows(feature_map, rows) for feature_map in maps]
        labels, weights = labels[rows], weights[rows]

        # A second object, so that an error leaves this one as it was.
        edited = object.__new__(type(self))
        vars(edited).update(vars(self))
        edited._keep_parts(kept, names)
        edited._fit_classifier(maps, labels, weights, self._logit_spread(maps))
        vars(self).update(vars(edited))
        return self

    def _parts_without(self, dropped: np.ndarray, names: np.ndarray) -> np.ndarray:
        """Return the numbers of the parts that remain, after checks."""
        if len(dropped) == 0:
            raise ValueError("parts is empty: name the parts that go.")
        contexts = dropped[self.part_maps_[dropped] == self._n_maps]
        if len(contexts):
            raise ValueError(
                f"{names[contexts[0]]!r} is the context of its class, the whole image, "
                "and no learned part. For a model without it, fit with context=False."
            )
        kept = np.setdiff1d(np.arange(len(names)), dropped)
        for number in range(self._n_maps):
            if number not in self.part_maps_[kept]:
                n_parts = np.count_nonzero(self.part_maps_ == number)
                raise ValueError(
                    f"all {n_parts} parts of feature map {number} would go: keep one, "
                    "or fit with strides that leave the map out."
                )
        return kept

    def _labels_of_all_classes(self, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return labels as numbers, after checking that each class has an image."""
        check_running_classes(y, None, self.classes_)
        labels = np.searchsorted(self.classes_, y)
        missing = np.setdiff1d(np.arange(len(self.classes_)), labels[weights > 0])
        if len(missing):
            raise ValueError(
                "y needs an image of each class, of a weight above 0, or the "
                "classifier would unlearn those that it lacks: "
                f"{self.classes_[missing].tolist()}."
            )
        return labels

    def _logit_spread(self, maps: list) -> float:
        descriptors = self._describe(
            [feature_map[images] for feature_map in maps]
            for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE)
        )
        return self._fits().spread(descriptors @ self.coef_.T + self.intercept_)

    def _keep_parts(self, kept: np.ndarray, names: np.ndarray) -> None:
        """Make a new net of some of the parts; its classifier is the old one's."""
        saved = _kept_state(net_state(self.net_), kept)
        device = torch.device(self.net_.device)
        model = model_from_state(saved, device, self._has_context())
        self.part_classes_ = self.part_classes_[kept]
        self.part_maps_ = self.part_maps_[kept]
        self.part_names_ = names[kept]
        history = self.net_.history
        self.net_ = self._build_net(model, decay=False, valid=None).initialize()
        restore_history(self.net_, history)

    def _fit_classifier(
        self, maps: list, labels: np.ndarray, weights: np.ndarray, logit_spread: float
    ) -> None:
        """Fit the classifier of a new net, and set the fitted attributes."""
        device = torch.device(self.net_.device)
        train = self._dataset(self._regions_of(maps, device), labels, weights, device)
        model, fits = self.net_.module_, self._fits()
        descriptors = training_descriptors(model, train, device)
        classifier = fits.final(train, descriptors, logit_spread)
        model.set_classifier(*classifier)
        self._running = RunningClassifier(
            float(weights.sum()),
            fits.training_factor(descriptors, labels, weights, classifier),
        )
        if self._has_context():
            self._running.variances = descriptors.var(axis=0, dtype=np.float64)
        self._set_learned()


def _kept_state(state: dict[str, Any], kept: np.ndarray) -> dict[str, Any]:
    """Return the state of a net, as from `net_state`, with some of its parts."""
    first, parts = 0, []
    for of_map in state["parts"]:
        last = first + len(of_map)
        parts.append(of_map[kept[(first <= kept) & (kept < last)] - first])
        first = last
    return {
        **state,
        "parts": parts,
        "weight": state["weight"][:, kept],
        "shift": state["shift"][kept],
        "scale": state["scale"][kept],
    }
