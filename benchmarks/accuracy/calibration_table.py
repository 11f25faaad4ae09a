"""Markdown tables of the measurements of `calibration`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence

from benchmarks.accuracy.table import spread

__all__ = ["by_image_set", "image_set", "markdown"]

_NOTE = (
    "Mean ± standard deviation over the seeds. Calibration error: mean difference of "
    "confidence and accuracy over 15 bins of the confidence, weighted by their images; "
    "by chance: what it would be if each image were classified correctly with exactly "
    "its confidence as probability. NLL: mean of −log p of the true class; best NLL: "
    "with the temperature that is best for these images in hindsight; ratio: mean over "
    "the seeds of NLL / best NLL."
)


def by_image_set(lines: Sequence[dict]) -> list[list[dict]]:
    """Sort measurements by what they were trained and measured on.

    Parameters
    ----------
    lines : sequence of dict
        The lines of the output file of `calibration`.

    Returns
    -------
    list of list of dict
    """
    sets: dict[str, list[dict]] = {}
    for line in lines:
        names = ("data", "split", "per_class", "image_size")
        sets.setdefault(json.dumps([line[name] for name in names]), []).append(line)
    return list(sets.values())


def image_set(line: dict) -> str:
    """Return a short name of what a measurement was trained on.

    Parameters
    ----------
    line : dict

    Returns
    -------
    str
    """
    few = line["per_class"]
    return line["data"] + (f", {few} training images a class" if few else "")


def markdown(lines: Sequence[dict]) -> str:
    """Return measurements as Markdown tables, one for each set of images.

    Parameters
    ----------
    lines : sequence of dict
        The lines of the output file of `calibration`.

    Returns
    -------
    str
    """
    return "\n\n".join([*map(_table, by_image_set(lines)), _NOTE])


def _table(lines: list[dict]) -> str:
    first, size = lines[0], lines[0]["image_size"]
    # In the order in which the methods are first seen.
    methods: dict[str, list[dict]] = {}
    for line in lines:
        methods.setdefault(line["method"], []).append(line)
    seeds = sorted({line["seed"] for line in lines})
    rows = [
        f"{image_set(first)}: {first['n_train']} training images, measured on "
        f"{first['n_test']} images of {first['n_classes']} classes ({first['split']}), "
        f"{size} × {size} pixels; seeds {', '.join(map(str, seeds))}.",
        "",
        "| method | accuracy, % | confidence − accuracy, points | calibration error, "
        "points | by chance | NLL | best NLL | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in methods.items():
        column = {key: [run[key] for run in runs] for key in runs[0]}
        nll, best, ratio = (
            statistics.mean(column[key]) for key in ("nll", "nll_best", "nll_ratio")
        )
        cells = [
            name,
            spread(column["accuracy"]),
            spread(column["overconfidence"], signed=True),
            spread(column["error"]),
            f"{100 * statistics.mean(column['error_of_calibrated']):.1f}",
            f"{nll:.3f}",
            f"{best:.3f}",
            f"{ratio:.2f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
