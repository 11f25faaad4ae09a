"""A figure of the accuracies that `global_vs_parts` measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.accuracy.table import percent
from benchmarks.records import pixels_of

__all__ = ["draw"]

# Colours of Okabe and Ito's palette, which colour-blind readers can distinguish.
_BLUE, _ORANGE = "#0072B2", "#E69F00"


def draw(result: dict, path: Path) -> None:
    """Draw the accuracy with each seed, its mean and standard deviation, as a PNG.

    Parameters
    ----------
    result : dict
        Content of a results file.
    path : Path
        The PNG file to write.
    """
    methods = result["methods"]
    # Not pyplot: it would choose a backend, which may fail without a display.
    figure = Figure(figsize=(7.5, 0.6 * len(methods) + 1.6), layout="constrained")
    ax = figure.add_subplot()
    for row, method in enumerate(methods):
        accuracies = 100 * np.array([run["accuracy"] for run in method["runs"]])
        # Shifted, since equal accuracies would hide each other on one line.
        shifts = 0.12 * (np.arange(len(accuracies)) - (len(accuracies) - 1) / 2)
        ax.scatter(
            accuracies,
            row + np.clip(shifts, -0.3, 0.3),
            s=22,
            color=_ORANGE,
            edgecolors="black",
            linewidths=0.5,
            zorder=3,
            label="one seed" if row == 0 else None,
        )
        ax.errorbar(
            100 * method["accuracy_mean"],
            row,
            xerr=None if len(accuracies) < 2 else 100 * method["accuracy_std"],
            fmt="|",
            markersize=22,
            markeredgewidth=2.5,
            color=_BLUE,
            capsize=5,
            zorder=2,
            label="mean ± standard deviation" if row == 0 else None,
        )
        ax.annotate(
            percent(method),
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=_BLUE,
        )
    ax.set_yticks(range(len(methods)), [method["name"] for method in methods])
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.set_xlabel("accuracy on the test images, %")
    ax.grid(axis="x", alpha=0.4)
    ax.spines[["top", "right"]].set_visible(False)
    seen = pixels_of(result)
    ax.set_title(f"{result['data']['name']}, {result['backbone']}\n{seen}")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, format="png", dpi=150)
