"""Heat maps: where in an image the score of a class comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import zoom

from skdpnet.display._boxes import badge_places, badges, draw_boxes, part_legend
from skdpnet.display._colours import diverging
from skdpnet.display._images import ShownImage, mark_unseen, parts_on_images
from skdpnet.display._layout import lay_out
from skdpnet.display._pyplot import pyplot
from skdpnet.display._text import (
    fitting,
    headline,
    score_noun,
    shorten,
    text_as_is,
    wrap,
)
from skdpnet.explanations.contributions import batch_of_one, explain_each
from skdpnet.explanations.explanation import Explanation
from skdpnet.images.collection import as_images
from skdpnet.utils.colours import AGAINST, FOR
from skdpnet.utils.validation import Number, part_numbers

__all__ = ["HeatMapDisplay", "check_vmax", "draw_heat", "explain_one"]

_STRONGEST_TINT = 0.85
_N_MARKED = 3
# Sides of the image in a new figure, in inches: of the longer side, and the least of
# width and height.
_LONGEST, _SHORTEST = 5.0, (3.6, 2.4)
# Side of the smoothed map in pixels, finer than the eye resolves.
_SMOOTH_SIDE = 480


@dataclass
class HeatMapDisplay:
    """An image with its heat map: where something speaks for a class, or against it.

    Made by `from_estimator`. The image is grey; colour is a contribution. For the eye,
    the map is interpolated between the centres of the cells; the values of the cells
    themselves are in `heat`. What the network did not see is hatched.

    Parameters
    ----------
    image : ShownImage
    explanation : Explanation
        Its boxes are in pixels of the upright image.
    part : int, default=None
        Part whose heat map is drawn; None: all parts.

    Attributes
    ----------
    heat : float64 ndarray of shape (H, W)
        In units of the logit, for each cell of the square
        ``explanation.heat_map_box``.
    marked : int ndarray of shape (k,)
        The parts that have numbers in the figure: `part`, or those that speak most
        for the class.
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    See Also
    --------
    skdpnet.explain : The numbers that are drawn.
    ExplanationDisplay : The heat map beside regions and contributions.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import HeatMapDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = DPNetClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_parts_per_class=2,
    ...     max_epochs=0,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = HeatMapDisplay.from_estimator(model, birds.images[0]).plot()
    >>> display.heat.shape
    (8, 8)

    The heat maps of several images on one scale:

    >>> displays = [HeatMapDisplay.from_estimator(model, x) for x in birds.images[:2]]
    >>> vmax = max(abs(display.heat).max() for display in displays)
    >>> displays = [display.plot(vmax=vmax) for display in displays]
    """

    image: ShownImage
    explanation: Explanation
    part: int | None = None
    heat: np.ndarray = field(init=False, repr=False)
    marked: np.ndarray = field(init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    ax_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.heat = self.explanation.heat_map(self.part)
        if self.part is None:
            self.marked = self.explanation.top_parts(_N_MARKED)
        else:
            self.marked = part_numbers(self.part, len(self.explanation.contributions))

    @classmethod
    def from_estimator(
        cls, estimator, image, class_=None, *, against=None, part: int | None = None
    ) -> HeatMapDisplay:
        """Explain an image's score.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it, fitted on images.
        image : image
        class_ : label, default=None
            None: the predicted class.
        against : label, default=None
            Another class: the heat map then explains why `class_` and not this one.
        part : int, default=None
            Part whose contribution is shown; None: all parts.

        Returns
        -------
        HeatMapDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If there is no such class, if `against` is the explained class, if the
            model cannot be explained (`skdpnet.explain`), or if it was fitted on
            precomputed features, which have no images.
        IndexError
            If there is no such part.
        skdpnet.images.ImageError
            If the image cannot be read.
        """
        return cls(*explain_one(estimator, image, class_, against, cls.__name__), part)

    def plot(self, ax=None, *, vmax: float | None = None) -> HeatMapDisplay:
        """Draw the image, its heat map and a colour bar.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.
        vmax : float > 0, default=None
            The value, for the class or against it, that has the strongest colour;
            larger ones have the same, and the colour bar then ends in a point. One
            value for several images makes their colours comparable: for instance the
            largest of ``abs(display.heat).max()``. None: the largest of this image.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `vmax` is not a finite number above 0.
        """
        plt = pyplot()

        check_vmax(vmax)
        if ax is None:
            longest = max(self.image.size)
            sides = (_LONGEST * side / longest for side in self.image.size)
            room, height = np.maximum(list(sides), _SHORTEST)
            lines = self._title(room).count("\n") + 2 + len(self.marked)
            size = room + 1.2, height + 0.5 + 0.21 * lines
            _, ax = plt.subplots(figsize=size, layout="constrained")
        else:
            room = ax.get_window_extent().width / ax.figure.figure.dpi
        self.ax_, self.figure_ = ax, lay_out(ax)
        why = self.explanation
        boxes = why.boxes[self.marked]
        noun = score_noun(why.readout.outcome)
        unseen = draw_heat(ax, self.image, why.heat_map_box, self.heat, noun, vmax)
        if self.part is not None:
            draw_boxes(ax, boxes)
        badges(ax, badge_places(boxes, self.image.size, centred=True))
        ax.set_title(self._title(room), fontsize=11)
        names, added = why.part_names[self.marked], why.contributions[self.marked]
        part_legend(ax, names, added, fitting(room, 9), unseen)
        text_as_is(ax)
        return self

    def _title(self, room: float) -> str:
        title = headline(self.explanation)
        if self.part is not None:
            (name,) = self.explanation.part_names[self.marked]
            title += f"\n{shorten(name, 60)} alone"
        return wrap(title, fitting(room, 11))


def explain_one(
    estimator, image, class_, against, display: str
) -> tuple[ShownImage, Explanation]:
    """Read an image, and explain its score or the difference of two.

    Parameters
    ----------
    estimator, image, class_, against
        As `HeatMapDisplay.from_estimator` takes them.
    display : str
        Name of the Display, for errors.

    Returns
    -------
    image : ShownImage
    explanation : Explanation

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
        As `HeatMapDisplay.from_estimator`.
    """
    parts = parts_on_images(estimator, display)
    images = as_images(batch_of_one(parts, image))
    (why,) = explain_each(estimator, images, class_, apply_exif=True)
    if against is not None:
        if against == why.explained:
            raise ValueError(
                f"against={against!r} is the class that is explained; name another "
                "class."
            )
        why = why.difference(against)
    return ShownImage.of(images.load(0)), why


def check_vmax(vmax: float | None) -> None:
    """Check the value that has the strongest colour.

    Parameters
    ----------
    vmax : float or None

    Raises
    ------
    ValueError
        If it is neither None nor a finite number above 0.
    """
    if vmax is not None and not Number(0, above=True).accepts(vmax):
        raise ValueError(
            f"vmax must be a finite number above 0, or None, got {vmax!r}. It is the "
            "value that has the strongest colour, for instance the largest of "
            "abs(display.heat).max() over the images that are compared."
        )


def draw_heat(
    axes,
    image: ShownImage,
    box: np.ndarray,
    heat: np.ndarray,
    noun: str = "score",
    vmax: float | None = None,
):
    """Draw a heat map over an image, with a colour bar.

    Parameters
    ----------
    axes : matplotlib Axes
    image : ShownImage
    box : ndarray of shape (4,)
        (left, top, right, bottom) of what the heat map covers, in pixels.
    heat : ndarray of shape (H, W)
    noun : str, default="score"
        What the sum of the heat map is called.
    vmax : float, default=None
        The value that has the strongest colour, as `check_vmax` takes it; None: the
        largest.

    Returns
    -------
    matplotlib Patch or None
        As `mark_unseen` returns it.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgb

    image.draw(axes, grey=True)
    largest = np.abs(heat).max()
    limit = (largest or 1.0) if vmax is None else float(vmax)
    factors = [max(1, _SMOOTH_SIDE // side) for side in heat.shape]
    # Linear interpolation adds no extremum and changes no sign at a cell's centre.
    smooth = zoom(heat, factors, order=1, mode="nearest", grid_mode=True)
    tints = np.empty((*smooth.shape, 4))
    tints[..., :3] = np.where(smooth[..., None] >= 0, to_rgb(FOR), to_rgb(AGAINST))
    tints[..., 3] = _STRONGEST_TINT * np.minimum(1, np.abs(smooth) / limit)
    left, top, right, bottom = box
    axes.imshow(
        tints, origin="upper", aspect="equal", extent=(left, right, bottom, top)
    )
    width, height = image.size
    axes.set(xlim=(0, width), ylim=(height, 0))
    unseen = mark_unseen(axes, image.size, box)
    # The bar shows the tints on white.
    scale = ScalarMappable(Normalize(-limit, limit), diverging(_STRONGEST_TINT))
    bar = axes.figure.colorbar(
        scale,
        ax=axes,
        shrink=0.85,
        pad=0.02,
        anchor=(0, 1),
        panchor=False,
        extend="both" if largest > limit else "neither",
    )
    rows, columns = heat.shape
    bar.set_label(f"{noun} per cell of {rows} × {columns}, smoothed", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return unseen
