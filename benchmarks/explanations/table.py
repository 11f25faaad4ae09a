"""Markdown tables of measured explanations."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from benchmarks.records import pixels_of

__all__ = ["COLUMNS", "markdown"]

_WEIGHTS = ("orthogonality_weight", "assignment_weight", "specificity_weight")

# Heading, factor and digits of each measure. Arrows show whether more is better.
COLUMNS: Mapping[str, tuple[str, float, int]] = {
    "accuracy": ("accuracy, % ↑", 100, 1),
    "top part": ("top part on a telling part, % ↑", 100, 1),
    "peak": ("heat map's maximum on one, % ↑", 100, 1),
    "inside": ("top part on the object, % ↑", 100, 1),
    "purity": ("purity, % ↑", 100, 1),
    "consistency": ("consistent, % ↑", 100, 1),
    "stability": ("stable, % ↑", 100, 1),
    "deletion": ("deletion, % ↓", 100, 1),
    "insertion": ("insertion, % ↑", 100, 1),
    "deletion, kept": ("class kept in deletion, % ↓", 100, 1),
    "insertion, kept": ("class kept in insertion, % ↑", 100, 1),
    "response drop": ("response drop, % ↑", 100, 1),
    "present": ("evidence of present parts, % ↑", 100, 1),
    "parts of 80 %": ("parts of 80 % of it ↓", 1, 1),
    "keep": ("parts that keep ↓", 1, 1),
    "flip": ("parts that flip ↓", 1, 1),
    "redundancy": ("mean cosine ↓", 1, 3),
    "closest pair": ("largest cosine ↓", 1, 2),
}
_NOTE = (
    "Mean ± standard deviation over the seeds; in brackets the mean of the same "
    "measure by chance: of a guess, of random regions, of pixels or parts in random "
    "order, or of random parts. ↑: more is better; ↓: less is. Deletion and insertion: "
    "area under the mean score of the predicted class, rescaled to 0 % for the blurred "
    "images and 100 % for the whole images; class kept: area under the share of images "
    "whose prediction is that of the whole image. Response drop: share of the top "
    "part's response that is lost when its region is blurred. Evidence: the positive "
    "contributions to right decisions. Parts that keep, and "
    "flip, a decision: medians over the test images. Cosines: absolute values, of "
    "pairs of different parts."
)


def markdown(
    rows: list[dict],
    columns: Mapping[str, tuple[str, float, int]] = COLUMNS,
    note: str = _NOTE,
) -> str:
    """Return measurements as Markdown tables, one for each data set.

    Parameters
    ----------
    rows : list of dict
        The rows of the results file.
    columns : mapping of str to tuple
        Heading, factor and digits of each measure.
    note : str
        The text below the tables.

    Returns
    -------
    str
        A table has a column for each measure that a row of its data set has.
    """
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(_caption(row), []).append(row)
    tables = [_table(caption, group, columns) for caption, group in groups.items()]
    return "\n\n".join([*tables, note])


def _caption(row: dict) -> str:
    steps = f", in {row['n_steps']} steps" if "n_steps" in row else ""
    return (
        f"{row['data']}: {row['n_train']} training and {row['n_test']} test images, "
        f"{pixels_of(row)}; {row['n_perturbed']} of the test images changed"
        f"{steps}."
    )


def _table(caption: str, rows: list[dict], columns) -> str:
    models: dict[str, list[dict]] = {}
    for row in rows:
        models.setdefault(_name(row), []).append(row)
    shown = [key for key in columns if any(key in row["measures"] for row in rows)]
    lines = [caption, ""]
    lines.append("| model | " + " | ".join(columns[key][0] for key in shown) + " |")
    lines.append("| --- |" + " ---: |" * len(shown))
    for name, runs in models.items():
        cells = [_cell(key, runs, *columns[key][1:]) for key in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(key: str, runs: list[dict], factor: float, digits: int) -> str:
    pairs = [run["measures"][key] for run in runs if key in run["measures"]]
    if not pairs:
        return "–"
    values = [factor * pair["value"] for pair in pairs]
    text = f"{statistics.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    # Not every measure has a value by chance.
    chances = [factor * pair["chance"] for pair in pairs if "chance" in pair]
    return f"{text} ({statistics.mean(chances):.{digits}f})" if chances else text


def _name(row: dict) -> str:
    """Return a model's name: its method, constraints and other changes."""
    names = [row["method"]]
    if row["constraints"] == "without":
        names.append("without constraints")
    elif row["constraints"]:
        names.append(row["constraints"])
    others = {k: v for k, v in row["changes"].items() if k not in _WEIGHTS}
    if others:
        names.append("`" + " ".join(f"{k}={v}" for k, v in others.items()) + "`")
    return ", ".join(names)
