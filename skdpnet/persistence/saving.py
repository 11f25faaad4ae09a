"""Saving of fitted estimators to files and loading from them, without pickle.

This module depends on no particular estimator. Each class declares what is saved by the
methods `_get_fitted_state`, `_check_fitted_state` and `_set_fitted_state` of
`skdpnet.base.map_estimator.MapEstimator`. `load` looks a class up by its name in the
package's table of estimators, or among the classes that the caller passes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import skdpnet
from skdpnet.backbones.efficientnet_lite import EFFICIENTNET_LITE
from skdpnet.backbones.weight_files import file_version
from skdpnet.exceptions import ModelFileError
from skdpnet.features.network_record import NetworkRecord
from skdpnet.persistence.codec import Encoder, UnsavableError, decode
from skdpnet.persistence.model_file import read, write
from skdpnet.persistence.parameters import (
    check_added_attributes,
    check_saved_parameters,
)
from skdpnet.utils.devices import resolve_device

__all__ = ["load", "save"]

# Attributes that an estimator may have besides `_fitted_attributes`: they depend on the
# data, on `set_output`, or on the user.
_OPTIONAL_ATTRIBUTES = (
    *("n_features_in_", "feature_names_in_", "_sklearn_output_config"),
    *("notes_", "part_names_"),
)
# Parameters that describe the computer, not the model.
_UNSAVED_PARAMETERS = ("device", "memory")


def save(estimator: Any, path: str | os.PathLike) -> None:
    """Save a fitted estimator; see `MapEstimator.save`, which calls this.

    Parameters
    ----------
    estimator : MapEstimator
    path : str or path

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError, TypeError, OSError
        As `MapEstimator.save`.
    """
    name = type(estimator).__name__
    if name in skdpnet.ESTIMATORS and type(estimator) is not getattr(skdpnet, name):
        raise TypeError(
            f"{type(estimator).__qualname__} of {type(estimator).__module__} cannot be "
            f"saved: load would take it for skdpnet.{name}. Give the class another "
            "name."
        )
    state = estimator._get_fitted_state()
    encode = Encoder()
    saved = {
        key: os.fsdecode(value) if isinstance(value, os.PathLike) else value
        for key, value in estimator.get_params(deep=False).items()
        if key not in _UNSAVED_PARAMETERS
    }
    parameters = {
        key: _encode_parameter(encode, key, value) for key, value in saved.items()
    }
    state |= {
        key: getattr(estimator, key)
        for key in _OPTIONAL_ATTRIBUTES
        if hasattr(estimator, key)
    }
    fitted = {
        key: _encode_attribute(encode, key, value) for key, value in state.items()
    }
    try:
        # What load would refuse is not written.
        _check(estimator, saved, state)
    except Exception as error:
        raise ValueError(
            f"this {name} cannot be saved: {_reason(error)}. Parameters can be set to "
            "others, set_params(...); fitted attributes stay as they are."
        ) from error
    metadata = {
        "skdpnet_version": version("skdpnet"),
        "class": name,
        "parameters": json.dumps(parameters, allow_nan=False),
        "fitted": json.dumps(fitted, allow_nan=False),
    }
    if estimator._network is not None:
        network = _encode_attribute(encode, "network", estimator._network.to_state())
        metadata["network"] = json.dumps(network, allow_nan=False)
    elif (size := _usual_size(estimator.backbone)) is not None:
        metadata["usual_size"] = str(size)
    write(path, metadata, encode.tensors)


def load(
    path: str | os.PathLike,
    backbone: str | Callable | None = None,
    memory: str | os.PathLike | None = None,
    device: str = "auto",
    estimators: Sequence[type] = (),
    weights: str | os.PathLike | None = None,
) -> Any:
    """Load an estimator from a file that its `save` wrote.

    Its predictions, descriptors and regions are those of the saved estimator, bit for
    bit on the same machine. Loading runs and unpickles nothing in the file, so that a
    file from a stranger may be wrong but cannot do harm.

    The file records the network. Before the first maps of images, a
    `skdpnet.exceptions.DifferentNetworkWarning` says if the network computes others
    than then: if its weights are others, for instance.

    Parameters
    ----------
    path : str or path
    backbone : str, torch.nn.Module or callable, default=None
        Backbone that replaces the saved name, for networks that cannot be named; see
        `FeatureMaps`. It must be the network that the model was fitted with.
    memory : str or path, default=None
        Folder that keeps feature maps. It is not saved with a model.
    device : str, default="auto"
        Device on which backbone and parts are computed. It is not saved with a model.
    estimators : sequence of classes, default=()
        Estimator classes from outside this package that the file may hold.
    weights : str or path, default=None
        File with the weights of the backbone, in place of the path that the model was
        fitted with. None: that path, unless `backbone` is passed.

    Returns
    -------
    estimator
        A fitted estimator of the class that was saved. Its ``history_`` has the epochs
        without their batches, and `partial_fit` continues from the saved parts and
        classifier with a new optimiser.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or if it is a folder.
    skdpnet.exceptions.ModelFileError
        If the file is damaged, is not a model file, holds attributes that contradict
        one another, names an unknown class, or has another format version. It is a
        ValueError.
    ValueError
        If this computer does not have the device.
    skdpnet.exceptions.BackboneUnavailableError
        If there is no file of weights.

    See Also
    --------
    DPNetClassifier.save : Save a fitted estimator.

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
    ...     loaded = skdpnet.load(Path(folder) / "iris.safetensors")
    >>> bool((loaded.decision_function(X) == model.decision_function(X)).all())
    True
    """
    resolve_device(device)
    metadata, tensors = read(path)
    name = metadata.get("class", "")
    writer = metadata.get("skdpnet_version", "")[:20]
    cls = _find_class(name, estimators)
    if cls is None:
        raise ModelFileError(
            f"{os.fspath(path)} holds an estimator of the unknown class {name[:80]!r}, "
            f"saved by skdpnet {writer!r}. Known: {', '.join(skdpnet.ESTIMATORS)}. "
            "Upgrade skdpnet if it has the class, or pass a class of yours: "
            "load(path, estimators=[MyEstimator])."
        )
    try:
        added = {
            key: value
            for key, value in cls._added_parameters.items()
            if key in cls._get_param_names()
        }
        saved = {
            key: value
            for key, value in _decode_each(metadata["parameters"], tensors).items()
            if key not in (*cls._former_parameters, *_UNSAVED_PARAMETERS)
        }
        parameters = added | saved
        state = _decode_each(metadata["fitted"], tensors)
        parameters |= {"memory": memory, "device": device}
        network = None
        if "network" in metadata:
            tree = json.loads(metadata["network"])
            network = NetworkRecord.from_state(decode(tree, tensors))
        elif parameters.get("image_size", 0) is None:
            parameters["image_size"] = _size_then(metadata, parameters.get("backbone"))
        if backbone is not None:
            parameters["backbone"] = backbone
        if weights is not None or (backbone is not None and "weights" in parameters):
            parameters["weights"] = weights
        lacking = {*cls._fitted_attributes} - state.keys()
        if lacking:
            raise ValueError(f"{', '.join(sorted(lacking))} is missing")
        estimator = cls(**parameters)
        _check(estimator, saved, state)
        estimator._set_fitted_state(state)
        if network is not None:
            estimator._network = network
        for key in _OPTIONAL_ATTRIBUTES:
            if key in state:
                setattr(estimator, key, state[key])
    except Exception as error:
        # A forged file can raise almost any exception.
        raise ModelFileError(
            f"{os.fspath(path)}, saved by skdpnet {writer!r}, holds no {name} that "
            f"skdpnet {version('skdpnet')} can use: {_reason(error)}. Save the model "
            "again, or upgrade skdpnet if the file was saved by a newer version."
        ) from error
    if parameters.get("weights") is not None:
        file_version(parameters["weights"])
    return estimator


def _check(estimator: Any, parameters: dict[str, Any], state: dict[str, Any]) -> None:
    """Check what a file says of an estimator, before its attributes are set."""
    check_saved_parameters(estimator, parameters)
    check_added_attributes(state)
    estimator._check_fitted_state(state)


def _find_class(name: str, estimators: Sequence[type]) -> Any:
    """Return the estimator class with a name, or None; nothing is imported by name."""
    if name in skdpnet.ESTIMATORS:
        return getattr(skdpnet, name)
    return next((cls for cls in estimators if cls.__name__ == name), None)


def _usual_size(backbone: Any) -> int | None:
    """Return the usual image size of a network whose usual size has changed once."""
    is_lite = isinstance(backbone, str) and backbone in EFFICIENTNET_LITE
    return EFFICIENTNET_LITE[backbone].image_size if is_lite else None


def _size_then(metadata: dict[str, str], backbone: Any) -> int | None:
    """Return the image size of a model that was saved with the usual one.

    None: it is the usual size still. Files with a record of the network have the size
    there.
    """
    now = _usual_size(backbone)
    if now is None:
        return None
    former = EFFICIENTNET_LITE[backbone].former_size
    then = int(metadata.get("usual_size", former))
    return None if then == now else then


def _encode_parameter(encode: Encoder, name: str, value: Any) -> Any:
    if name == "backbone" and not isinstance(value, str):
        raise ValueError(
            f"a backbone that is an object ({type(value).__name__}) cannot be saved, "
            "only a name. Replace it by one, set_params(backbone='my network'), save, "
            "and pass the object again when loading: load(path, backbone=module)."
        )
    try:
        return encode(value, f"parameters.{name}")
    except UnsavableError as error:
        raise ValueError(
            f"the parameter {name} cannot be saved: {error}. Set it to numbers, text, "
            f"lists, dicts or arrays, or set_params({name}=None); fitted attributes "
            "stay as they are."
        ) from error


def _encode_attribute(encode: Encoder, name: str, value: Any) -> Any:
    try:
        return encode(value, name)
    except UnsavableError as error:
        raise ValueError(f"{name} cannot be saved: {error}.") from error


def _decode_each(text: str, tensors: dict) -> dict[str, Any]:
    return {key: decode(tree, tensors) for key, tree in json.loads(text).items()}


def _reason(error: Exception) -> str:
    """Return what an error says, short enough for a message."""
    text = (
        str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    )
    return text.rstrip(".")[:300]
