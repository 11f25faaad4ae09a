"""The heads that are compared on one cache of maps, and what each may choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.accuracy.methods import MAX_ITER
from skdpnet import (
    DPNetClassifier,
    GlobalFeatures,
    PIPNetClassifier,
    ProtoPNetClassifier,
    ProtoPoolClassifier,
    ProtoPShareClassifier,
    ProtoTreeClassifier,
    SoftAssignParts,
)

__all__ = ["DPNET", "HEADS", "N_PER_CLASS", "Head"]

# Parts or prototypes of a class, where a method has such a number.
N_PER_CLASS = 10
DPNET = "DP-Net, learned"
# Windows of one size each: that of DP-Net's default, and a small one.
_WINDOWS = (0.3,), (0.15,)
_C = (0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Head:
    """A method, and the configurations that it may choose from.

    Parameters
    ----------
    kind : class
        Of the estimator, a classifier or a transformer.
    configurations : tuple of dict
        Four for each method. Of the parameters of the estimator; ``C`` of the linear
        SVM that follows a transformer.
    number : str or None
        The parameter that is the number of parts of a class.
    fixed : dict
        Parameters of the estimator in all configurations.
    """

    kind: Callable[..., BaseEstimator]
    configurations: tuple[dict[str, Any], ...]
    number: str | None = None
    fixed: tuple[tuple[str, Any], ...] = ()

    @property
    def has_parts(self) -> bool:
        """Whether there are parts or prototypes, which have places."""
        return self.kind is not GlobalFeatures

    def estimator(
        self,
        configuration: dict[str, Any],
        seed: int,
        n_per_class: int = N_PER_CLASS,
        **maps: Any,
    ) -> BaseEstimator:
        """Return an unfitted classifier.

        Parameters
        ----------
        configuration : dict
            One of `configurations`.
        seed : int
            Random state.
        n_per_class : int, default=10
            Number of parts of a class.
        **maps
            Parameters of the maps: ``image_size``, ``framing``, ``memory`` and so on.

        Returns
        -------
        estimator
        """
        params = {**maps, **dict(self.fixed), **configuration}
        C = params.pop("C") if self.is_followed_by_svm else None
        if self.kind is not GlobalFeatures:
            params["random_state"] = seed
        if self.number is not None:
            params[self.number] = n_per_class
        estimator = self.kind(**params)
        if C is None:
            return estimator
        svm = LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        return make_pipeline(estimator, svm)

    @property
    def is_followed_by_svm(self) -> bool:
        """Whether the estimator is a transformer."""
        return self.kind in (GlobalFeatures, SoftAssignParts)


def _of_windows(name: str, values: tuple) -> tuple[dict[str, Any], ...]:
    """Return both windows with both values of another parameter."""
    return tuple(
        {"region_scales": windows, name: value}
        for windows in _WINDOWS
        for value in values
    )


def _trained(kind: type) -> tuple[dict[str, Any], ...]:
    """Return both windows with the usual number of epochs, and twice as many."""
    epochs = kind().max_epochs
    return _of_windows("max_epochs", (epochs, 2 * epochs))


_SVMS = tuple({"C": C} for C in _C)
# All see the maps of DP-Net's default strides.
_STRIDES = DPNetClassifier().strides
HEADS: dict[str, Head] = {
    "global descriptor of the last map + SVM": Head(
        GlobalFeatures, _SVMS, fixed=(("strides", ("average",)),)
    ),
    "global descriptor of the same maps + SVM": Head(
        GlobalFeatures, _SVMS, fixed=(("strides", _STRIDES),)
    ),
    "two-stage parts + SVM": Head(
        SoftAssignParts, _of_windows("C", (1.0, 10.0)), "n_parts_per_class"
    ),
    "DP-Net, first parts": Head(
        DPNetClassifier,
        _of_windows("C", (1.0, 0.1)),
        "n_parts_per_class",
        (("max_epochs", 0),),
    ),
    DPNET: Head(DPNetClassifier, _trained(DPNetClassifier), "n_parts_per_class"),
    "ProtoPNet": Head(
        ProtoPNetClassifier, _trained(ProtoPNetClassifier), "n_prototypes_per_class"
    ),
    "ProtoPShare": Head(
        ProtoPShareClassifier, _trained(ProtoPShareClassifier), "n_prototypes_per_class"
    ),
    "ProtoTree": Head(ProtoTreeClassifier, _trained(ProtoTreeClassifier)),
    "ProtoPool": Head(ProtoPoolClassifier, _trained(ProtoPoolClassifier)),
    "PIP-Net": Head(PIPNetClassifier, _trained(PIPNetClassifier)),
}
