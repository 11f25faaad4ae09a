"""The linear classifier of `partial_fit`: least squares over all images so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solve

from skdpnet.training.linear_fits import Classifier, ClassifierPenalty, minimise

__all__ = ["RunningLeastSquares"]


@dataclass
class RunningLeastSquares:
    """Sums over the images seen so far, and the classifier that they determine.

    V and the intercepts minimise the mean of ``(t - score)²`` over images and, summed,
    over classes, where t is 1 for the class of the image and -1 for all others, plus
    the penalties. The sums are all that this takes, so that the result does not depend
    on the order of the images, and batches of one class do not spoil the other classes.

    Parameters
    ----------
    products : float64 ndarray of shape (P + 1, P + 1)
        Σ w d dᵀ over the images of weight w and descriptor d, with a 1 appended.
    targets : float64 ndarray of shape (C, P + 1)
        Σ w t dᵀ.
    """

    products: np.ndarray
    targets: np.ndarray

    @classmethod
    def empty(cls, n_classes: int, n_parts: int) -> RunningLeastSquares:
        """Return the sums over no images."""
        size = n_parts + 1
        return cls(np.zeros((size, size)), np.zeros((n_classes, size)))

    @classmethod
    def around(
        cls, coef: np.ndarray, intercept: np.ndarray, n_images: float
    ) -> RunningLeastSquares:
        """Return sums that stand for the images of a classifier that is fitted already.

        They are those of uncorrelated descriptors of mean 0 and variance 1/P, from
        which least squares would give this classifier, but for its scale.

        Parameters
        ----------
        coef : ndarray of shape (C, P)
        intercept : ndarray of shape (C,)
        n_images : float
            The weight of all these images together.

        Returns
        -------
        RunningLeastSquares
        """
        n_classes, n_parts = coef.shape
        variances = np.append(np.full(n_parts, 1 / n_parts), 1.0)
        classifier = _centred(np.column_stack([coef, intercept]).astype(np.float64))
        spread = np.sqrt((classifier**2 * variances).sum() / n_classes)
        if spread > 0:
            # The targets have this spread, and their mean is that of the scores.
            classifier *= 2 * np.sqrt(n_classes - 1) / n_classes / spread
        classifier[:, -1] += 2 / n_classes - 1
        products = n_images * np.diag(variances)
        return cls(products, classifier @ products)

    def add(
        self, descriptors: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> None:
        """Add images.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
        labels : int ndarray of shape (n,)
        weights : float ndarray of shape (n,)
        """
        d = np.column_stack([descriptors, np.ones(len(descriptors))]).astype(np.float64)
        weighted = weights[:, None] * d
        self.products += d.T @ weighted
        targets = np.where(labels == np.arange(len(self.targets))[:, None], 1.0, -1.0)
        self.targets += targets @ weighted

    def fit(
        self,
        C: float,
        penalty: ClassifierPenalty | None,
        present: Classifier,
        logit_spread: float | None = None,
    ) -> Classifier:
        """Return the classifier of the images so far.

        Its scores are those of least squares, scaled to logits.

        Parameters
        ----------
        C : float > 0
            Inverse strength of the ridge on V, as in `fit_svm`.
        penalty : ClassifierPenalty or None
        present : tuple of two ndarrays
            The present coefficients (C, P) and intercepts (C,).
        logit_spread : float, default=None
            The spread of the logits over the images so far; see
            `skdpnet.training.calibration.spread`. None: that of the present logits.

        Returns
        -------
        coef : float32 ndarray of shape (C, P)
        intercept : float32 ndarray of shape (C,)
        """
        n_images = self.products[-1, -1]
        ridge = 0.5 / (C * n_images)
        if penalty is None:
            system = self.products / n_images
            inner = np.arange(len(system) - 1)
            system[inner, inner] += ridge
            solution = solve(system, self.targets.T / n_images, assume_a="pos").T
            coef, intercept = solution[:, :-1], solution[:, -1]
        else:
            shape = present[0].shape
            coef, intercept = minimise(self._mean_loss(), shape, ridge, penalty)
        wanted = self._spread(*present) if logit_spread is None else logit_spread
        found = self._spread(coef, intercept)
        factor = wanted / found if found > 0 else 1.0
        return (
            (factor * coef).astype(np.float32),
            (factor * intercept).astype(np.float32),
        )

    def _mean_loss(self):
        """Return the loss, less a constant, as a function of V and the intercepts."""
        n_images = self.products[-1, -1]
        products = torch.from_numpy(self.products / n_images)
        targets = torch.from_numpy(self.targets / n_images)

        def mean_loss(coef: torch.Tensor, intercept: torch.Tensor) -> torch.Tensor:
            classifier = torch.column_stack([coef, intercept])
            return (classifier * (classifier @ products - 2 * targets)).sum()

        return mean_loss

    def _spread(self, coef: np.ndarray, intercept: np.ndarray) -> float:
        """Return the deviation of scores from their mean in each image; see `spread`.

        It is computed over the images so far.
        """
        classifier = _centred(np.column_stack([coef, intercept]).astype(np.float64))
        total = ((classifier @ self.products) * classifier).sum()
        return float(np.sqrt(max(total, 0) / self.products[-1, -1] / len(coef)))


def _centred(classifier: np.ndarray) -> np.ndarray:
    """Return a classifier whose scores sum to 0, and have the same differences."""
    return classifier - classifier.mean(axis=0)
