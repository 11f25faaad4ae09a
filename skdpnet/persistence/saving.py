"""Fitted estimators to files and back, without pickle."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from skdpnet.base.map_estimator import MapEstimator, PartEstimator
from skdpnet.exceptions import ModelFileError
from skdpnet.features.feature_maps import resolve_device
from skdpnet.parts.dpnet.learner import PartLearner
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.persistence.checks import check_maps, check_net, check_parts
from skdpnet.persistence.model_file import Encoder, UnsavableError, decode, read, write

__all__ = ["load", "save"]

# The only classes a file can name; a name is looked up here, never imported.
_MODULES = {
    "DPNetClassifier": "skdpnet.parts.dpnet.estimators",
    "DPNetTransformer": "skdpnet.parts.dpnet.estimators",
    "GlobalFeatures": "skdpnet.encodings.global_average",
    "SoftAssignParts": "skdpnet.parts.soft_assign.estimator",
}
_OF_PARTS = (
    *("map_shapes_", "classes_", "parts_", "part_classes_", "part_maps_"),
    *("whitenings_", "grids_", "n_iter_"),
)
_FITTED = {
    "DPNetClassifier": (*_OF_PARTS, "coef_", "intercept_"),
    "DPNetTransformer": (*_OF_PARTS, "coef_", "intercept_"),
    "GlobalFeatures": ("map_shapes_", "_n_features_out"),
    "SoftAssignParts": (*_OF_PARTS, "shift_", "scale_"),
}
# What the data, `set_output`, or whoever fitted the model may add.
_OPTIONAL = (
    *("n_features_in_", "feature_names_in_", "_sklearn_output_config"),
    "notes_",
)
# These tell of the machine, not of the model.
_LEFT_OUT = ("device", "memory")


def save(estimator: MapEstimator, path: str | os.PathLike) -> None:
    """Save a fitted estimator; see `MapEstimator.save`, which calls this.

    Parameters
    ----------
    estimator : DPNetClassifier, DPNetTransformer, SoftAssignParts or GlobalFeatures
    path : str or path
    """
    name = type(estimator).__name__
    if name not in _MODULES or type(estimator) is not _class(name):
        raise TypeError(
            f"{name} cannot be saved: load would not know it. It knows "
            f"{', '.join(_MODULES)}."
        )
    check_is_fitted(estimator)
    lacking = [key for key in _FITTED[name] if not hasattr(estimator, key)]
    if lacking:
        raise NotFittedError(
            f"this {name} was not fitted to the end: it lacks {', '.join(lacking)}. "
            "Call fit again before save."
        )
    encode = Encoder()
    parameters = {
        key: _encode_parameter(encode, key, value)
        for key, value in estimator.get_params(deep=False).items()
        if key not in _LEFT_OUT
    }
    names = [*_FITTED[name], *(key for key in _OPTIONAL if hasattr(estimator, key))]
    fitted = {
        key: _encode_fitted(encode, key, getattr(estimator, key)) for key in names
    }
    if isinstance(estimator, PartLearner):
        fitted["net_"] = encode(_net_state(estimator), "net_")
    metadata = {
        "skdpnet_version": version("skdpnet"),
        "class": name,
        "parameters": json.dumps(parameters, allow_nan=False),
        "fitted": json.dumps(fitted, allow_nan=False),
    }
    write(path, metadata, encode.tensors)


def load(
    path: str | os.PathLike,
    backbone: str | Callable | None = None,
    memory: str | os.PathLike | None = None,
    device: str = "auto",
) -> Any:
    """Load an estimator that `save` wrote.

    It predicts, transforms and finds regions as the saved one did, bit for bit on the
    same machine. Nothing in the file is run or unpickled, so a file from a stranger
    can be wrong but not harmful.

    Parameters
    ----------
    path : str or path
    backbone : str, torch.nn.Module or callable, default=None
        Takes the place of the saved backbone's name, for networks that have none;
        see `FeatureMaps`. It must give the maps that the model was fitted on.
    memory : str or path, default=None
        Folder that keeps feature maps; a file does not tell it.
    device : str, default="auto"
        Where backbone and parts are computed; a file does not tell it.

    Returns
    -------
    DPNetClassifier, DPNetTransformer, SoftAssignParts or GlobalFeatures
        Fitted. ``history_`` has the epochs without their batches. `partial_fit` goes
        on from the saved parts and classifier with a new optimiser.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If the file is damaged, something else, inconsistent, or from a newer skdpnet
        (`skdpnet.exceptions.ModelFileError`); or for a device that is not there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> import skdpnet
    >>> X, y = load_iris(return_X_y=True)
    >>> model = skdpnet.DPNetClassifier("precomputed", max_epochs=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "iris.safetensors")
    ...     again = skdpnet.load(Path(folder) / "iris.safetensors")
    >>> bool((again.decision_function(X) == model.decision_function(X)).all())
    True
    """
    where = resolve_device(device)
    metadata, tensors = read(path)
    name = metadata.get("class", "")
    writer = metadata.get("skdpnet_version", "")[:20]
    if name not in _MODULES:
        raise ModelFileError(
            f"{os.fspath(path)} holds an estimator of the unknown class {name[:80]!r}, "
            f"saved by skdpnet {writer!r}. Known: {', '.join(_MODULES)}. Upgrade "
            "skdpnet if it has the class."
        )
    try:
        parameters = _decode_each(metadata["parameters"], tensors)
        fitted = _decode_each(metadata["fitted"], tensors)
        _check(name, fitted)
        given: dict[str, Any] = {"memory": memory, "device": device}
        if backbone is not None:
            given["backbone"] = backbone
        estimator = _class(name)(**{**parameters, **given})
        for key in (*_FITTED[name], *_OPTIONAL):
            if key in fitted:
                setattr(estimator, key, fitted[key])
        if isinstance(estimator, PartLearner):
            estimator.device_ = where
            _restore_net(estimator, fitted["net_"])
    except Exception as error:
        # Whatever a made-up file makes Python, NumPy, torch or skorch raise.
        raise ModelFileError(
            f"{os.fspath(path)}, saved by skdpnet {writer!r}, holds no {name} that "
            f"skdpnet {version('skdpnet')} can use: {_reason(error)}. Save the model "
            "again, or upgrade skdpnet if the file's is newer."
        ) from error
    return estimator


def _class(name: str) -> type:
    return getattr(importlib.import_module(_MODULES[name]), name)


def _check(name: str, fitted: dict[str, Any]) -> None:
    """Check that the fitted attributes are there and belong together."""
    learns = issubclass(_class(name), PartLearner)
    lacking = {*_FITTED[name], *(["net_"] if learns else [])} - fitted.keys()
    if lacking:
        raise ValueError(f"{', '.join(sorted(lacking))} is missing")
    check_maps(fitted["map_shapes_"])
    if issubclass(_class(name), PartEstimator):
        check_parts(fitted)
    elif fitted["_n_features_out"] != sum(own[-1] for own in fitted["map_shapes_"]):
        raise ValueError("_n_features_out is not the width of all maps")
    if learns:
        check_net(fitted["net_"], fitted)


def _encode_parameter(encode: Encoder, name: str, value: Any) -> Any:
    if name == "backbone" and not isinstance(value, str):
        raise ValueError(
            f"a backbone that is an object ({type(value).__name__}) cannot be saved, "
            "only its name. Give it one, set_params(backbone='my network'), save, and "
            "hand the object in again when loading: load(path, backbone=module)."
        )
    try:
        return encode(value, f"parameters.{name}")
    except UnsavableError as error:
        raise ValueError(
            f"the parameter {name} cannot be saved: {error}. Set one that holds "
            f"numbers, text, lists, dicts or arrays, or set_params({name}=None); what "
            "was fitted stays as it is."
        ) from error


def _encode_fitted(encode: Encoder, name: str, value: Any) -> Any:
    try:
        return encode(value, name)
    except UnsavableError as error:
        raise ValueError(f"{name} cannot be saved: {error}.") from error


def _decode_each(text: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    return {key: decode(tree, tensors) for key, tree in json.loads(text).items()}


def _reason(error: Exception) -> str:
    told = (
        str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    )
    return told.rstrip(".")[:300]


def _net_state(estimator: PartLearner) -> dict[str, Any]:
    """Take out what the net computes with, as numbers and arrays."""
    module = estimator.net_.module_
    return {
        "beta": module.beta,
        "dropout": module.dropout.p,
        "seed": estimator._seed,
        "parts": [_array(own.parts) for own in module.maps],
        "offsets": [_array(own.offset) for own in module.maps],
        "weight": _array(module.classifier.weight),
        "bias": _array(module.classifier.bias),
        "shift": _array(module.shift),
        "scale": _array(module.scale),
        "history": [_plain(row) for row in estimator.net_.history],
    }


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Keep the plain numbers and texts of an epoch."""
    values = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in row.items()
    }
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (bool, int, float, str))
    }


def _restore_net(estimator: PartLearner, state: dict[str, Any]) -> None:
    """Set the net, with a part model that computes what the saved one did."""
    estimator._seed = state["seed"]
    model = PartModel.from_arrays(
        state["parts"],
        state["offsets"],
        estimator.grids_,
        len(estimator.classes_),
        state["beta"],
        state["dropout"],
    )
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(state["weight"]))
        model.classifier.bias.copy_(torch.from_numpy(state["bias"]))
        model.shift.copy_(torch.from_numpy(state["shift"]))
        model.scale.copy_(torch.from_numpy(state["scale"]))
    model = model.to(estimator.device_)
    estimator.net_ = estimator._net(model, decay=False, valid=None).initialize()
    estimator.net_.history = estimator.history_ = History(state["history"])
