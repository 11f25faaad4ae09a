"""A classifier that may answer that an image is of none of the classes."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    clone,
    is_classifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, get_tags, indexable
from sklearn.utils.validation import check_is_fitted

from skdpnet.open_set._p_values import conformal_p_values
from skdpnet.open_set._scores import SCORES, Scored, score_images
from skdpnet.utils.labels import check_classes, check_labels, check_running_classes
from skdpnet.utils.validation import Number, OneOf, TrueOrFalse, check_parameters

__all__ = ["OpenSetClassifier"]


class OpenSetClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classify images that may be of no known class, by conformal p-values.

    Each image has a p-value: how usual its evidence for the predicted class is among
    images of known classes that the classifier was not fitted on. Where it is at most
    `alpha`, the answer is "none of these". So of images of known classes, a share of
    about `alpha` is rejected, whatever the classifier. How many images of unknown
    classes are accepted is guaranteed by nothing, and is to be measured.

    Parameters
    ----------
    estimator : classifier
        A part classifier (`DPNetClassifier` and others), or a Pipeline of parts and a
        linear classifier; with the scores ``"logit"`` and ``"probability"`` any
        classifier. In a `sklearn.frozen.FrozenEstimator` it is fitted already, and
        `fit` takes images of known classes that it has not seen.
    alpha : float in [0, 1), default=0.1
        Share of the images of known classes that may be rejected. `predict` uses it, so
        that it may be set after `fit`. At 0, nothing is rejected.
    conformity_score : str, default="evidence"
        How well an image fits the predicted class. ``"evidence"``: the sum of the
        positive contributions of parts to the class's score; ``"present_evidence"``:
        of the parts that are present in the image; ``"strongest_part"``: the largest
        contribution of one that is present; ``"logit"``: the largest score of
        `decision_function`; ``"probability"``: the largest of `predict_proba`.
    class_conditional : bool, default=False
        Whether an image is compared with calibration images of its predicted class
        alone. Then about the share `alpha` is rejected among those predicted as each
        class; but a class needs ``1 / alpha - 1`` calibration images before anything
        that is predicted as it can be rejected.
    cv : int, cross-validation generator or iterable, default=5
        Folds in which the calibration images are held out, as in `cross_val_predict`.
        Unused for a FrozenEstimator.
    none_label : label, default=None
        The answer for images of no known class. None: ``"none"`` where labels are text,
        −1 where they are numbers.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on all images, or the estimator of the FrozenEstimator. Explanations and
        probabilities are those of it: ``skdpnet.explain(model.estimator_, image)``.
    classes_ : ndarray of shape (C,)
        The known classes.
    none_label_ : label
        The answer for images of no known class.
    calibration_scores_ : float64 ndarray of shape (n,)
        The scores of the calibration images.
    calibration_classes_ : int ndarray of shape (n,)
        Their predicted classes, as indices into `classes_`.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Probabilities of the known classes.

    Notes
    -----
    With a FrozenEstimator, the share of rejected images of known classes is at most
    `alpha` in the mean over calibration sets, if these are drawn as the images to come
    are; and at least ``alpha - 1 / (n + 1)`` if scores have no ties. With `cv`, images
    are scored by a model of all images, but calibrated by models of fewer images, so
    that this holds approximately: a larger model scores new images a little higher, and
    rejects fewer.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.open_set import OpenSetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> parts = DPNetClassifier("precomputed", random_state=0, max_epochs=1)
    >>> model = OpenSetClassifier(parts).fit(X, y)
    >>> model.p_values(X).shape, model.none_label_
    ((150,), -1)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [Number(0, below=1)],
        "conformity_score": [OneOf(SCORES)],
        "class_conditional": [TrueOrFalse()],
    }

    def __init__(
        self,
        estimator,
        *,
        alpha: float = 0.1,
        conformity_score: str = "evidence",
        class_conditional: bool = False,
        cv=5,
        none_label=None,
    ):
        self.estimator = estimator
        self.alpha = alpha
        self.conformity_score = conformity_score
        self.class_conditional = class_conditional
        self.cv = cv
        self.none_label = none_label

    def fit(self, X, y):
        """Fit the classifier, and score images that it was not fitted on.

        Parameters
        ----------
        X : images, or what else the classifier takes
            Folds are taken of it as in scikit-learn's cross-validation.
        y : array-like of shape (n,)
            Labels, all of known classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters, labels or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.

        Warns
        -----
        UserWarning
            If there are too few calibration images to reject anything at `alpha`.
        """
        check_parameters(self)
        if not is_classifier(self.estimator):
            raise ValueError(
                f"estimator must be a classifier, got {type(self.estimator).__name__}, "
                "which predicts no classes."
            )
        y = check_labels(self, X, y)
        if isinstance(self.estimator, FrozenEstimator):
            model = self.estimator.estimator
            check_is_fitted(model)
            if getattr(model, "multilabel_", False):
                raise ValueError(
                    "the classifier was fitted on an indicator matrix, by which an "
                    "image may have several classes or none: fit one on labels."
                )
            classes = check_running_classes(y, None, model.classes_)
            scored = score_images(model, X, self.conformity_score)
        else:
            classes, _ = check_classes(self, y)
            scored = self._score_held_out(X, y, classes)
            model = clone(self.estimator).fit(X, y)
        self.none_label_ = self._find_none_label(classes)
        self.estimator_, self.classes_ = model, classes
        self.calibration_classes_, self.calibration_scores_ = scored
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        self._warn_of_few_images()
        return self

    def p_values(self, X) -> np.ndarray:
        """Return how usual each image would be among images of known classes.

        Parameters
        ----------
        X : images, or what else the classifier takes

        Returns
        -------
        float64 ndarray of shape (n,)
            Conformal p-values in (0, 1]: small for images of no known class.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the classifier is not fitted.
        ValueError, skdpnet.images.ImageError
            As the `predict` of the classifier.
        """
        check_is_fitted(self)
        return self._p_values_of(self._scored(X))

    def predict(self, X) -> np.ndarray:
        """Predict the class of each image, or that it is of none.

        Parameters
        ----------
        X : images, or what else the classifier takes

        Returns
        -------
        ndarray of shape (n,)
            The label of the predicted class, or `none_label_` where the p-value is at
            most `alpha`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `p_values`.
        """
        check_is_fitted(self)
        check_parameters(self)
        scored = self._scored(X)
        labels = self.classes_[scored.classes]
        rejected = self._p_values_of(scored) <= self.alpha
        none = np.full(len(labels), self.none_label_, dtype=self._none_dtype())
        return np.where(rejected, none, labels)

    def _scored(self, X) -> Scored:
        return score_images(self.estimator_, X, self.conformity_score)

    def _p_values_of(self, scored: Scored) -> np.ndarray:
        calibration = self.calibration_scores_
        if not self.class_conditional:
            return conformal_p_values(calibration, scored.values)
        groups = self.calibration_classes_, scored.classes
        return conformal_p_values(calibration, scored.values, *groups)

    def _score_held_out(self, X, y: np.ndarray, classes: np.ndarray) -> Scored:
        """Score each image by a model that was fitted on those of the other folds."""
        (X,) = indexable(X)
        predicted, values = [], []
        for train, held in check_cv(self.cv, y, classifier=True).split(X, y):
            missing = np.setdiff1d(classes, y[train])
            if len(missing):
                raise ValueError(
                    f"all images of the classes {missing.tolist()} are held out in one "
                    "fold: each class needs images in two folds or more."
                )
            model = clone(self.estimator).fit(_safe_indexing(X, train), y[train])
            scored = score_images(model, _safe_indexing(X, held), self.conformity_score)
            predicted.append(scored.classes)
            values.append(scored.values)
        return Scored(np.concatenate(predicted), np.concatenate(values))

    def _find_none_label(self, classes: np.ndarray) -> Any:
        is_text = all(isinstance(label, str) for label in classes.tolist())
        label = self.none_label
        if label is None:
            label = "none" if is_text else -1
        if isinstance(label, str) != is_text:
            raise ValueError(
                f"none_label={label!r} must be {'text' if is_text else 'a number'}, as "
                "the labels are."
            )
        if label in classes.tolist():
            raise ValueError(
                f"{label!r} is the label of a known class: pass another none_label for "
                "images of none."
            )
        return label

    def _none_dtype(self) -> Any:
        """Return a dtype that `none_label_` does not lose anything in."""
        return object if self.classes_.dtype == object else None

    def _warn_of_few_images(self) -> None:
        if self.alpha == 0:
            return
        n_classes = len(self.classes_)
        counts = np.array([len(self.calibration_scores_)])
        if self.class_conditional:
            counts = np.bincount(self.calibration_classes_, minlength=n_classes)
        few = counts < 1 / self.alpha - 1
        if few.any():
            of_classes = (
                f" for {few.sum()} of {n_classes} classes, such as "
                f"{self.classes_[few.argmax()]!r}, which was predicted "
                f"{counts[few.argmax()]} times"
                if self.class_conditional
                else f", there are {counts[0]}"
            )
            warnings.warn(
                f"alpha={self.alpha} needs {int(np.ceil(1 / self.alpha - 1))} "
                f"calibration images to reject anything{of_classes}. Pass more images "
                "or a larger alpha, or class_conditional=False.",
                UserWarning,
                stacklevel=3,
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibration_scores_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
