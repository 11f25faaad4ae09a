"""Where a Display draws: in a new figure, or in place of axes that the user passes."""

from __future__ import annotations

from typing import Any

from skdpnet.display._pyplot import pyplot

__all__ = ["lay_out", "new_place"]


def lay_out(ax):
    """Set a layout engine for the figure of some axes: no text overlaps or is cut off.

    Parameters
    ----------
    ax : matplotlib Axes

    Returns
    -------
    matplotlib Figure
        An engine that it has already is kept; otherwise it gets the constrained one.
    """
    figure = ax.figure.figure
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    return figure


def new_place(ax, figsize: tuple[float, float]) -> tuple[Any, Any, tuple[float, float]]:
    """Make room for several panels: in a new figure, or in place of some axes.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes that the panels replace; None: a new figure.
    figsize : (float, float)
        Width and height in inches of a new figure.

    Returns
    -------
    figure : matplotlib Figure
    place : matplotlib Figure or SubFigure
        The panels are to be added to it.
    size : (float, float)
        Width and height of `place` in inches, estimated before the layout.

    Raises
    ------
    ValueError
        If the axes are not part of a grid.
    """
    plt = pyplot()

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
    # The labels of neighbouring axes take some of the room.
    width, height = (0.8 * side / figure.dpi for side in place.bbox.size)
    return figure, place, (width, height)
