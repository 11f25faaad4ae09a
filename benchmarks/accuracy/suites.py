"""Lists of settings to measure, each as the changes from the default settings."""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator

from skdpnet import DPNetTransformer

__all__ = [
    "REGION_SETTINGS",
    "ablation",
    "add_weight_options",
    "constraints",
    "read_changes",
]

# Settings that all methods with regions share, so that they see the same regions.
REGION_SETTINGS = {"strides", "region_scales"}
# Chosen on training images that were held out of flowers17 and birds27, with the other
# settings at their defaults: each lowers its own term by more than a tenth there, and
# costs no more than half a point of accuracy (results/constraint_weights.jsonl).
_WEIGHTS = {"orthogonality": 0.1, "assignment": 1.0, "specificity": 0.03}


def ablation() -> list[tuple[str, dict]]:
    """Return changes of single settings, which show the effect of each default.

    Returns
    -------
    list of (str, dict)
        Method, ``"parts"`` or ``"global"``, and the changed settings.
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
    """Return the eight subsets of the three constraints, in the paper's order.

    Parameters
    ----------
    orthogonality, assignment, specificity : float
        Weight of each constraint where it is used.

    Returns
    -------
    dict of str to dict
        Changed settings by the paper's name of the subset. Those without CS set its
        weight to 0, as the default settings have this constraint.
    """
    settings = {
        "⊥": {"orthogonality_weight": orthogonality},
        "A": {"assignment_weight": assignment},
        "CS": {"specificity_weight": specificity},
    }
    subsets = {
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
        name: {
            "specificity_weight": 0.0,
            **{
                setting: weight
                for constraint in subset
                for setting, weight in settings[constraint].items()
            },
        }
        for name, subset in subsets.items()
    }


def add_weight_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for the weight of each constraint to a parser.

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
            help=f"weight of the {name} constraint where it is used "
            "(default: %(default)s)",
        )


def read_changes(texts: list[str]) -> Iterator[tuple[str, object]]:
    """Parse the changes of settings of the command line.

    Parameters
    ----------
    texts : list of str
        Changes as NAME=VALUE, where the value is a Python literal.

    Yields
    ------
    (str, object)
        Name and value of a setting.

    Raises
    ------
    ValueError
        If a text is not of this form; the message names it.
    """
    for text in texts:
        name, _, value = text.partition("=")
        try:
            setting = ast.literal_eval(value)
            json.dumps(setting)
        except (ValueError, SyntaxError, TypeError) as error:
            raise ValueError(
                f"--set {text!r} is not NAME=VALUE with a value such as 20, None, "
                "(16, 32) or 'resnet50', quotes included"
            ) from error
        yield name, setting
