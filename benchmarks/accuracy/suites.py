"""Lists of settings to measure: each is what it changes from the defaults."""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator

from skdpnet import DPNetTransformer

__all__ = [
    "OF_REGIONS",
    "ablation",
    "add_weight_options",
    "constraints",
    "read_changes",
]

# Settings that all methods with regions share, lest one see more than another.
OF_REGIONS = {"strides", "region_scales"}
_WEIGHTS = {"orthogonality": 1.0, "assignment": 0.1, "specificity": 0.1}


def ablation() -> list[tuple[str, dict]]:
    """List the changes that show what each default is worth.

    Returns
    -------
    list of (str, dict)
        Method, ``"parts"`` or ``"global"``, and the settings that are changed.
    """
    changes: list[dict] = [
        {},
        {"strides": None},
        {"strides": (32,)},
        {"strides": (16,)},
        {"n_parts_per_class": 10},
        {"n_parts_per_class": 40},
        {"beta": 10},
        {"beta": None},
        {"n_components": None},
        {"region_scales": (0.15,)},
        {"region_scales": (0.15, 0.3, 0.45, 1.0)},
        {"max_epochs": 0},
        {"ridge": 0.01, "lr": 0.01},
        {"dropout": 0},
    ]
    same_maps = {"strides": DPNetTransformer().strides}
    return [
        ("global", {}),
        ("global", same_maps),
        *(("parts", change) for change in changes),
    ]


def constraints(
    orthogonality: float, assignment: float, specificity: float
) -> dict[str, dict]:
    """List the eight choices among the three constraints, in the paper's order.

    Parameters
    ----------
    orthogonality, assignment, specificity : float
        Weight of each where it is on.

    Returns
    -------
    dict of str to dict
        The paper's name of a choice -> the settings that are changed.
    """
    on = {
        "⊥": {"orthogonality_weight": orthogonality},
        "A": {"assignment_weight": assignment},
        "CS": {"specificity_weight": specificity},
    }
    chosen = {
        "without": (),
        "⊥": ("⊥",),
        "A": ("A",),
        "CS": ("CS",),
        "⊥ + A": ("⊥", "A"),
        "CS + ⊥": ("CS", "⊥"),
        "CS + A": ("CS", "A"),
        "all": ("⊥", "A", "CS"),
    }
    return {
        name: {key: weight for one in some for key, weight in on[one].items()}
        for name, some in chosen.items()
    }


def add_weight_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for the weight of each constraint.

    Parameters
    ----------
    parser : ArgumentParser
    """
    for name, weight in _WEIGHTS.items():
        parser.add_argument(
            f"--{name}-weight",
            type=float,
            default=weight,
            metavar="W",
            help=f"of the {name} constraint where it is on (default: %(default)s)",
        )


def read_changes(texts: list[str]) -> Iterator[tuple[str, object]]:
    """Read changes of settings off the command line.

    Parameters
    ----------
    texts : list of str
        Each NAME=VALUE, with the value as Python writes it.

    Yields
    ------
    (str, value)

    Raises
    ------
    ValueError
        Names the first that is something else.
    """
    for text in texts:
        name, _, value = text.partition("=")
        try:
            changed = ast.literal_eval(value)
            json.dumps(changed)
        except (ValueError, SyntaxError, TypeError) as error:
            raise ValueError(
                f"--set {text!r} is not NAME=VALUE with a value such as 20, None, "
                "(16, 32) or 'resnet50', quotes included"
            ) from error
        yield name, changed
