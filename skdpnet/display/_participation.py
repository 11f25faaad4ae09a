"""How much each part takes part in a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._colours import sign_colours
from skdpnet.display._layout import new_place
from skdpnet.display._text import fitting, shorten, signed, text_as_is, wrap
from skdpnet.explanations.galleries import ClassExplanation, explain_class

__all__ = ["ParticipationDisplay"]


@dataclass
class ParticipationDisplay:
    """Bars of the parts' weights for a class and of their mean contributions.

    Made by `from_estimator`.

    Parameters
    ----------
    explanation : ClassExplanation
    n_parts : int
        Rows, at most.

    Attributes
    ----------
    parts : int ndarray
        The parts shown, largest mean contribution first.
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (2,) of matplotlib Axes
        Mean contributions, weights.
    """

    explanation: ClassExplanation
    n_parts: int = 15
    parts: np.ndarray = field(init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.parts = self.explanation.order[: self.n_parts]

    @classmethod
    def from_estimator(
        cls, estimator, class_, X, *, n_parts: int = 15
    ) -> ParticipationDisplay:
        """Average the parts' contributions to a class over images.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it.
        class_ : label
        X : images, or array for ``backbone="precomputed"``
            What to average over, for instance the images of the class.
        n_parts : int, default=15
            Parts shown: those of the largest mean contribution.

        Returns
        -------
        ParticipationDisplay

        Raises
        ------
        NotFittedError
        ValueError
            If there is no such class.
        skdpnet.images.ImageError
        """
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        return cls(explain_class(estimator, class_, X), n_parts)

    def plot(self, ax=None) -> ParticipationDisplay:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            The panels take its place; None: a new figure.

        Returns
        -------
        self
        """
        told, rows = self.explanation, np.arange(len(self.parts))
        self.figure_, place, (room, _) = new_place(ax, (8.5, 1.6 + 0.27 * len(rows)))
        self.axes_ = place.subplots(1, 2, sharey=True)
        panels = {
            "mean contribution to the score": told.contributions[self.parts],
            "weight": told.weights[self.parts],
        }
        for axes, (label, values) in zip(self.axes_, panels.items(), strict=True):
            axes.barh(rows, values, color=sign_colours(values), height=0.75)
            axes.bar_label(axes.containers[0], signed(values), padding=3, fontsize=8)
            axes.axvline(0, color="0.3", linewidth=0.8)
            axes.margins(x=0.2)
            axes.locator_params(axis="x", nbins=5)
            axes.set_xlabel(label, fontsize=9)
            axes.tick_params(axis="x", labelsize=8)
            axes.tick_params(axis="y", length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
        width = fitting(room / 4, 9)
        names = [shorten(told.part_names[p], width) for p in self.parts]
        self.axes_[0].set_yticks(rows, names, fontsize=9)
        self.axes_[0].set_ylim(len(rows) - 0.4, -0.6)
        place.suptitle(wrap(self._title(), fitting(room, 11)), fontsize=11)
        text_as_is(place)
        return self

    def _title(self) -> str:
        """Tell whose parts these are, and what the mean score is made of."""
        told = self.explanation
        shown = told.contributions[self.parts].sum()
        others = len(told.contributions) - len(self.parts)
        left = told.contributions.sum() - shown
        score, shown, left, bias = signed([told.score, shown, left, told.bias])
        n = told.n_images
        return (
            f"How parts take part in {shorten(told.explained, 60)}, mean of {n} "
            f"image{'s' if n > 1 else ''}\n"
            f"score {score}: these parts {shown}, {others} others {left}, bias {bias}"
        )
