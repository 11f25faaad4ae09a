"""The classifier that `partial_fit` carries from call to call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skdpnet.parts.dpnet.fitting import ClassifierFits
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.persistence.checks import check_array
from skdpnet.training.running_fit import RunningLeastSquares

__all__ = ["RunningClassifier"]

Images = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass
class RunningClassifier:
    """What the calls of `partial_fit` need of the images of earlier calls.

    Parameters
    ----------
    n_images : float
        The sum of the weights of the images of `fit` or of the first call.
    factor : float, default=1
        Factor of the classifier while the parts are learned; see
        `ClassifierFits.training_factor`.
    sums : RunningLeastSquares, default=None
        Sums over the images of all calls. None: there was no call after `fit`.
    variances : float64 ndarray of shape (P,), default=None
        The variances of the descriptor's numbers over the images of `fit`. None: 1/P,
        as all have without context.
    """

    n_images: float
    factor: float = 1.0
    sums: RunningLeastSquares | None = None
    variances: np.ndarray | None = None

    def learn(
        self,
        model: PartModel,
        fits: ClassifierFits,
        train: Callable[[], Images | None],
    ) -> None:
        """Learn the parts on the images of a call, and then the classifier.

        Parameters
        ----------
        model : PartModel
            It is changed in place. If training is interrupted, its classifier stays as
            it was.
        fits : ClassifierFits
        train : callable
            Moves the parts of the model. Returns the descriptors, labels and weights of
            the images, or None if training ended before the first of them.
        """
        present = model.get_classifier()
        if self.sums is None:
            self.sums = RunningLeastSquares.around(
                *present, self.n_images, self.variances
            )
        coef, intercept = (np.float32(self.factor) * array for array in present)
        model.set_classifier(coef, intercept)
        try:
            images = train()
        finally:
            model.set_classifier(*present)
        if images is not None:
            self.sums.add(*images)
            classifier = fits.running(self.sums, present)
            model.set_classifier(*classifier)
            self.factor = fits.training_factor(*images, classifier)

    def state(self) -> dict[str, Any]:
        """Return plain values and arrays for model files."""
        sums = self.sums and {
            "products": self.sums.products,
            "targets": self.sums.targets,
        }
        state: dict[str, Any] = {
            "n_images": self.n_images,
            "factor": self.factor,
            "sums": sums,
        }
        if self.variances is not None:
            state["variances"] = self.variances
        return state

    @classmethod
    def from_state(
        cls, state: dict[str, Any] | None, n_classes: int, n_parts: int
    ) -> RunningClassifier:
        """Make the classifier from what `state` returned.

        Parameters
        ----------
        state : dict of str to value, or None
            Files of earlier versions have none.
        n_classes, n_parts : int
            C and P, the shape of V; with context, K columns more.

        Returns
        -------
        RunningClassifier

        Raises
        ------
        ValueError
            If the values are not consistent; the message says which one is wrong.
        """
        if state is None:
            return cls(n_images=float(n_parts))
        n_images, factor, sums = state["n_images"], state["factor"], state["sums"]
        for name, number in (("number of images", n_images), ("factor", factor)):
            if not (isinstance(number, float) and 0 < number < np.inf):
                raise ValueError(f"the {name} of partial_fit is {number!r}")
        variances = state.get("variances")
        if variances is not None:
            check_array(
                "the variances of partial_fit", variances, (n_parts,), np.float64
            )
            if not (variances >= 0).all():
                raise ValueError("the variances of partial_fit are not variances")
        if sums is None:
            return cls(n_images, factor, None, variances)
        products, targets = sums["products"], sums["targets"]
        square = n_parts + 1, n_parts + 1
        check_array("the running products", products, square, np.float64)
        targets_shape = n_classes, n_parts + 1
        check_array("the running targets", targets, targets_shape, np.float64)
        sums = RunningLeastSquares(products, targets)
        return cls(n_images, factor, sums, variances)
