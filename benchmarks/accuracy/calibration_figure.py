"""Reliability diagrams of the probabilities that `calibration` measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binom

from benchmarks.accuracy.calibration_measures import Bins
from benchmarks.accuracy.calibration_table import by_image_set, image_set

__all__ = ["draw"]

# Colours of Okabe and Ito's palette, which colour-blind readers can distinguish.
_BLUE, _SKY = "#0072B2", "#56B4E9"
_GREY = "#BBBBBB"
_SIDE = 3.0
_LARGEST_MARKER = 90.0
_SMALLEST_MARKER = 8.0


def draw(lines: Sequence[dict], method: str, path: Path) -> None:
    """Draw a diagram for each set of images, as a PNG.

    Parameters
    ----------
    lines : sequence of dict
        The lines of the output file of `calibration`. The images of all seeds of a set
        are in one diagram.
    method : str
        The method whose probabilities are shown.
    path : Path
        The PNG file to write.

    Raises
    ------
    ValueError
        If there is no measurement of this method.
    """
    sets = by_image_set([line for line in lines if line["method"] == method])
    if not sets:
        raise ValueError(f"there is no measurement of {method!r}")
    n_columns = ceil(sqrt(len(sets)))
    n_rows = ceil(len(sets) / n_columns)
    # Not pyplot: it would choose a backend, which may fail without a display.
    figure = Figure(
        figsize=(_SIDE * n_columns + 0.3, (_SIDE + 0.4) * n_rows + 0.9),
        layout="constrained",
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, runs in zip(grid, sets, strict=False):
        _diagram(ax, runs)
    for ax in grid[len(sets) :]:
        ax.set_axis_off()
    for ax in grid[: len(sets) : n_columns]:
        ax.set_ylabel("accuracy, share of images")
    for column in range(min(n_columns, len(sets))):
        lowest = max(range(column, len(sets), n_columns))
        grid[lowest].set_xlabel("confidence")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(n_columns, 2),
        frameon=False,
        fontsize=8.5,
    )
    figure.savefig(path, format="png", dpi=150)


def _diagram(ax: Axes, runs: list[dict]) -> None:
    bins = Bins(
        *(np.sum([run["bins"][name] for run in runs], axis=0) for name in Bins._fields)
    )
    n_bins = len(bins.counts)
    share = bins.counts / bins.counts.sum()
    edges = np.arange(n_bins) / n_bins
    ax.bar(
        edges, share, 1 / n_bins, align="edge", color=_GREY, alpha=0.6, zorder=1,
        edgecolor="white", linewidth=0.5, label="share of the images in the bin",
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], "--", color="black", linewidth=0.8, zorder=2,
            label="perfectly calibrated")  # fmt: skip
    used = bins.counts > 0
    confidence, accuracy = (
        total[used] / bins.counts[used] for total in (bins.confidence, bins.correct)
    )
    # The images of all seeds are the same ones, so that seeds add no certainty.
    n = np.maximum(np.rint(bins.counts[used] / len(runs)), 1)
    low, high = (bound / n for bound in binom.interval(0.95, n, confidence))
    ax.vlines(
        confidence, low, high, color=_SKY, alpha=0.45, linewidth=4, zorder=2,
        label="where 95 % of calibrated models would be",
    )  # fmt: skip
    size = np.maximum(_LARGEST_MARKER * share[used] / share.max(), _SMALLEST_MARKER)
    ax.scatter(
        confidence, accuracy, s=size, color=_BLUE, edgecolors="black", linewidths=0.5,
        zorder=3, clip_on=False, label="DP-Net; larger where more images are",
    )  # fmt: skip
    error, chance, right, sure = (
        100 * statistics.mean(run[key] for run in runs)
        for key in ("error", "error_of_calibrated", "accuracy", "confidence")
    )
    ax.set_title(image_set(runs[0]), fontsize=9, fontweight="bold", pad=32)
    ax.text(
        0.5, 1.03,
        f"accuracy {right:.1f} %, confidence {sure:.1f} %\n"
        f"calibration error {error:.1f} points, by chance {chance:.1f}",
        transform=ax.transAxes, ha="center", va="bottom", fontsize=8.5,
    )  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
