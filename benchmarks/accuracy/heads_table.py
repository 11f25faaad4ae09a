"""The tables and the figure of the comparison of heads.

    python -m benchmarks.accuracy.heads_table benchmarks/results/heads_*_288.jsonl

Prints Markdown; with ``--figure``, draws accuracy against purity too.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accuracy.heads_measures import difference
from benchmarks.accuracy.heads_methods import DPNET, HEADS, N_PER_CLASS
from benchmarks.records import read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_table", "curve_table", "main", "meaning_table"]

# Colours of Okabe and Ito's palette, which colour-blind readers can distinguish.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
# The area of a point for each second, in (1/72 inch)².
_AREA_OF_SECOND = 12
# How far below or above its point a name may be, in points of 1/72 inch.
_HEIGHTS = (0, 8, -8, 16, -16, 24, -24)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw the figure.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--figure", type=Path, metavar="PNG")
    args = parser.parse_args(arguments)
    sets = {path.stem.removeprefix("heads_"): read_lines(path) for path in args.files}
    print(accuracy_table(sets), end="\n\n")
    for name, lines in sets.items():
        if any("purity" in line for line in lines):
            print(f"{name}\n\n{meaning_table(lines)}", end="\n\n")
            if args.figure:
                draw(lines, args.figure)
    print(curve_table(sets))


def accuracy_table(sets: dict[str, list[dict]]) -> str:
    """Return accuracies, and differences from DP-Net, as a Markdown table.

    Parameters
    ----------
    sets : dict of str to list of dict
        The lines of each set.

    Returns
    -------
    str
        Means and standard deviations over the seeds; below, the difference from DP-Net
        with its 95 % interval over draws of the test images. Methods that no set has
        are left out.
    """
    rows = [
        "| method | " + " | ".join(sets) + " |",
        "| --- |" + " ---: |" * len(sets),
    ]
    for name in HEADS:
        cells = []
        for lines in sets.values():
            runs, reference = _usual(lines, name), _usual(lines, DPNET)
            if not runs:
                cells.append("–")
                continue
            cell = _spread([100 * run["accuracy"] for run in runs])
            if reference and name != DPNET:
                mean, low, high = difference(
                    [run["correct"] for run in runs],
                    [run["correct"] for run in reference],
                )
                cell += f"<br>{100 * mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            cells.append(cell)
        if set(cells) != {"–"}:
            rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def meaning_table(lines: list[dict]) -> str:
    """Return what parts mean and what decisions rest on as a Markdown table.

    Parameters
    ----------
    lines : list of dict
        Of a set with annotated parts.

    Returns
    -------
    str
        Means over the seeds.
    """
    columns = {
        "accuracy, %": lambda run: 100 * run["accuracy"],
        "calibration error": lambda run: run.get("calibration_error"),
        "fit, CPU s": lambda run: run["fit_cpu_seconds"],
        "parts": lambda run: run.get("parts"),
        "with a weight": lambda run: run.get("weighted"),
        "in a decision": lambda run: run.get("in_decision"),
        **{
            name: lambda run, name=name: run[name][0] if name in run else None
            for name in (
                *("purity", "consistency", "stability", "pointing", "deletion", "box"),
            )
        },
        "redundancy": lambda run: run.get("redundancy"),
    }
    rows = ["| method | " + " | ".join(columns) + " |"]
    rows.append("| --- |" + " ---: |" * len(columns))
    for name in HEADS:
        runs = _usual(lines, name)
        if not runs:
            continue
        cells = [_mean([read(run) for run in runs]) for read in columns.values()]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    chance = [line for line in lines if "purity" in line]
    cells = [
        _mean([line[name][1] for line in chance if name in line])
        for name in (
            *["-"] * 6,
            *("purity", "consistency", "stability", "pointing", "deletion", "box", "-"),
        )
    ]
    rows.append("| *by chance* | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def curve_table(sets: dict[str, list[dict]]) -> str:
    """Return accuracies with other numbers of parts of a class, seed 0, as Markdown.

    Parameters
    ----------
    sets : dict of str to list of dict

    Returns
    -------
    str
    """
    numbers = sorted(
        {line["n_per_class"] for lines in sets.values() for line in lines} - {None}
    )
    heads = [f"{name}, {n}" for name in sets for n in numbers]
    rows = ["| method | " + " | ".join(heads) + " |"]
    rows.append("| --- |" + " ---: |" * len(heads))
    for name, head in HEADS.items():
        if head.number is None:
            continue
        cells = [
            _mean(
                [
                    100 * line["accuracy"]
                    for line in lines
                    if (line["method"], line["n_per_class"], line["seed"])
                    == (name, n, 0)
                ]
            )
            for lines in sets.values()
            for n in numbers
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def draw(lines: list[dict], path: Path) -> None:
    """Draw accuracy against purity, with processor seconds as the area, as a PNG.

    Parameters
    ----------
    lines : list of dict
        Of a set with annotated parts.
    path : Path
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.add_subplot()
    named = [(name, _usual(lines, name)) for name in HEADS]
    with_parts = [(name, runs) for name, runs in named if runs and "purity" in runs[0]]
    points = [
        (statistics.mean(run["purity"][0] for run in runs), _accuracy(runs))
        for _, runs in with_parts
    ]
    labels, radii = [], []
    for i, ((name, runs), (purity, accuracy)) in enumerate(
        zip(with_parts, points, strict=True)
    ):
        seconds = statistics.mean(run["fit_cpu_seconds"] for run in runs)
        colour = _COLOURS[i % len(_COLOURS)]
        radii.append(math.sqrt(_AREA_OF_SECOND * seconds) / 2)
        labels.append(f"{name.removesuffix(' + SVM')}, {seconds:.0f} s")
        axes.scatter(
            purity,
            accuracy,
            s=_AREA_OF_SECOND * seconds,
            color=colour,
            edgecolors="black",
            alpha=0.8,
            zorder=3,
        )
    chance = statistics.mean(line["purity"][1] for line in lines if "purity" in line)
    axes.axvline(chance, color="0.4", linestyle=":", linewidth=1)
    axes.annotate("purity by chance", (chance, 0.02), (3, 0), rotation=90,
                  xycoords=("data", "axes fraction"), textcoords="offset points",
                  fontsize=9, color="0.3")  # fmt: skip
    best = max(
        (_accuracy(runs), name)
        for name, runs in named
        if runs and not HEADS[name].has_parts
    )
    axes.axhline(best[0], color="0.4", linestyle="--", linewidth=1)
    axes.annotate(best[1], (0.99, best[0]), (0, -11), ha="right", fontsize=9,
                  xycoords=("axes fraction", "data"), textcoords="offset points",
                  color="0.3")  # fmt: skip
    axes.set_xlabel("purity of the parts: share of their regions with one bird part")
    axes.set_ylabel("accuracy on test images, %")
    axes.margins(x=0.38, y=0.12)
    axes.set_xlim(left=0)
    axes.set_title(
        "Area and number: processor seconds of a fit from cached maps", fontsize=10
    )
    figure.draw_without_rendering()
    _name_points(axes, points, labels, radii)
    figure.savefig(path, dpi=150)


