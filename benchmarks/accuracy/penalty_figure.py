"""A table and a figure of what `penalty_weights` measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skdpnet import DPNetClassifier

__all__ = ["PENALTIES", "draw", "markdown"]

PENALTIES = ("orthogonality", "assignment", "specificity")

# Colours of Okabe and Ito's palette, which colour-blind readers can distinguish.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
_MARKERS = "os^Dv"
_FORM = "specificity_form"
# Where the weight 0 is drawn on a logarithmic axis whose least weight is 0.03.
_ZERO = 0.01
_TERM_TITLES = {
    "orthogonality": "orthogonality",
    "assignment": "assignment",
    "specificity": "class specificity",
}


class Curve:
    """The measurements with one penalty that differ in its weight alone.

    Parameters
    ----------
    data : str
    penalty : str
    n_parts : int
    settings : dict of str to object
        Other settings that differ from the defaults, beside the number of parts.

    Attributes
    ----------
    lines : dict of float to list of dict
        The measurements of all seeds by the weight.
    """

    def __init__(self, data: str, penalty: str, n_parts: int, settings: dict):
        self.data, self.penalty = data, penalty
        self.n_parts, self.settings = n_parts, settings
        self.lines: dict[float, list[dict]] = {}

    @property
    def weights(self) -> list[float]:
        """The weights, in ascending order."""
        return sorted(self.lines)

    @property
    def term(self) -> str:
        """The name of the penalty's own term in a measurement."""
        form = self.settings.get(_FORM, DPNetClassifier().specificity_form)
        return f"specificity, {form}" if self.penalty == "specificity" else self.penalty

    def means(self, name: str) -> list[float]:
        """Return the mean of a term over the seeds, for each weight."""
        each = (self.lines[weight] for weight in self.weights)
        return [statistics.mean(line["terms"][name] for line in s) for s in each]

    def accuracies(self) -> list[float]:
        """Return the mean accuracy over the seeds, in per cent, for each weight."""
        each = (self.lines[weight] for weight in self.weights)
        return [100 * statistics.mean(line["accuracy"] for line in s) for s in each]


def curves(lines: Iterable[dict]) -> list[Curve]:
    """Sort measurements into curves; fits without penalties begin each of them.

    Parameters
    ----------
    lines : iterable of dict

    Returns
    -------
    list of Curve
        In the order of `PENALTIES`, settings and numbers of parts.
    """
    found: dict[tuple, Curve] = {}
    without: dict[tuple, list[dict]] = {}
    for line in lines:
        settings = dict(line["changes"])
        settings.pop("n_parts_per_class", None)
        weights = {p: settings.pop(f"{p}_weight", None) for p in PENALTIES}
        used = [penalty for penalty in PENALTIES if weights[penalty]]
        group = line["data"], line["n_parts"]
        # The form changes nothing where specificity has no weight.
        shared = {k: v for k, v in settings.items() if k != _FORM}
        if not used:
            if shared == settings:
                without.setdefault((*group, repr(shared)), []).append(line)
            continue
        (penalty,) = used
        key = (*group, penalty, repr(settings))
        curve = found.setdefault(
            key, Curve(line["data"], penalty, line["n_parts"], settings)
        )
        curve.lines.setdefault(weights[penalty], []).append(line)
    for curve in found.values():
        shared = {k: v for k, v in curve.settings.items() if k != _FORM}
        start = without.get((curve.data, curve.n_parts, repr(shared)))
        if start:
            curve.lines[0.0] = start
    return sorted(
        (curve for curve in found.values() if 0.0 in curve.lines),
        key=lambda c: (
            c.data,
            PENALTIES.index(c.penalty),
            len(c.settings),
            repr(c.settings),
            c.n_parts,
        ),
    )


