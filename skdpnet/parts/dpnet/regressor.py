"""DP-Net as a regressor: parts, and a linear readout that predicts numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skdpnet.explanations.contributions import explain
from skdpnet.explanations.explanation import Explanation
from skdpnet.parts.dpnet.learner import PartLearner
from skdpnet.parts.dpnet.objective import PENALTIES
from skdpnet.parts.dpnet.regressor_parameters import (
    RegressorParameters,
    with_regressor_parameters,
)
from skdpnet.parts.dpnet.shared_results import SharedResults
from skdpnet.parts.dpnet.state import check_learned_state, with_context
from skdpnet.parts.dpnet.target_fits import (
    SparseObjective,
    TargetFits,
    quantile_groups,
    target_scale,
)
from skdpnet.parts.layout import classes_and_maps
from skdpnet.persistence.checks import check_array
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import Classifier
from skdpnet.training.sample_weights import sample_weights
from skdpnet.training.score_losses import SquaredError
from skdpnet.utils.target_values import check_target_values

__all__ = ["DPNetRegressor"]


@with_regressor_parameters
class DPNetRegressor(RegressorMixin, PartLearner, RegressorParameters):
    """Predict numbers from images by learned parts.

    A frozen network describes the regions of an image, and its descriptor is the
    maximum of each part's response over the regions, as in `DPNetClassifier`. A linear
    readout V of it predicts one or several targets. The first parts are clusters of
    regions of images whose targets are similar: those between two quantiles of a
    target. Parts and readout are learned together: training minimises the squared error
    of the standardised targets, ``ridge * ‖V‖²``, and the penalties that have a weight.
    Its steps move the parts, and V is fitted exactly before each epoch, and once more
    on the learned parts.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DPNetClassifier : The same parts for classes.
    skdpnet.explain : The contribution of each part to a prediction.

    Notes
    -----
    A part says how much something is present in the region that shows it most, not how
    many regions show it: counts are learned only as far as images with more of a thing
    show it more clearly.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skdpnet import DPNetRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = DPNetRegressor(
    ...     "precomputed", n_parts_per_bin=4, foreground=None, random_state=0
    ... ).fit(X, y)
    >>> model.parts_.shape, model.predict(X[:2]).shape
    ((13, 10), (2,))
    """

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *(name for name in PartLearner._fitted_attributes if name != "classes_"),
        *("target_mean_", "target_scale_", "target_ndim_"),
    )
    _added_parameters: ClassVar[dict[str, Any]] = {}
    _parts_parameter = "n_parts_per_bin"

    target_mean_: np.ndarray
    target_scale_: np.ndarray
    target_ndim_: int

    def fit(self, X, y, sample_weight=None):
        """Learn the parts and the readout.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `DPNetClassifier`.
        y : array-like of shape (n,) or (n, T)
            The number, or the T numbers, to predict for each image.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss. Images of weight 0 have no influence at
            all. Whitening, first parts and the scale of the descriptor count all others
            alike.

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
        return super().fit(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """Predict the targets of images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float64 ndarray of shape (n,) or (n, T)
            As y had it.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        check_is_fitted(self)
        descriptors = self._describe(self._iter_inputs(X)).astype(np.float64)
        predictions = descriptors @ self.coef_.T + self.intercept_
        return predictions[:, 0] if self.target_ndim_ == 1 else predictions

    def score(self, X, y, sample_weight=None) -> float:
        """Return the coefficient of determination R², the mean over the targets.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.
        y : array-like of shape (n,) or (n, T)
            The true targets.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If y does not hold as many finite numbers of each image as the model
            predicts.
        sklearn.exceptions.NotFittedError, skdpnet.images.ImageError
            As `transform`.
        """
        check_is_fitted(self)
        values, _ = check_target_values(self, X, y, self._n_outputs)
        return super().score(X, values, sample_weight)

    def explain(
        self, image, target: int | None = None, *, apply_exif: bool = False
    ) -> Explanation:
        """Explain the prediction for an image; see `skdpnet.explain`.

        Parameters
        ----------
        image : image, or array for ``backbone="precomputed"``
        target : int, default=None
            Number of the target whose prediction is explained. None: the first.
        apply_exif : bool, default=False
            As in `skdpnet.explain`.

        Returns
        -------
        Explanation
            ``contributions.sum() + bias`` is the prediction, which is its `score`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `skdpnet.explain`.
        """
        return explain(self, image, target, apply_exif=apply_exif)

    def _set_targets(self, X, y) -> np.ndarray:
        values, is_vector = check_target_values(self, X, y)
        self.target_ndim_ = 1 if is_vector else 2
        return values

    def _image_weights(self, X, given: np.ndarray, sample_weight) -> np.ndarray:
        return sample_weights(X, given, sample_weight, None)

    def _targets_and_groups(
        self, given: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.target_mean_, self.target_scale_ = target_scale(given, weights)
        standardised = (given - self.target_mean_) / self.target_scale_
        return standardised, quantile_groups(given, weights, self.n_bins)

    @property
    def _n_outputs(self) -> int:
        return len(self.target_mean_)

    def _part_layout(
        self, shares: Sequence[int], n_groups: int
    ) -> tuple[np.ndarray, np.ndarray]:
        groups, maps = classes_and_maps(shares, n_groups)
        return np.full_like(groups, -1), maps

    def _context_classes(self, n: int) -> np.ndarray:
        return np.full(n, -1)

    def _context_name(self, number: int) -> str:
        return "context" if self._n_outputs == 1 else f"target{number}_context"

    def _objective(self) -> SparseObjective:
        return SparseObjective(
            torch.from_numpy(self.part_classes_[self.part_maps_ < self._n_maps]),
            weights={name: getattr(self, f"{name}_weight", 0.0) for name in PENALTIES},
            ridge=self.ridge,
            loss=SquaredError(),
            specificity_form="absolute",
            sparsity=self.sparsity_weight,
        )

    def _fits(self) -> TargetFits:
        return TargetFits(self.C, self.ridge, self._objective().classifier_penalty)

    def _final_fit(
        self, train: MapDataset, descriptors: np.ndarray, shared: SharedResults
    ) -> Callable[[np.ndarray], Classifier]:
        fits = self._fits()
        return lambda learned: fits.final(learned, train.labels, train.weights)

    def _set_learned(self) -> None:
        super()._set_learned()
        self.coef_ = self.target_scale_[:, None] * self.coef_.astype(np.float64)
        self.intercept_ = self.target_mean_ + self.target_scale_ * self.intercept_

    def _check_learned_state(self, state: dict[str, Any]) -> None:
        n = len(state["target_mean_"])
        check_learned_state(state, n, np.float64)
        for name in ("target_mean_", "target_scale_"):
            check_array(name, state[name], (n,), np.float64)
        if not (state["target_scale_"] > 0).all():
            raise ValueError("target_scale_ holds numbers that are not above 0")
        if (state["part_classes_"] != -1).any():
            raise ValueError("part_classes_ holds classes, which a regressor has not")
        if not isinstance(state["target_ndim_"], int) or state["target_ndim_"] not in (
            (1, 2) if n == 1 else (2,)
        ):
            raise ValueError("target_ndim_ does not fit the number of targets")

    def _state_of_parts(self, state: dict[str, Any]) -> dict[str, Any]:
        mean = state["target_mean_"]
        if not isinstance(mean, np.ndarray) or mean.ndim != 1:
            raise ValueError("target_mean_ does not hold a number for each target")
        # The checks of parts are those of classes, of which parts here have none.
        with_classes = {**super()._state_of_parts(state), "classes_": np.arange(2)}
        return with_context(with_classes, state["map_shapes_"], [-1] * len(mean))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
