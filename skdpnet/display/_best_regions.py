"""Images with the regions of the parts that decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, check_scalar, column_or_1d

from skdpnet.display._boxes import badge_places, badges, draw_boxes, part_legend
from skdpnet.display._images import ShownImage, check_images
from skdpnet.display._layout import new_place
from skdpnet.display._text import fitting, headline, text_as_is, wrap
from skdpnet.explanations.contributions import explain_each
from skdpnet.explanations.explanation import Explanation
from skdpnet.images.collection import as_images

__all__ = ["BestRegionsDisplay", "draw_regions"]

_MAX_COLUMNS = 4
# Of a panel, in inches.
_WIDTH, _NARROWEST, _TALLEST = 3.2, 2.4, 5.2


@dataclass
class BestRegionsDisplay:
    """Images with the regions of the parts that speak most for a class.

    Made by `from_estimator`.

    Parameters
    ----------
    images : list of ShownImage
    explanations : list of Explanation
        With boxes in upright pixels.
    y : list of labels or None
        True classes.
    n_parts : int
        Parts shown in each image, at most.

    Attributes
    ----------
    boxes : list of ndarray of shape (k, 4)
        (left, top, right, bottom) in pixels of each image, strongest part first.
    contributions : list of ndarray of shape (k,)
        What each of those parts adds to the class's logit.
    part_names : list of list of str
    titles : list of str
    figure_ : matplotlib Figure
    axes_ : ndarray of matplotlib Axes
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
        both = list(zip(self.explanations, tops, strict=True))
        self.boxes = [why.boxes[top] for why, top in both]
        self.contributions = [why.contributions[top] for why, top in both]
        self.part_names = [
            [str(name) for name in why.part_names[top]] for why, top in both
        ]
        self.titles = [headline(why) for why in self.explanations]
        for i, top in enumerate(tops):
            if len(top) == 0:
                self.titles[i] += "\nno part found speaks for it"
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
            Parts shown in each image; fewer where fewer speak for the class.

        Returns
        -------
        BestRegionsDisplay

        Raises
        ------
        NotFittedError
        ValueError
            Of a model of precomputed features, and where X and y differ in length.
        skdpnet.images.ImageError
        """
        check_images(estimator, cls.__name__)
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        labels = None if y is None else column_or_1d(y)
        if labels is not None:
            check_consistent_length(X, labels)
        explanations = list(explain_each(estimator, X, apply_exif=True))
        opened = as_images(X)
        images = [ShownImage.of(opened.load(i)) for i in range(len(opened))]
        true = None if labels is None else labels.tolist()
        return cls(images, explanations, true, n_parts)

    def plot(self, ax=None) -> BestRegionsDisplay:
        """Draw one panel an image, the boxes numbered from the strongest part.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The panels take its place; None: a new figure.

        Returns
        -------
        self
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
        """Height in inches of each row, with its text."""
        shapes = [height / width for width, height in (p.size for p in self.images)]
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