def markdown(lines: list[dict]) -> str:
    """Return a table of each penalty's own term, and of the accuracy, as Markdown.

    Parameters
    ----------
    lines : list of dict

    Returns
    -------
    str
    """
    rows = [
        "| data | penalty, other settings | P | weight | its own term | change, % "
        "| own share of \\|V\\|, % | foreign weights of 0, % | accuracy, % |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for curve in curves(lines):
        changed = ", ".join(f"{k}={v!r}" for k, v in curve.settings.items())
        name = f"{curve.penalty}, `{changed}`" if changed else curve.penalty
        values = curve.means(curve.term)
        columns = zip(
            curve.weights,
            values,
            curve.means("own_share"),
            curve.means("zeros"),
            curve.accuracies(),
            strict=True,
        )
        for weight, value, share, zeros, accuracy in columns:
            change = f"{100 * (value / values[0] - 1):+.0f}" if weight else ""
            rows.append(
                f"| {curve.data} | {name} | {curve.n_parts} | {weight:g} "
                f"| {value:.3g} | {change} | {100 * share:.0f} | {100 * zeros:.0f} "
                f"| {accuracy:.1f} |"
            )
    return "\n".join(rows)


def draw(lines: list[dict], path: Path) -> None:
    """Draw each penalty's own term and the accuracy against its weight, as a PNG.

    Parameters
    ----------
    lines : list of dict
        The curves with the default form of specificity are drawn, of the first data
        set that there is.
    path : Path
        The PNG file to write.
    """
    first = lines[0]["data"]
    drawn = [c for c in curves(lines) if c.data == first and _FORM not in c.settings]
    sizes = sorted({curve.n_parts for curve in drawn})
    # Not pyplot: it would choose a backend, which may fail without a display.
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    axes = figure.subplots(
        2, len(PENALTIES), sharex=True, sharey="row", height_ratios=(3, 2)
    )
    handles: dict[str, Line2D] = {}
    for column, penalty in enumerate(PENALTIES):
        top, bottom = axes[:, column]
        top.set_title(_TERM_TITLES[penalty])
        for curve in drawn:
            if curve.penalty == penalty:
                style = _style(curve, sizes.index(curve.n_parts))
                _plot(top, bottom, curve, style)
                plain = {**style, "linestyle": "-", "markerfacecolor": style["color"]}
                handles[f"P = {curve.n_parts:,}"] = Line2D([], [], **plain)
        _band(bottom, [c for c in drawn if c.penalty == penalty], first=column == 0)
        top.axhline(0.9, color="grey", linewidth=0.8, linestyle=":")
        for ax in (top, bottom):
            _weight_axis(ax, [w for curve in drawn for w in curve.weights])
        bottom.set_xlabel("weight of the penalty")
    axes[0, 0].set_ylabel("its own term,\nrelative to that without it")
    axes[0, 0].set_ylim(0, 1.1)
    axes[0, 0].annotate(
        "− 10 %",
        (1, 0.91),
        xycoords=("axes fraction", "data"),
        va="bottom",
        ha="right",
        color="grey",
    )
    axes[1, 0].set_ylabel("held-out accuracy, %")
    for curve in drawn:
        if curve.settings:
            changed = ", ".join(f"{k}={v}" for k, v in curve.settings.items())
            handles[changed] = Line2D([], [], color="black", linestyle="--")
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
    )
    figure.savefig(path, format="png", dpi=150)


def _style(curve: Curve, size: int) -> dict[str, Any]:
    """Return how a curve is drawn; those with changed settings are dashed."""
    return {
        "color": _COLOURS[size],
        "marker": _MARKERS[size],
        "markersize": 5,
        "linewidth": 1.4,
        "linestyle": "--" if curve.settings else "-",
        "markerfacecolor": "white" if curve.settings else _COLOURS[size],
    }


def _plot(top: Axes, bottom: Axes, curve: Curve, style: dict[str, Any]) -> None:
    x = [weight or _ZERO for weight in curve.weights]
    values = np.array(curve.means(curve.term))
    top.plot(x, values / values[0], **style)
    bottom.plot(x, curve.accuracies(), **style)


def _band(ax: Axes, drawn: list[Curve], *, first: bool) -> None:
    """Mark the error of one accuracy, around the mean without the penalty."""
    plain = [curve for curve in drawn if not curve.settings]
    if not plain:
        return
    mean = statistics.mean(curve.accuracies()[0] for curve in plain) / 100
    n_held = plain[0].lines[0.0][0]["n_held"]
    error = 100 * float(np.sqrt(mean * (1 - mean) / n_held))
    ax.axhspan(100 * mean - error, 100 * mean + error, color="grey", alpha=0.2, lw=0)
    if first:
        ax.annotate(
            f"grey: ± standard error of one figure ({n_held} images)",
            (0.02, 0.03),
            xycoords="axes fraction",
            color="grey",
            fontsize="small",
        )


def _weight_axis(ax: Axes, weights: Iterable[float]) -> None:
    ticks = sorted({weight for weight in weights if weight})
    ax.set_xscale("log")
    ax.set_xticks([_ZERO, *ticks], ["0", *(f"{weight:g}" for weight in ticks)])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
