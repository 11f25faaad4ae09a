"""What the parts of a class look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._images import ShownImage, check_images, crop
from skdpnet.display._layout import new_place
from skdpnet.display._text import fitting, shorten, signed, text_as_is, wrap
from skdpnet.explanations.galleries import PartGallery, part_galleries
from skdpnet.explanations.readout import linear_readout
from skdpnet.images.collection import as_images
from skdpnet.utils.validation import class_number

__all__ = ["PartGalleryDisplay"]

_CROP, _NAMES = 1.15, 1.7


@dataclass
class PartGalleryDisplay:
    """Parts of a class as rows, and the regions that each responds to most.

    Made by `from_estimator`. Each crop is a part's best region of one image, under
    it their cosine.

    Parameters
    ----------
    class_ : label
    galleries : list of PartGallery
        One a row.
    weights : ndarray of shape (n_parts,)
        V_cp of those parts.
    crops : list of list of ShownImage

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (n_parts, n_images) of matplotlib Axes
    """

    class_: Any
    galleries: list[PartGallery] = field(repr=False)
    weights: np.ndarray = field(repr=False)
    crops: list[list[ShownImage]] = field(repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, class_, X, *, n_parts: int = 6, n_images: int = 6
    ) -> PartGalleryDisplay:
        """Find the parts of the largest weight for a class, and cut out their regions.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it, fitted on images.
        class_ : label
        X : images
            Where to look; for instance those the model was fitted on.
        n_parts : int, default=6
            Rows; fewer where fewer parts have a positive weight.
        n_images : int, default=6
            Crops a row; fewer where X has fewer images.

        Returns
        -------
        PartGalleryDisplay

        Raises
        ------
        NotFittedError
        ValueError
            Of a class that there is not or that no part speaks for, and of a model of
            precomputed features.
        skdpnet.images.ImageError
        """
        check_images(estimator, cls.__name__)
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        readout = linear_readout(estimator)
        number = class_number(readout.classes, class_)
        weights = readout.coef[number]
        parts = np.argsort(-weights, kind="stable")[:n_parts]
        parts = parts[weights[parts] > 0]
        if len(parts) == 0:
            raise ValueError(f"no part has a positive weight for the class {class_!r}.")
        found = part_galleries(estimator, parts, X, n_images, apply_exif=True)
        return cls(
            readout.classes.tolist()[number], found, weights[parts], _crops(found, X)
        )

    def plot(self, ax=None) -> PartGalleryDisplay:
        """Draw the crops.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The panels take its place; None: a new figure.

        Returns
        -------
        self
        """
        n_rows, n_columns = len(self.crops), len(self.crops[0])
        size = _NAMES + _CROP * n_columns, 0.6 + (_CROP + 0.2) * n_rows
        self.figure_, place, (room, _) = new_place(ax, size)
        self.axes_ = place.subplots(n_rows, n_columns, squeeze=False)
        width = fitting(room * _NAMES / size[0], 9)
        weights = signed(self.weights)
        for row, gallery in enumerate(self.galleries):
            for column, axes in enumerate(self.axes_[row]):
                self.crops[row][column].draw(axes)
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.set_xlabel(
                    f"{gallery.responses[column]:.2f}", fontsize=8, labelpad=2
                )
            self.axes_[row, 0].set_ylabel(
                f"{shorten(gallery.name, width)}\nweight {weights[row]}",
                rotation=0,
                ha="right",
                va="center",
                fontsize=9,
            )
        title = f"Parts of {shorten(self.class_, 60)}: their strongest regions"
        place.suptitle(wrap(title, fitting(room, 12)), fontsize=12)
        place.supxlabel("cosine of part and region", fontsize=9)
        text_as_is(place)
        return self


def _crops(galleries: list[PartGallery], X) -> list[list[ShownImage]]:
    """Cut out the regions, reading each image once."""
    images = as_images(X)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for row, gallery in enumerate(galleries):
        for column, i in enumerate(gallery.images.tolist()):
            wanted.setdefault(i, []).append((row, column))
    cut: dict[tuple[int, int], ShownImage] = {}
    for i, places in wanted.items():
        image = images.load(i)
        for row, column in places:
            cut[row, column] = crop(image, galleries[row].boxes[column])
    return [
        [cut[row, column] for column in range(len(gallery.images))]
        for row, gallery in enumerate(galleries)
    ]