def _name_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    radii: Sequence[float],
) -> None:
    """Write names beside points of these radii, where they cover little."""
    from matplotlib.transforms import Bbox

    scale = axes.figure.dpi / 72
    at = axes.transData.transform(points)
    markers = [
        Bbox([place - scale * radius, place + scale * radius])
        for place, radius in zip(at, radii, strict=True)
    ]
    taken = [text.get_window_extent() for text in axes.texts]
    for number, label in enumerate(labels):
        others = [*taken, *markers[:number], *markers[number + 1 :]]
        texts = {
            axes.annotate(
                label,
                points[number],
                (side * (radii[number] + 3), height),
                textcoords="offset points",
                fontsize=9,
                ha="left" if side > 0 else "right",
                va="center",
            ): abs(height) / 100
            for height in _HEIGHTS
            for side in (1, -1)
        }
        for text in texts:
            box = text.get_window_extent()
            texts[text] += box.count_overlaps(others)
            texts[text] += box.x0 < axes.bbox.x0 or box.x1 > axes.bbox.x1
        best = min(texts, key=texts.__getitem__)
        taken.append(best.get_window_extent())
        for text in texts:
            if text is not best:
                text.remove()


def _accuracy(runs: list[dict]) -> float:
    return 100 * statistics.mean(run["accuracy"] for run in runs)


def _usual(lines: list[dict], name: str) -> list[dict]:
    """Return the lines of a method with the usual number of parts."""
    return [
        line
        for line in lines
        if line["method"] == name and line["n_per_class"] in (None, N_PER_CLASS)
    ]


def _spread(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _mean(values: list) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    mean = statistics.mean(numbers)
    return f"{mean:.0f}" if mean >= 100 else f"{mean:.3g}"


if __name__ == "__main__":
    main()
