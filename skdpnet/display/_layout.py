"""Where a Display draws: in a figure of its own, or in the place of given axes."""

from __future__ import annotations

from typing import Any

__all__ = ["lay_out", "new_place"]


def lay_out(ax):
    """Give the figure of some axes a layout engine, lest text overlap or be cut.

    Parameters
    ----------
    ax : matplotlib Axes

    Returns
    -------
    matplotlib Figure
        With the engine that it has, or else the constrained one.
    """
    figure = ax.figure.figure
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    return figure


def new_place(ax, figsize: tuple[float, float]) -> tuple[Any, Any, tuple[float, float]]:
    """Make room for several panels: a new figure, or the place of some axes.

    Parameters
    ----------
    ax : matplotlib Axes or None
        The panels take its place.
    figsize : (float, float)
        Width and height in inches of a new figure.

    Returns
    -------
    figure : matplotlib Figure
    place : matplotlib Figure or SubFigure
        Where to add the panels.
    size : (float, float)
        Its width and height in inches, as far as is known before the layout.

    Raises
    ------
    ValueError
        If the axes are in no grid.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        figure = plt.figure(figsize=figsize, layout="constrained")
        return figure, figure, figsize
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "ax has no place in a grid, so no panels can take it: make ax by "
            "plt.subplots or figure.add_subplot."
        )
    figure = lay_out(ax)
    ax.set_axis_off()
    place = ax.figure.add_subfigure(spec)
    # The labels of axes beside it take some of the room.
    width, height = (0.8 * side / figure.dpi for side in place.bbox.size)
    return figure, place, (width, height)
