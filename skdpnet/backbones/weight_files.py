"""Weights of named networks from files of the user."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from skdpnet.exceptions import BackboneUnavailableError

__all__ = ["FileVersion", "file_version", "load_weights", "read_weights"]

# Of a file: what changes with its content, as far as the file system knows.
FileVersion = tuple[str, tuple[int, ...]]

# The keys under which checkpoints keep the state dict beside other things.
_STATE_KEYS = ("state_dict", "model")
# What DataParallel adds to all names.
_PARALLEL = "module."
# A buffer that files of early versions of torch lack, and that changes no map.
_UNUSED = "num_batches_tracked"
# Number of names that a message lists.
_MOST_LISTED = 4


def file_version(path: str | os.PathLike) -> FileVersion:
    """Find a file of weights, and tell its version from earlier ones.

    Parameters
    ----------
    path : str or path
        A leading ``~`` stands for the home directory.

    Returns
    -------
    FileVersion

    Raises
    ------
    BackboneUnavailableError
        If there is no such file, or if it is a folder.
    """
    name = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
    if not os.path.isfile(name):
        problem = "is not a file" if os.path.exists(name) else "does not exist"
        raise BackboneUnavailableError(
            f"the file of weights {os.fsdecode(path)!r} {problem} (looked for as "
            f"{name!r}). Pass its path as weights=; where the estimator comes from a "
            "file, as load(path, weights=PATH)."
        )
    status = os.stat(name)
    times = status.st_mtime_ns, status.st_ctime_ns
    return name, (status.st_size, *times, status.st_ino)


def read_weights(path: str) -> dict[str, torch.Tensor]:
    """Read a state dict, running no code that is in the file.

    Parameters
    ----------
    path : str
        A file of safetensors, if its name ends so; otherwise one that ``torch.save``
        wrote, of a state dict, or of a dict that holds one as ``"state_dict"`` or
        ``"model"``.

    Returns
    -------
    dict of str to tensor
        On the CPU; without the prefix ``module.``, if all names have it.

    Raises
    ------
    BackboneUnavailableError
        If the file cannot be read.
    ValueError
        If it holds no state dict.
    """
    try:
        if path.lower().endswith(".safetensors"):
            from safetensors.torch import load_file

            content: Any = load_file(path, device="cpu")
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        # torch's own message advises to read a file without safeguards.
        raise BackboneUnavailableError(
            f"the file of weights {path!r} is not one that torch.save wrote, or holds "
            "more than tensors and plain values, which are not read because they can "
            "run code. Save the state dict alone, "
            "torch.save(network.state_dict(), path), or as .safetensors."
        ) from error
    except Exception as error:
        # Damaged files raise errors of many kinds.
        raise BackboneUnavailableError(
            f"the file of weights {path!r} cannot be read: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}. It must be a state "
            "dict that torch.save wrote, or a file of safetensors."
        ) from error
    state = _state_dict(content)
    if state is None:
        raise ValueError(
            f"the file of weights {path!r} holds no state dict, whose values are all "
            f"tensors, neither itself nor as {_listed(_STATE_KEYS)}; it holds "
            f"{_described(content)}. Save network.state_dict()."
        )
    if all(name.startswith(_PARALLEL) for name in state):
        return {name.removeprefix(_PARALLEL): state[name] for name in state}
    return state


def load_weights(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    heads: Sequence[str],
    name: str,
    path: str,
) -> None:
    """Load all weights of a network except those of its classifier.

    Parameters
    ----------
    model : torch.nn.Module
        The whole network, with or without its classifier; it is changed.
    weights : mapping of str to tensor
        As from `read_weights`. It may have a classifier of any shape, or none.
    heads : sequence of str
        The names of the layers that are the classifier, which no map depends on.
    name : str
        The backbone's, for messages.
    path : str
        Where the weights come from, for messages.

    Raises
    ------
    ValueError
        If there are other tensors than those of the network, or of other shapes.
    """
    own = _without(model.state_dict(), heads)
    given = _without(weights, heads)
    problems = _differences(own, given)
    if problems:
        converted = _converted(model, weights)
        if converted is not None:
            converted = _without(converted, heads)
            if not _differences(own, converted):
                given, problems = converted, []
    if problems:
        raise ValueError(
            f"the weights in {path!r} are not those of backbone {name!r}: "
            f"{'; '.join(problems)}. Pass the state dict of the whole network, under "
            "the names that its library gives the layers; that of the classifier may "
            "be absent."
        )
    model.load_state_dict(given, strict=False)


def _state_dict(content: Any) -> dict[str, torch.Tensor] | None:
    """Return the state dict that is in a file, None if there is none."""
    if not isinstance(content, Mapping) or not content:
        return None
    if all(isinstance(value, torch.Tensor) for value in content.values()):
        return {str(key): value for key, value in content.items()}
    for key in _STATE_KEYS:
        if isinstance(content.get(key), Mapping):
            return _state_dict(content[key])
    return None


def _without(
    tensors: Mapping[str, torch.Tensor], heads: Sequence[str]
) -> dict[str, torch.Tensor]:
    prefixes = tuple(f"{head}." for head in heads)
    return {key: tensors[key] for key in tensors if not key.startswith(prefixes)}


def _differences(
    own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> list[str]:
    """Say in what tensors of a file differ from those of a network."""
    missing = [k for k in own if k not in given and not k.endswith(_UNUSED)]
    unexpected = [key for key in given if key not in own]
    shapes = [
        f"{key} has the shape {tuple(given[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} of {len(own)} are missing ({_listed(missing)})"
        )
    if unexpected:
        problems.append(f"{len(unexpected)} are unexpected ({_listed(unexpected)})")
    if shapes:
        more = f", and {len(shapes) - 1} more" if len(shapes) > 1 else ""
        problems.append(f"{shapes[0]}{more}")
    return problems


def _converted(
    model: nn.Module, weights: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor] | None:
    """Let timm convert published weights, and position embeddings to another size."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return None
    try:
        return convert(dict(weights), model)
    except Exception:
        # It presumes names that other files lack.
        return None


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(repr, names[:_MOST_LISTED])) + more


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dict of {_listed([str(key) for key in content]) or 'nothing'}"
    return f"an object of type {type(content).__name__}"
