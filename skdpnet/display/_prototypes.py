"""Why a prototype network decides: this looks like that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._best_regions import draw_regions
from skdpnet.display._boxes import draw_box
from skdpnet.display._heat_map import explain_one
from skdpnet.display._images import ShownImage
from skdpnet.display._layout import new_place
from skdpnet.display._prototype_sources import Source, prototype_sources
from skdpnet.display._text import fitting, headline, shorten, signed, text_as_is, wrap
from skdpnet.explanations.crops import crop
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.model_steps import find_parts
from skdpnet.images.collection import as_images
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.utils.colours import part_colours

__all__ = ["PrototypeDisplay"]

# Heights in inches of a row and of the text above and below the rows, and the widths
# of the image and of the three columns beside it.
_ROW, _TEXT = 1.5, 1.1
_WIDTHS = (3.6, 1.5, 1.5, 2.2, 2.3)


@dataclass
class PrototypeDisplay:
    """An image's regions beside the regions of training images that they look like.

    Made by `from_estimator`. Each row is a prototype: the region of the image that is
    most similar to it, the region of a training image that it is, that training image,
    and what the prototype adds to the score.

    Parameters
    ----------
    image : ShownImage
    explanation : Explanation
    prototypes : int ndarray of shape (k,)
        Numbers of the prototypes in the rows, which speak most for the class.
    crops : list of k ShownImage
        Their most similar regions.
    sources : list of k Source
        The training images that the prototypes are regions of (``image``), the regions'
        boxes in pixels (``box``), and the regions (``crop``).

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (k, 3) of matplotlib Axes
        Region, prototype and training image of each row.
    image_axes_ : matplotlib Axes
        The image with the boxes of all rows.

    See Also
    --------
    ExplanationDisplay : The explanation of an image by parts of any kind.
    PartGalleryDisplay : The regions of many images that are similar to a prototype.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import ProtoPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import PrototypeDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = ProtoPNetClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_prototypes_per_class=2,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = PrototypeDisplay.from_estimator(
    ...     model, birds.images[0], birds.images
    ... ).plot()
    >>> display.axes_.shape[1]
    3
    """

    image: ShownImage
    explanation: Explanation
    prototypes: np.ndarray
    crops: list[ShownImage] = field(repr=False)
    sources: list[Source] = field(repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)
    image_axes_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, image, X_train, class_=None, *, n_prototypes: int = 4
    ) -> PrototypeDisplay:
        """Explain an image's score by its most similar training regions.

        Parameters
        ----------
        estimator : fitted prototype classifier
            `ProtoPNetClassifier` or another, fitted on images; or a search of these.
        image : image
        X_train : images
            The images that the estimator was fitted on, in the same order.
        class_ : label, default=None
            None: the predicted class.
        n_prototypes : int, default=4
            Number of rows; fewer where fewer prototypes speak for the class.

        Returns
        -------
        PrototypeDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If it is no prototype classifier, if it was fitted on precomputed features,
            which have no images, if there is no such class, if X_train has too few
            images to be those of the fit, or if `n_prototypes` is below 1.
        TypeError
            If `n_prototypes` is not a whole number.
        skdpnet.images.ImageError
            If images cannot be read.
        """
        check_scalar(n_prototypes, "n_prototypes", Integral, min_val=1)
        model, _ = find_parts(estimator)
        if not isinstance(model, PrototypeClassifier):
            raise ValueError(
                f"{cls.__name__} shows prototypes that come from training images, and "
                f"{type(model).__name__} has none: use ExplanationDisplay."
            )
        shown, why = explain_one(estimator, image, class_, None, cls.__name__)
        numbers = why.top_parts()
        is_region = model.prototype_sources_["image"][numbers] >= 0
        numbers = numbers[is_region][:n_prototypes]
        sources = prototype_sources(model, X_train, numbers)
        explained = as_images([image]).load(0)
        return cls(
            image=shown,
            explanation=why,
            prototypes=numbers,
            crops=[ShownImage.of(crop(explained, why.boxes[p])) for p in numbers],
            sources=sources,
        )

    def plot(self, ax=None) -> PrototypeDisplay:
        """Draw the image, and a row for each prototype.

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
        why, n_rows = self.explanation, max(1, len(self.prototypes))
        size = sum(_WIDTHS), _TEXT + _ROW * max(n_rows, 2)
        self.figure_, place, (width, _) = new_place(ax, size)
        left, right = place.subfigures(
            1, 2, width_ratios=(_WIDTHS[0], sum(_WIDTHS[1:]))
        )
        self.image_axes_ = left.subplots()
        draw_regions(self.image_axes_, self.image, why.boxes[self.prototypes])
        if len(self.prototypes) == 0:
            self.image_axes_.set_title("no prototype speaks for it", fontsize=10)
        grid = right.subplots(n_rows, 4, squeeze=False, width_ratios=_WIDTHS[1:])
        self.axes_ = grid[: len(self.prototypes), :3]
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, title in zip(
            grid[0],
            ("this region", "looks like that", "of this image", ""),
            strict=True,
        ):
            axes.set_title(title if len(self.prototypes) else "", fontsize=10)
        colours = part_colours(len(self.prototypes))
        characters = fitting(width * _WIDTHS[-1] / sum(_WIDTHS), 9)
        for rank, text in enumerate(self._texts(characters)):
            source = self.sources[rank]
            self.crops[rank].draw(grid[rank, 0])
            source.crop.draw(grid[rank, 1])
            source.image.draw(grid[rank, 2])
            draw_box(grid[rank, 2], source.box, colours[rank])
            for axes in grid[rank, :2]:
                _frame(axes, colours[rank])
            grid[rank, 3].text(0, 0.5, text, va="center", fontsize=9)
        place.suptitle(wrap(headline(why), fitting(0.95 * width, 12)), fontsize=12)
        text_as_is(place)
        return self

    def _texts(self, width: int) -> Sequence[str]:
        """Return what is written beside each row."""
        why, chosen = self.explanation, self.prototypes
        contributions = signed(why.contributions[chosen])
        return [
            f"{rank + 1}  {shorten(why.part_names[p], max(8, width - 3))}\n"
            f"similarity {why.descriptor[p]:.2f}\ncontributes {contribution}"
            for rank, (p, contribution) in enumerate(
                zip(chosen, contributions, strict=True)
            )
        ]


def _frame(axes, colour: str) -> None:
    """Draw a frame of the colour of a row's box around a crop."""
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linewidth=3)
