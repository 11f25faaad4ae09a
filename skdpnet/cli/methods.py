"""The methods that `fit` and `compare` know by a name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skdpnet.cli.errors import CommandError

__all__ = [
    "FITTED",
    "METHODS",
    "Method",
    "check_settings",
    "fitted_method",
    "part_strides",
]

# Folds that choose the C of a support vector machine, on training images alone.
_FOLDS = 3
_C = [0.1, 1, 10]


@dataclass(frozen=True)
class Method:
    """A method, and the estimator that it is.

    Attributes
    ----------
    title : str
        What a page calls it.
    estimator : str
        Name of the class in `skdpnet`.
    parts : str or None
        The parameter for the number of parts of each class, if it has one.
    with_svm : bool
        Whether it describes images and a support vector machine classifies them.
    has_parts : bool
        Whether it has parts that can be shown.
    sees_part_maps : bool
        Whether it sees the feature maps that methods with parts see, in place of the
        network's last map.
    """

    title: str
    estimator: str
    parts: str | None = None
    with_svm: bool = False
    has_parts: bool = True
    sees_part_maps: bool = True

    def make(self, n_smallest: int, *, random_state: int, **parameters: Any) -> Any:
        """Make the estimator.

        Parameters
        ----------
        n_smallest : int
            Number of training images of the smallest class, on which it depends
            whether the C of a support vector machine can be chosen by cross-validation.
        random_state : int
        **parameters
            Of the class in `skdpnet`.

        Returns
        -------
        estimator
        """
        import skdpnet

        estimator = getattr(skdpnet, self.estimator)
        if not self.with_svm:
            return estimator(random_state=random_state, **parameters)
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        if self.has_parts:
            parameters["random_state"] = random_state
        elif self.sees_part_maps:
            parameters["strides"] = part_strides()
        svm = LinearSVC(random_state=random_state)
        folds = min(_FOLDS, n_smallest)
        if folds > 1:
            svm = GridSearchCV(svm, {"C": _C}, cv=folds)
        return make_pipeline(estimator(**parameters), svm)


METHODS = {
    "dpnet": Method("DP-Net", "DPNetClassifier", "n_parts_per_class"),
    "protopnet": Method("ProtoPNet", "ProtoPNetClassifier", "n_prototypes_per_class"),
    "protopshare": Method(
        "ProtoPShare", "ProtoPShareClassifier", "n_prototypes_per_class"
    ),
    "prototree": Method("ProtoTree", "ProtoTreeClassifier"),
    "protopool": Method("ProtoPool", "ProtoPoolClassifier"),
    "pipnet": Method("PIP-Net", "PIPNetClassifier"),
    "boosted": Method("boosted shared parts", "SharedBoostedParts"),
    "deformable": Method("deformable parts", "DeformableParts"),
    "two-stage": Method(
        "two-stage parts + SVM", "SoftAssignParts", "n_parts_per_class", with_svm=True
    ),
    "global": Method(
        "global descriptor of the last map + SVM",
        "GlobalFeatures",
        with_svm=True,
        has_parts=False,
        sees_part_maps=False,
    ),
    "global-maps": Method(
        "global descriptor of the parts' maps + SVM",
        "GlobalFeatures",
        with_svm=True,
        has_parts=False,
    ),
}
# Those that are a single estimator, which a model file can hold.
FITTED = tuple(name for name, method in METHODS.items() if not method.with_svm)


def part_strides() -> Sequence[int | str]:
    """Return the strides of the feature maps that methods with parts see."""
    import inspect

    from skdpnet import DPNetClassifier

    return inspect.signature(DPNetClassifier).parameters["strides"].default


def fitted_method(name: str) -> str:
    """Check the name of a method whose models can be saved.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        The same name; argparse refuses names that are unknown.

    Raises
    ------
    argparse.ArgumentTypeError
        If the method's models cannot be saved.
    """
    if name in METHODS and name not in FITTED:
        raise argparse.ArgumentTypeError(
            f"{name} is a descriptor and a support vector machine, two estimators, and "
            "a model file holds one: `compare` fits it"
        )
    return name


def check_settings(model: Any, parts: str | None, paths: Sequence[str]) -> None:
    """Compute the feature maps of an image, so that unusable settings fail early.

    Parameters
    ----------
    model : MapEstimator
    parts : str or None
        The model's parameter for the number of parts of each class.
    paths : sequence of str
        The first image that can be decoded is used.

    Raises
    ------
    CommandError
        If there are too few parts.
    ValueError, OSError
        If the network or a setting of it cannot be used.
    """
    from skdpnet.images.bad_images import decoding_errors
    from skdpnet.images.collection import as_images
    from skdpnet.regions.extents import have_parts

    extractor = model.feature_maps().set_params(verbose=0)
    for path in paths:
        # `fit` names those that cannot be decoded.
        if decoding_errors(as_images([path])):
            continue
        (maps,) = extractor.iter_maps([path])
        break
    else:
        return
    n_maps = sum(have_parts([of_map.shape[1:] for of_map in maps]))
    if parts is not None and getattr(model, parts) < n_maps:
        raise CommandError(
            f"--parts-per-class {getattr(model, parts)} is too few: {model.backbone} "
            f"has {n_maps} feature maps with parts, and each needs a part for each "
            "class"
        )
