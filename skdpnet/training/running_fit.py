"""The linear classifier of `partial_fit`: least squares over all images so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from skdpnet.training.linear_fits import Classifier, ClassifierPenalty, minimise

__all__ = ["RunningLeastSquares"]

# With a smaller one, rounding would make the equations singular. Descriptors have a
# length of about 1.
_LEAST_RIDGE = 1e-12


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
        cls,
        coef: np.ndarray,
        intercept: np.ndarray,
        n_images: float,
        variances: np.ndarray | None = None,
    ) -> RunningLeastSquares:
        """Return sums that stand for the images of a classifier that is fitted already.

        They are those of uncorrelated descriptors of mean 0, from which least squares
        would give this classifier, but for its scale.

        Parameters
        ----------
        coef : ndarray of shape (C, P)
        intercept : ndarray of shape (C,)
        n_images : float
            The weight of all these images together.
        variances : float ndarray of shape (P,), default=None
            The variance of each of the descriptor's numbers. None: 1/P.

        Returns
        -------
        RunningLeastSquares
        """
        n_classes, n_parts = coef.shape
        if variances is None:
            variances = np.full(n_parts, 1 / n_parts)
        variances = np.append(variances, 1.0)
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
        d = _with_constant(descriptors)
        weighted = weights[:, None] * d
        self.products += d.T @ weighted
        self.targets += self._targets_of(labels).T @ weighted

    def fit(
        self,
        C: float,
        penalty: ClassifierPenalty | None,
        spread: float,
        positive: bool = False,
        n_free: int = 0,
    ) -> Classifier:
        """Return the classifier of the images so far.

        Its scores are those of least squares, scaled to logits.

        Parameters
        ----------
        C : float > 0
            Inverse strength of the ridge on V, as in `fit_svm`.
        penalty : ClassifierPenalty or None
        spread : float
            The spread of the logits over the images so far; see `spread`.
        positive : bool, default=False
            Whether all weights are at least 0.
        n_free : int, default=0
            Number of the last columns of V that may be negative nevertheless.

        Returns
        -------
        coef : float32 ndarray of shape (C, P)
        intercept : float32 ndarray of shape (C,)
        """
        if penalty is None and not positive:
            classifier = self.solve(C)
        else:
            n_classes, size = self.targets.shape
            classifier = np.column_stack(
                minimise(
                    self._mean_loss(),
                    (n_classes, size - 1),
                    self._ridge(C),
                    penalty,
                    positive=positive,
                    n_free=n_free,
                )
            )
        present = self.spread(classifier)
        if present > 0:
            classifier *= spread / present
        classifier = classifier.astype(np.float32)
        return classifier[:, :-1].copy(), classifier[:, -1].copy()

    def leave_one_out_scores(
        self,
        descriptors: np.ndarray,
        left_out: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        C: float,
    ) -> np.ndarray:
        """Score each of the images by the least squares of all the others.

        Parameters
        ----------
        descriptors, labels, weights
            All images so far, as in `add`.
        left_out : float ndarray of shape (n, P)
            The descriptor of each image as that of a new image, which is scored.
        C : float > 0
            As in `fit`, without a penalty.

        Returns
        -------
        float64 ndarray of shape (n, C)
        """
        fitted, new = _with_constant(descriptors), _with_constant(left_out)
        classifier = self.solve(C)
        influence = solve(self._system(C), fitted.T, assume_a="pos").T
        share = weights / self.n_images
        leverage = share * (fitted * influence).sum(axis=1)
        residuals = self._targets_of(labels) - fitted @ classifier.T
        remainder = np.maximum(1 - leverage, np.finfo(np.float64).eps)
        moved = share * (new * influence).sum(axis=1) / remainder
        return new @ classifier.T - moved[:, None] * residuals

    @property
    def n_images(self) -> float:
        """The sum of the weights of the images."""
        return float(self.products[-1, -1])

    def spread(self, classifier: np.ndarray) -> float:
        """Return the standard deviation of scores from their mean in each image.

        Over the images so far; see `skdpnet.training.calibration.spread`.

        Parameters
        ----------
        classifier : ndarray of shape (C, P + 1)
            The weights, and the intercepts as the last column.

        Returns
        -------
        float
        """
        classifier = _centred(classifier.astype(np.float64))
        total = ((classifier @ self.products) * classifier).sum()
        return float(np.sqrt(max(total, 0) / self.n_images / len(classifier)))

    def solve(self, C: float) -> np.ndarray:
        """Return the classifier without a penalty and before it is scaled to logits.

        Parameters
        ----------
        C : float > 0
            As in `fit`.

        Returns
        -------
        float64 ndarray of shape (C, P + 1)
            The weights, and the intercepts as the last column.
        """
        targets = self.targets.T / self.n_images
        return solve(self._system(C), targets, assume_a="pos").T

    def _system(self, C: float) -> np.ndarray:
        """Return the matrix of the normal equations, with the ridge."""
        system = self.products / self.n_images
        inner = np.arange(len(system) - 1)
        system[inner, inner] += self._ridge(C)
        return system

    def _ridge(self, C: float) -> float:
        return max(0.5 / (C * self.n_images), _LEAST_RIDGE)

    def _targets_of(self, labels: np.ndarray) -> np.ndarray:
        """Return 1 for the class of each image, and -1 for all others, (n, C)."""
        classes = np.arange(len(self.targets))
        return np.where(labels[:, None] == classes, 1.0, -1.0)

    def _mean_loss(self):
        """Return the loss, less a constant, as a function of V and the intercepts."""
        products, targets = self.products / self.n_images, self.targets / self.n_images

        def mean_loss(coef: np.ndarray, intercept: np.ndarray):
            classifier = np.column_stack([coef, intercept])
            fitted = classifier @ products
            value = (classifier * (fitted - 2 * targets)).sum()
            gradient = 2 * (fitted - targets)
            return float(value), gradient[:, :-1], gradient[:, -1]

        return mean_loss


def _centred(classifier: np.ndarray) -> np.ndarray:
    """Return a classifier whose scores sum to 0, and have the same differences."""
    return classifier - classifier.mean(axis=0)


def _with_constant(descriptors: np.ndarray) -> np.ndarray:
    """Append a 1, whose weight is the intercept, to descriptors; in float64."""
    return np.column_stack([descriptors, np.ones(len(descriptors))]).astype(np.float64)
