"""Images with the regions of the parts that decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, check_scalar, column_or_1d

from skdpnet.display._boxes import badge_places, badges, draw_boxes, part_legend
from skdpnet.display._images import ShownImage, parts_on_images
from skdpnet.display._layout import new_place
from skdpnet.display._text import fitting, headline, text_as_is, wrap
from skdpnet.explanations.contributions import explain_each
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.readout import read_model
from skdpnet.images.collection import as_images

__all__ = ["BestRegionsDisplay", "draw_regions"]

_MAX_COLUMNS = 4
# Width, least width and largest height of a panel, in inches.
_WIDTH, _NARROWEST, _TALLEST = 3.2, 2.4, 5.2


@dataclass
class BestRegionsDisplay:
    """Images with the regions of the parts that speak most for a class.

    Made by `from_estimator`.

    Parameters
    ----------
    images : list of n ShownImage
    explanations : list of n Explanation
        Their boxes are in pixels of the upright images.
    y : list of n labels, default=None
        True classes.
    n_parts : int, default=3
        Largest number of parts shown in each image.

    Attributes
    ----------
    boxes : list of n ndarrays of shape (k, 4)
        (left, top, right, bottom) in pixels of each image, strongest part first.
    contributions : list of n ndarrays of shape (k,)
        What each of those parts adds to the class's score.
    part_names : list of n lists of str
    titles : list of n str
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (n_rows, n_columns) of matplotlib Axes

    See Also
    --------
    skdpnet.best_regions : The regions of all parts.
    ExplanationDisplay : The whole explanation of one image.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import BestRegionsDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = DPNetClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_parts_per_class=2,
    ...     max_epochs=0,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = BestRegionsDisplay.from_estimator(
    ...     model, birds.images[:3], birds.target[:3], n_parts=2
    ... ).plot()
    >>> display.axes_.shape
    (1, 3)
    """

    images: list[ShownImage]
    explanations: list[Explanation]
    y: list | None = None
    n_parts: int = 3
    boxes: list[np.ndarray] = field(init=False, repr=False)
    contributions: list[np.ndarray] = field(init=False, repr=False)
    part_names: list[list[str]] = field(init=False, repr=False)
    titles: list[str] = field(init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        tops = [why.top_parts(self.n_parts) for why in self.explanations]
        pairs = list(zip(self.explanations, tops, strict=True))
        self.boxes = [why.boxes[top] for why, top in pairs]
        self.contributions = [why.contributions[top] for why, top in pairs]
        self.part_names = [
            [str(name) for name in why.part_names[top]] for why, top in pairs
        ]
        self.titles = [headline(why) for why in self.explanations]
        for i, top in enumerate(tops):
            if len(top) == 0:
                outcome = self.explanations[i].readout.outcome
                verb = "raises" if outcome == "target" else "speaks for"
                self.titles[i] += f"\nno present part {verb} it"
        for i, label in enumerate([] if self.y is None else self.y):
            right = label == self.explanations[i].predicted
            self.titles[i] += "\n(right)" if right else f"\n(wrong: is {label})"

    @classmethod
    def from_estimator(
        cls, estimator, X, y: Sequence | np.ndarray | None = None, *, n_parts: int = 3
    ) -> BestRegionsDisplay:
        """Find the parts that speak most for each image's predicted class.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it, fitted on images.
        X : images
        y : array-like of labels, default=None
            True classes; the titles then say whether the prediction is right.
        n_parts : int, default=3
            Number of parts shown in each image; fewer where fewer speak for the class.

        Returns
        -------
        BestRegionsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If the model cannot be explained (`skdpnet.explain`), if it was fitted on
            precomputed features, which have no images, if X and y differ in length, if
            y is passed for a model that does not predict one class of each image, or if
            `n_parts` is below 1.
        TypeError
            If `n_parts` is not a whole number.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        parts_on_images(estimator, cls.__name__)
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        images = as_images(X)
        labels = None
        if y is not None:
            if read_model(estimator)[1].outcome != "class":
                raise ValueError(
                    "the titles compare y with the one class that a model predicts for "
                    "an image, and this one predicts none such: leave y out."
                )
            labels = column_or_1d(y).tolist()
            check_consistent_length(images, labels)
        return cls(
            explanations=list(explain_each(estimator, images, apply_exif=True)),
            images=[ShownImage.of(images.load(i)) for i in range(len(images))],
            y=labels,
            n_parts=n_parts,
        )

    def plot(self, ax=None) -> BestRegionsDisplay:
        """Draw one panel an image, with boxes numbered from the strongest part.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes that the panels replace; None: a new figure.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` is not part of a grid.
        """
        n = len(self.images)
        columns = min(n, _MAX_COLUMNS)
        size = _WIDTH * columns, float(self._heights(columns).sum())
        self.figure_, place, (width, _) = new_place(ax, size)
        columns = max(1, min(columns, int(width / _NARROWEST)))
        heights = self._heights(columns)
        self.axes_ = place.subplots(
            len(heights), columns, squeeze=False, height_ratios=heights
        )
        room = 0.95 * width / columns
        for axes in self.axes_.flat:
            axes.set_axis_off()
        for i, axes in enumerate(self.axes_.flat[:n]):
            draw_regions(axes, self.images[i], self.boxes[i])
            axes.set_title(wrap(self.titles[i], fitting(room, 10)), fontsize=10)
            part_legend(
                axes, self.part_names[i], self.contributions[i], fitting(room, 9)
            )
        text_as_is(place)
        return self

    def _heights(self, columns: int) -> np.ndarray:
        """Return the height in inches of each row, including its text."""
        sizes = [image.size for image in self.images]
        shapes = [height / width for width, height in sizes]
        tallest = [
            max(shapes[start : start + columns])
            for start in range(0, len(shapes), columns)
        ]
        images = np.minimum(_WIDTH * np.array(tallest), _TALLEST)
        return images + 0.8 + 0.21 * self.n_parts


def draw_regions(axes, image: ShownImage, boxes: np.ndarray) -> None:
    """Draw an image with numbered boxes.

    Parameters
    ----------
    axes : matplotlib Axes
    image : ShownImage
    boxes : ndarray of shape (n, 4)
        (left, top, right, bottom) in pixels, strongest part first.
    """
    image.draw(axes)
    draw_boxes(axes, boxes)
    badges(axes, badge_places(boxes, image.size))
