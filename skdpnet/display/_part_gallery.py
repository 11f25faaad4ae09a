"""What the parts of a class look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.display._images import ShownImage, parts_on_images
from skdpnet.display._layout import new_place
from skdpnet.display._text import (
    explained_name,
    fitting,
    shorten,
    signed,
    text_as_is,
    wrap,
)
from skdpnet.explanations.crops import crops_by_image
from skdpnet.explanations.galleries import PartGallery, part_galleries
from skdpnet.explanations.readout import Readout, read_model
from skdpnet.images.collection import Images, as_images
from skdpnet.utils.validation import class_number

__all__ = ["PartGalleryDisplay"]

# Widths in inches of a crop and of the names beside the rows.
_CROP, _NAMES = 1.15, 1.7


@dataclass
class PartGalleryDisplay:
    """Parts of a class as rows, each with the regions that it responds to most.

    Made by `from_estimator`. Each crop is a part's best region in one image; the number
    below it is the part's response there.

    Parameters
    ----------
    class_ : label
    galleries : list of n_parts PartGallery
        One for each row.
    weights : ndarray of shape (n_parts,), or None
        Weights V_cp of those parts for the class; None where the decision is not
        linear in the descriptor.
    crops : list of n_parts lists of ShownImage
    contributions : ndarray of shape (n_parts,), default=None
        In place of weights: mean contributions of those parts to the class's score.

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (n_parts, n_images) of matplotlib Axes

    See Also
    --------
    skdpnet.part_gallery : The regions that a part responds to most.
    ParticipationDisplay : How much the parts contribute to a class.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import PartGalleryDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = DPNetClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_parts_per_class=2,
    ...     max_epochs=0,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = PartGalleryDisplay.from_estimator(
    ...     model, 1, birds.images, n_parts=1, n_images=4
    ... ).plot()
    >>> display.axes_.shape
    (1, 4)
    """

    class_: Any
    galleries: list[PartGallery] = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    crops: list[list[ShownImage]] = field(repr=False)
    contributions: np.ndarray | None = field(default=None, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, class_, X, *, n_parts: int = 6, n_images: int = 6
    ) -> PartGalleryDisplay:
        """Find the parts of the largest weight for a class, and cut out their regions.

        Where the decision has no weights, the parts are those of the largest mean
        contribution to the class's score, over the images in X that the model assigns
        to the class.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it, fitted on images.
        class_ : label
        X : images
            The images to take regions from, for instance those of the fit.
        n_parts : int, default=6
            Number of rows; fewer where fewer parts have a positive weight.
        n_images : int, default=6
            Number of crops in a row; fewer where X has fewer images.

        Returns
        -------
        PartGalleryDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If there is no such class, if no part speaks for it, if the model cannot
            be explained (`skdpnet.explain`), if it was fitted on precomputed
            features, which have no images, if the decision has no weights and the
            model assigns no image to the class, or if a number is below 1.
        TypeError
            If `n_parts` is not a whole number.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        parts = parts_on_images(estimator, cls.__name__)
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        _, readout = read_model(estimator)
        number = class_number(readout.classes, class_)
        images = as_images(X)
        weights, contributions = readout.weights(number), None
        if weights is None:
            contributions = _mean_contributions(parts, readout, number, images)
            strongest = _largest(contributions, n_parts)
        else:
            strongest = _largest(weights, n_parts)
        if len(strongest) == 0:
            kind = "mean contribution to" if weights is None else "weight for"
            raise ValueError(f"no part has a positive {kind} the class {class_!r}.")
        galleries = part_galleries(parts, strongest, images, n_images, apply_exif=True)
        return cls(
            class_=explained_name(readout.classes.tolist()[number], "target")
            if readout.outcome == "target"
            else readout.classes.tolist()[number],
            galleries=galleries,
            weights=None if weights is None else weights[strongest],
            crops=_crops(images, galleries),
            contributions=None if contributions is None else contributions[strongest],
        )

    def plot(self, ax=None) -> PartGalleryDisplay:
        """Draw the crops.

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
        n_rows, n_columns = len(self.crops), len(self.crops[0])
        size = _NAMES + _CROP * n_columns, 0.6 + (_CROP + 0.2) * n_rows
        self.figure_, place, (room, _) = new_place(ax, size)
        self.axes_ = place.subplots(n_rows, n_columns, squeeze=False)
        width = fitting(room * _NAMES / size[0], 9)
        strengths = self._strengths()
        for row, gallery in enumerate(self.galleries):
            for column, axes in enumerate(self.axes_[row]):
                self.crops[row][column].draw(axes)
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.set_xlabel(
                    f"{gallery.responses[column]:.2f}", fontsize=8, labelpad=2
                )
            self.axes_[row, 0].set_ylabel(
                f"{shorten(gallery.name, width)}\n{strengths[row]}",
                rotation=0,
                ha="right",
                va="center",
                fontsize=9,
            )
        title = f"Parts of {shorten(self.class_, 60)}: their strongest regions"
        place.suptitle(wrap(title, fitting(room, 12)), fontsize=12)
        place.supxlabel("response of the part to the region", fontsize=9)
        text_as_is(place)
        return self

    def _strengths(self) -> list[str]:
        """Return what is written below the name of each part."""
        if self.weights is not None:
            return [f"weight {value}" for value in signed(self.weights)]
        if self.contributions is not None:
            return [f"contributes {value}" for value in signed(self.contributions)]
        return [""] * len(self.galleries)


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the positions of the n largest values above 0, largest first."""
    order = np.argsort(-values, kind="stable")[:n]
    return order[values[order] > 0]


def _mean_contributions(
    parts: PartEstimator, readout: Readout, number: int, images: Images
) -> np.ndarray:
    """Average contributions to a class over the images that the model assigns to it."""
    total, n_assigned = np.zeros(len(parts.part_maps_)), 0
    for _, descriptors in parts.iter_described(images):
        assigned = readout.scores(descriptors).argmax(axis=1) == number
        if assigned.any():
            descriptors = descriptors[assigned]
            total += readout.contributions(descriptors, number).sum(axis=0)
            n_assigned += len(descriptors)
    if n_assigned == 0:
        raise ValueError(
            "the decision of this model has no weights, so the parts of a class are "
            "chosen by their contributions to images that the model assigns to it, "
            f"and it assigns none in X to {readout.classes.tolist()[number]!r}."
        )
    return total / n_assigned


def _crops(images: Images, galleries: Sequence[PartGallery]) -> list[list[ShownImage]]:
    crops: dict[tuple[int, int], ShownImage] = {}
    for crops_of_image in crops_by_image(images, galleries):
        for crop, places in crops_of_image:
            crops |= dict.fromkeys(places, ShownImage.of(crop))
    return [
        [crops[row, column] for column in range(len(gallery.images))]
        for row, gallery in enumerate(galleries)
    ]
