"""The fits of V: before, between and after the epochs of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch

from skdpnet.parts.dpnet.left_out import left_out_descriptors
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.standardisation import standardisation
from skdpnet.training.calibration import (
    best_factor,
    leave_one_out_scores,
    logit_factor,
    spread,
)
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import (
    Classifier,
    ClassifierPenalty,
    fit_logistic,
    fit_svm,
)
from skdpnet.training.running_fit import RunningLeastSquares
from skdpnet.training.score_losses import CrossEntropy, ScoreLoss
from skdpnet.utils.batching import slices_of
from skdpnet.utils.host_copies import as_tensor

__all__ = ["ClassifierFits", "LinearFits", "training_descriptors", "training_maxima"]

_IMAGES_AT_ONCE = 64


class LinearFits(Protocol):
    """The fits of V between the epochs of training."""

    def in_training(
        self,
        descriptors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        start: Classifier | None = None,
    ) -> Classifier:
        """Minimise the objective of training over V, from a start."""


@dataclass(frozen=True)
class ClassifierFits:
    """The fits of the linear classifier V of a part model, with their settings.

    Parameters
    ----------
    n_classes : int
    C : float > 0
        Inverse strength of the ridge in the final fit.
    ridge : float > 0
        Weight of ‖V‖² in training.
    label_smoothing : float in [0, 1)
        Label smoothing of the cross-entropy in training.
    penalty : ClassifierPenalty or None
        The penalty on V, which is part of all fits.
    positive : bool, default=False
        Whether all weights in V are at least 0, in all fits.
    n_free : int, default=0
        Number K of the last columns of the descriptors, those of the context, whose
        weights may be negative nevertheless.
    """

    n_classes: int
    C: float
    ridge: float
    label_smoothing: float
    penalty: ClassifierPenalty | None
    positive: bool = False
    n_free: int = 0

    # What depends on the kind of labels: the fit between epochs, the factor that makes
    # scores of new images logits, and how much scores (n, C) vary in what decides.
    _fit_in_training: ClassVar[Callable[..., Classifier]] = staticmethod(fit_logistic)
    _factor = staticmethod(logit_factor)
    spread = staticmethod(spread)

    def in_training(
        self,
        descriptors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        start: Classifier | None = None,
    ) -> Classifier:
        """Minimise the objective of training over V; see `fit_logistic`."""
        return self._fit_in_training(
            descriptors,
            labels,
            weights,
            self.n_classes,
            self.ridge,
            self.penalty,
            self.label_smoothing,
            start,
            self.positive,
            self.n_free,
        )

    def calibrated_spread(
        self,
        model: PartModel,
        train: MapDataset,
        descriptors: np.ndarray,
        device: torch.device,
    ) -> float:
        """Find the spread that the logits of the final classifier should have.

        The SVM on the first parts scores each training image as a new image: by parts
        whose clusters leave it out, and by the SVM of all others. Temperature scaling
        of these scores gives logits, and so their spread over the training set. Learned
        parts could not be used, because they have seen the labels of all images. But
        their scores spread over new images as they do over the training images, and so
        logits of the same spread are as certain as those of the first parts. That also
        holds with a penalty or a bound on V, which this SVM is without.

        Parameters
        ----------
        model : PartModel
            With its first parts.
        train : MapDataset
        descriptors : float32 ndarray of shape (n, P)
            As from `training_descriptors`.
        device : torch.device

        Returns
        -------
        float
            A standard deviation, as from `spread`.
        """
        labels, weights, ridge = train.labels, train.weights, self._svm_ridge(train)
        svm = fit_svm(descriptors, labels, weights, self.n_classes, ridge)
        left_out = left_out_descriptors(model, train.maps, labels, descriptors, device)
        scores = leave_one_out_scores(
            descriptors, left_out, labels, weights, *svm, ridge
        )
        fitted = self._spread_of(descriptors, svm)
        return self._factor(scores, labels, weights) * fitted

    def final(
        self, train: MapDataset, descriptors: np.ndarray, logit_spread: float
    ) -> Classifier:
        """Fit the final classifier, and scale its scores to logits of a given spread.

        Parameters
        ----------
        train : MapDataset
        descriptors : float32 ndarray of shape (n, P)
            As from `training_descriptors`, with the learned parts.
        logit_spread : float
            As from `calibrated_spread`.

        Returns
        -------
        coef : float32 ndarray of shape (C, P)
        intercept : float32 ndarray of shape (C,)
        """
        coef, intercept = fit_svm(
            descriptors,
            train.labels,
            train.weights,
            self.n_classes,
            self._svm_ridge(train),
            self.penalty,
            self.positive,
            self.n_free,
        )
        present = self._spread_of(descriptors, (coef, intercept))
        # It is 0 if no part varies over the training set.
        factor = np.float32(logit_spread / present if present > 0 else 1)
        return factor * coef, factor * intercept

    def first_running(
        self,
        model: PartModel,
        train: MapDataset,
        descriptors: np.ndarray,
        device: torch.device,
    ) -> Classifier:
        """Fit the classifier that the first call of `partial_fit` starts from.

        It is that of `running`, on the images of this call and the first parts. Its
        logits have the spread that `calibrated_spread` finds, but with least squares in
        place of the SVM.

        Parameters
        ----------
        model, train, descriptors, device
            As in `calibrated_spread`.

        Returns
        -------
        coef : float32 ndarray of shape (C, P)
        intercept : float32 ndarray of shape (C,)
        """
        labels, weights = train.labels, train.weights
        sums = RunningLeastSquares.empty(self.n_classes, descriptors.shape[1])
        sums.add(descriptors, labels, weights)
        left_out = left_out_descriptors(model, train.maps, labels, descriptors, device)
        scores = sums.leave_one_out_scores(
            descriptors, left_out, labels, weights, self.C
        )
        unscaled = sums.spread(sums.solve(self.C))
        factor = logit_factor(scores, labels, weights)
        return self._from_sums(sums, factor * unscaled)

    def running(self, sums: RunningLeastSquares, present: Classifier) -> Classifier:
        """Fit the classifier of `partial_fit`; its logits spread as the present ones.

        Parameters
        ----------
        sums : RunningLeastSquares
            The sums over all images so far.
        present : tuple of two ndarrays
            The present coefficients (C, P) and intercepts (C,).

        Returns
        -------
        coef : float32 ndarray of shape (C, P)
        intercept : float32 ndarray of shape (C,)
        """
        return self._from_sums(sums, sums.spread(np.column_stack(present)))

    def training_factor(
        self,
        descriptors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        classifier: Classifier,
    ) -> float:
        """Return the factor of a classifier that minimises the objective of training.

        The logits of a classifier that is calibrated for new images are larger than
        label smoothing and ridge allow. With them, training would make the responses of
        the parts smaller instead of better.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
        labels : int ndarray of shape (n,)
        weights : float ndarray of shape (n,)
            Weights of the images.
        classifier : tuple of two ndarrays
            Coefficients (C, P) and intercepts (C,).

        Returns
        -------
        float
        """
        coef, intercept = (torch.from_numpy(array).double() for array in classifier)
        scores = torch.from_numpy(descriptors).double() @ coef.T + intercept
        y, w = torch.from_numpy(labels), torch.from_numpy(weights)

        def objective(factor: float) -> float:
            losses = self.loss(factor * scores, y)
            value = (w * losses).mean() + self.ridge * (factor * coef).square().sum()
            if self.penalty is not None:
                value = value + self.penalty.function(factor * coef)
            return value.item()

        return best_factor(objective)

    def _from_sums(self, sums: RunningLeastSquares, logit_spread: float) -> Classifier:
        return sums.fit(self.C, self.penalty, logit_spread, self.positive, self.n_free)

    @property
    def loss(self) -> ScoreLoss:
        """The loss of the scores, which training minimises."""
        return CrossEntropy(self.label_smoothing)

    def _spread_of(self, descriptors: np.ndarray, classifier: Classifier) -> float:
        coef, intercept = classifier
        return self.spread(descriptors @ coef.T + intercept)

    def _svm_ridge(self, train: MapDataset) -> float:
        return 0.5 / (self.C * len(train))


def training_descriptors(
    model: PartModel, train: MapDataset, device: torch.device
) -> np.ndarray:
    """Standardise the descriptor for the current parts; return that of each image.

    Parameters
    ----------
    model : PartModel
        It is changed in place, such that it computes the same logits as before.
    train : MapDataset
        The training set.
    device : torch.device
        Device on which the maxima are computed.

    Returns
    -------
    float32 ndarray of shape (n, P)
        With context, K further columns: a X, as `PartOutput` has them.
    """
    maxima = training_maxima(model.eval(), train.maps, device)
    shift, scale = standardisation(maxima)
    tensors = (torch.from_numpy(array).to(model.shift) for array in (shift, scale))
    model.set_standardisation(*tensors)
    descriptors = (maxima - shift) * scale
    if not model.has_context:
        return descriptors
    whole = as_tensor(train.maps[-1], device)
    return np.hstack([descriptors, model.context_columns(whole).cpu().numpy()])


def training_maxima(
    model: PartModel, maps: Sequence, device: torch.device
) -> np.ndarray:
    """Compute the maxima b of all learned parts on a training set.

    Parameters
    ----------
    model : PartModel
    maps : sequence of arrays or tensors of shape (n, R, K)
        The region descriptors of each map.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    float32 ndarray of shape (n, P)
    """
    maxima = []
    for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE):
        batch = [as_tensor(regions[images], device) for regions in maps]
        with torch.inference_mode():
            maxima.append(model.maxima(batch)[:, : model.n_learned].cpu().numpy())
    return np.concatenate(maxima)
