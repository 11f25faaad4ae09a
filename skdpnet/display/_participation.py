"""How much each part contributes to a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._colours import sign_colours
from skdpnet.display._layout import new_place
from skdpnet.display._text import (
    explained_name,
    fitting,
    score_noun,
    shorten,
    signed,
    text_as_is,
    wrap,
)
from skdpnet.explanations.class_explanation import ClassExplanation, explain_class

__all__ = ["ParticipationDisplay"]


@dataclass
class ParticipationDisplay:
    """Bars of the parts' mean contributions to a class and of their weights for it.

    Made by `from_estimator`.

    Parameters
    ----------
    explanation : ClassExplanation
    n_parts : int, default=15
        Largest number of rows.

    Attributes
    ----------
    parts : int ndarray of shape (k,)
        Numbers of the parts shown, largest mean contribution first.
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (2,) or (1,) of matplotlib Axes
        Mean contributions, and weights where the decision is linear.

    See Also
    --------
    skdpnet.explain_class : The numbers that are drawn.
    ClassPartMatrixDisplay : The weights of all parts for all classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.display import ParticipationDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier(
    ...     "precomputed", n_parts_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> display = ParticipationDisplay.from_estimator(model, 0, X[y == 0]).plot()
    >>> len(display.parts)
    9
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
            The images to average over, for instance those of the class.
        n_parts : int, default=15
            Number of parts shown: those of the largest mean contribution.

        Returns
        -------
        ParticipationDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If there is no such class, if the model cannot be explained
            (`skdpnet.explain`), or if `n_parts` is below 1.
        TypeError
            If `n_parts` is not a whole number.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        return cls(explain_class(estimator, class_, X), n_parts)

    def plot(self, ax=None) -> ParticipationDisplay:
        """Draw the bars.

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
        why, rows = self.explanation, np.arange(len(self.parts))
        label = f"mean contribution to the {score_noun(why.outcome)}"
        panels = {label: why.contributions[self.parts]}
        if why.weights is not None:
            panels["weight"] = why.weights[self.parts]
        self.figure_, place, (room, _) = new_place(ax, (8.5, 1.6 + 0.27 * len(rows)))
        self.axes_ = place.subplots(1, len(panels), sharey=True, squeeze=False)[0]
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
        names = [shorten(why.part_names[p], width) for p in self.parts]
        self.axes_[0].set_yticks(rows, names, fontsize=9)
        self.axes_[0].set_ylim(len(rows) - 0.4, -0.6)
        place.suptitle(wrap(self._title(), fitting(room, 11)), fontsize=11)
        text_as_is(place)
        return self

    def _title(self) -> str:
        """Name the class, and split its mean score into these parts and the rest."""
        why = self.explanation
        shown = why.contributions[self.parts].sum()
        n_others = len(why.contributions) - len(self.parts)
        others = why.contributions.sum() - shown
        score, shown, others, bias = signed([why.score, shown, others, why.bias])
        n = why.n_images
        summands = [f"these parts {shown}", f"bias {bias}"]
        if n_others:
            noun = "others" if n_others > 1 else "other"
            summands.insert(1, f"{n_others} {noun} {others}")
        return (
            f"Contributions of parts to {explained_name(why.explained, why.outcome)}, "
            f"mean of {n} image{'s' if n > 1 else ''}\n{score_noun(why.outcome)} "
            f"{score}: {', '.join(summands)}"
        )
