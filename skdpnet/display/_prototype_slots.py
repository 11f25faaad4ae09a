"""The slots of a class, which hold prototypes of a pool that all classes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skdpnet.display._boxes import draw_box
from skdpnet.display._images import parts_on_images
from skdpnet.display._layout import new_place
from skdpnet.display._prototype_sources import Source, prototype_sources
from skdpnet.display._text import fitting, shorten, signed, text_as_is, wrap
from skdpnet.explanations.model_steps import find_parts
from skdpnet.prototypes.protopool import ProtoPoolClassifier
from skdpnet.utils.colours import AGAINST, FOR
from skdpnet.utils.validation import class_number

__all__ = ["PrototypeSlotsDisplay"]

# In inches: a column, a row of a region above its image, and the text above them all.
_COLUMN, _ROW, _TEXT = 1.9, 3.6, 0.7
_N_COLUMNS = 5
# Names of other classes that are written out; more are counted.
_N_NAMES = 2


@dataclass
class PrototypeSlotsDisplay:
    """What the slots of a class of a `ProtoPoolClassifier` hold.

    Made by `from_estimator`. Each column is a prototype: the region of a training image
    that it is, that image, the slots of the class that hold it, its weight on the
    class, and the other classes that have it in a slot.

    Parameters
    ----------
    class_ : label
    prototypes : int ndarray of shape (k,)
        Numbers of the prototypes, from the largest weight on the class to the smallest.
    names : list of k str
        Their names.
    slots : list of k list of int
        The slots that hold them, counted from 0.
    weights : float ndarray of shape (k,)
        Their weights on the class.
    shared_with : list of k list of str
        The other classes that have them.
    sources : list of k Source
        The training images that they are regions of (``image``), the regions' boxes in
        pixels (``box``), and the regions (``crop``).

    Attributes
    ----------
    axes_ : ndarray of shape (k, 2) of matplotlib Axes
        Region and training image of each prototype.
    figure_ : matplotlib Figure

    See Also
    --------
    PrototypeDisplay : The prototypes that decide about one image.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import ProtoPoolClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import PrototypeSlotsDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = ProtoPoolClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_prototypes=4,
    ...     n_slots=2,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = PrototypeSlotsDisplay.from_estimator(model, 0, birds.images).plot()
    >>> sorted(slot for slots in display.slots for slot in slots)
    [0, 1]
    """

    class_: Any
    prototypes: np.ndarray
    names: list[str]
    slots: list[list[int]]
    weights: np.ndarray
    shared_with: list[list[str]]
    sources: list[Source] = field(repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(cls, estimator, class_, X_train) -> PrototypeSlotsDisplay:
        """Cut out the regions that the prototypes in the slots of a class are.

        Parameters
        ----------
        estimator : fitted ProtoPoolClassifier
            Fitted on images; or a search of it.
        class_ : label
            One of ``classes_``.
        X_train : images
            The images that the estimator was fitted on, in the same order.

        Returns
        -------
        PrototypeSlotsDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If it is no `ProtoPoolClassifier`, if it was fitted on precomputed features,
            which have no images, if there is no such class, or if X_train has too few
            images to be those of the fit.
        skdpnet.images.ImageError
            If images cannot be read.
        """
        model, _ = find_parts(estimator)
        if not isinstance(model, ProtoPoolClassifier):
            raise ValueError(
                f"{cls.__name__} shows the slots of classes, and "
                f"{type(model).__name__} has none: fit a ProtoPoolClassifier."
            )
        parts_on_images(estimator, cls.__name__)
        c = class_number(model.classes_, class_)
        prototypes = np.unique(model.slots_[c])
        weights = model.coef_[c, prototypes]
        order = np.argsort(-weights, kind="stable")
        prototypes = prototypes[order]
        others = model.prototype_classes_[:, prototypes].copy()
        others[c] = False
        names = model.get_part_names()
        return cls(
            class_=model.classes_[c],
            prototypes=prototypes,
            names=[str(names[p]) for p in prototypes],
            slots=[np.flatnonzero(model.slots_[c] == p).tolist() for p in prototypes],
            weights=weights[order],
            shared_with=[
                [str(label) for label in model.classes_[own]] for own in others.T
            ],
            sources=prototype_sources(model, X_train, prototypes),
        )

    def plot(self, ax=None) -> PrototypeSlotsDisplay:
        """Draw the prototypes, from the largest weight to the smallest.

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
        n = len(self.prototypes)
        n_columns = min(n, _N_COLUMNS)
        n_rows = -(-n // n_columns)
        # One column alone would have no room for the title.
        size = _COLUMN * max(n_columns, 3), _TEXT + _ROW * n_rows
        self.figure_, place, (width, _) = new_place(ax, size)
        grid = place.subplots(2 * n_rows, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        # Rows come in pairs: the regions, and the images below them.
        pairs = grid.reshape(n_rows, 2, n_columns).swapaxes(1, 2).reshape(-1, 2)
        self.axes_ = pairs[:n]
        characters = fitting(width / n_columns, 8)
        for (above, below), source, text, weight in zip(
            self.axes_, self.sources, self._texts(characters), self.weights, strict=True
        ):
            colour = FOR if weight >= 0 else AGAINST
            source.crop.draw(above)
            source.image.draw(below)
            draw_box(below, source.box, colour)
            above.set_title(text, fontsize=8)
        title = f"The {self._count()} of {shorten(self.class_, 40)}"
        place.suptitle(wrap(title, fitting(0.95 * width, 12)), fontsize=12)
        text_as_is(place)
        return self

    def _count(self) -> str:
        """Return how many slots there are, and how many prototypes in them."""
        n_slots, n = sum(map(len, self.slots)), len(self.prototypes)
        held = "one prototype" if n == 1 else f"{n} prototypes"
        return f"{n_slots} slots hold {held}" if n_slots > 1 else f"slot holds {held}"

    def _texts(self, width: int) -> list[str]:
        """Return what is written above each prototype."""
        texts = []
        for name, slots, weight, others in zip(
            self.names, self.slots, signed(self.weights), self.shared_with, strict=True
        ):
            numbers = ", ".join(str(slot) for slot in slots)
            kind = "slots" if len(slots) > 1 else "slot"
            if not others:
                also = "of no other class"
            elif len(others) <= _N_NAMES:
                also = "also of " + " and ".join(shorten(o, width) for o in others)
            else:
                also = f"also of {len(others)} classes"
            lines = (f"{kind} {numbers}: {name}", f"weight {weight}", also)
            texts.append("\n".join(wrap(line, width) for line in lines))
        return texts
