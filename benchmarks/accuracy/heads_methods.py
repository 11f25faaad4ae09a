"""The heads that are compared on one cache of maps, and what each may choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.accuracy.methods import MAX_ITER
from benchmarks.accuracy.span import SpanSVC
from skdpnet import (
    LLC,
    VLAD,
    BagOfWords,
    BlocksThatShout,
    DeformableParts,
    DPNetClassifier,
    FisherVector,
    GlobalFeatures,
    LayoutGraphClassifier,
    ModeSeeking,
    PIPNetClassifier,
    ProtoPNetClassifier,
    ProtoPoolClassifier,
    ProtoPShareClassifier,
    ProtoTreeClassifier,
    RandomSelectedParts,
    SharedBoostedParts,
    SoftAssignParts,
)
from skdpnet.backbones.stages import AVERAGE
from skdpnet.base.part_estimator import PartEstimator

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
    rotated : bool
        Whether the linear SVM is a `SpanSVC`, which changes its time and not its
        decisions.
    """

    kind: type[BaseEstimator]
    configurations: tuple[dict[str, Any], ...]
    number: str | None = None
    fixed: tuple[tuple[str, Any], ...] = ()
    rotated: bool = False

    @property
    def has_parts(self) -> bool:
        """Whether there are parts or prototypes, which have places."""
        return issubclass(self.kind, PartEstimator)

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
        if "random_state" in self.kind().get_params():
            params["random_state"] = seed
        if self.number is not None:
            params[self.number] = n_per_class
        estimator = self.kind(**params)
        if C is None:
            return estimator
        kind = SpanSVC if self.rotated else LinearSVC
        svm = kind(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        return make_pipeline(estimator, svm)

    @property
    def is_followed_by_svm(self) -> bool:
        """Whether the estimator is a transformer."""
        return not is_classifier(self.kind())


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


def _encoding(kind: type[BaseEstimator], n_words: int) -> Head:
    """Return an encoding of the cells, with and without a pyramid."""
    configurations = tuple(
        {"pyramid": pyramid, "C": C}
        for pyramid in (None, _PYRAMID)
        for C in (1.0, 10.0)
    )
    fixed = {
        "backbone": _NETWORK,
        "strides": _STRIDES_OF_CELLS,
        "n_words": n_words,
        "n_samples": _N_SAMPLES,
    }
    return Head(kind, configurations, fixed=tuple(fixed.items()), rotated=True)


_SVMS = tuple({"C": C} for C in _C)
# All see the maps of DP-Net's default strides.
_NETWORK, _STRIDES = DPNetClassifier().backbone, DPNetClassifier().strides
# A map of one cell has no words to count.
_STRIDES_OF_CELLS = tuple(stride for stride in _STRIDES if stride != AVERAGE)
_PYRAMID = ((1, 1), (2, 2), (3, 1))
# Cells that a vocabulary is learned from: 20 for each of the most words.
_N_SAMPLES = 20_480
HEADS: dict[str, Head] = {
    "global descriptor of the last map + SVM": Head(
        GlobalFeatures, _SVMS, fixed=(("strides", ("average",)),)
    ),
    "global descriptor of the same maps + SVM": Head(
        GlobalFeatures, _SVMS, fixed=(("strides", _STRIDES),)
    ),
    "words of cells + SVM": _encoding(BagOfWords, 400),
    "LLC of cells + SVM": _encoding(LLC, 1024),
    "VLAD of cells + SVM": _encoding(VLAD, 64),
    "Fisher vectors of cells + SVM": _encoding(FisherVector, 64),
    "two-stage parts + SVM": Head(
        SoftAssignParts, _of_windows("C", (1.0, 10.0)), "n_parts_per_class"
    ),
    "two-stage parts, one to one + SVM": Head(
        SoftAssignParts,
        _of_windows("C", (1.0, 10.0)),
        "n_parts_per_class",
        (("assignment", "hungarian"),),
    ),
    "two-stage parts, best regions + SVM": Head(
        SoftAssignParts,
        _of_windows("C", (1.0, 10.0)),
        "n_parts_per_class",
        (("encoding", "features"),),
        rotated=True,
    ),
    "blocks that shout + SVM": Head(
        BlocksThatShout, _of_windows("C", (1.0, 10.0)), "n_parts_per_class"
    ),
    "mode seeking + SVM": Head(
        ModeSeeking, _of_windows("C", (1.0, 10.0)), "n_parts_per_class"
    ),
    "random parts, selected + SVM": Head(
        RandomSelectedParts, _of_windows("C", (1.0, 10.0))
    ),
    "boosted parts": Head(SharedBoostedParts, _of_windows("max_depth", (1, 2))),
    "deformable parts": Head(
        DeformableParts,
        tuple({"n_stars": n, "C": C} for n in (1, 2) for C in (0.01, 0.03)),
    ),
    "layout graph": Head(
        LayoutGraphClassifier,
        tuple(
            {"n_regions": n, "max_epochs": epochs}
            for n in (16, 32)
            for epochs in (10, 20)
        ),
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
