"""Which parts speak for which classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skdpnet.display._colours import diverging
from skdpnet.display._layout import lay_out
from skdpnet.display._text import shorten, text_as_is
from skdpnet.explanations.readout import linear_readout
from skdpnet.utils.validation import class_number

__all__ = ["ClassPartMatrixDisplay"]

_FONT = 7.0


@dataclass
class ClassPartMatrixDisplay:
    """The weights of all parts for all classes, as a coloured matrix.

    Made by `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (C, P)
        V_cp.
    class_names : list of str
        Of the rows.
    part_names : list of str
        Of the columns.
    owners : list of str
        Class that each column's part was learned for; those of one follow another.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.display import ClassPartMatrixDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier(
    ...     backbone="precomputed", n_parts_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> display = ClassPartMatrixDisplay.from_estimator(model)
    >>> display.weights.shape, display.part_names[:3]
    ((3, 6), ['0_part0', '0_part1', '1_part0'])
    """

    weights: np.ndarray = field(repr=False)
    class_names: list[str] = field(repr=False)
    part_names: list[str] = field(repr=False)
    owners: list[str] = field(repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    ax_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, *, classes: Sequence | None = None
    ) -> ClassPartMatrixDisplay:
        """Read the weights of a model.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it.
        classes : sequence of labels, default=None
            Rows, and whose parts the columns are; None: all.

        Returns
        -------
        ClassPartMatrixDisplay

        Raises
        ------
        NotFittedError
        ValueError
            If the model's classifier is not linear, if there is no such class, and if
            `classes` is empty.
        """
        if classes is not None and len(classes) == 0:
            raise ValueError("classes is empty: name some, or pass None for all.")
        readout = linear_readout(estimator)
        labels, part_classes = readout.classes.tolist(), readout.parts.part_classes_
        learned_for = readout.parts.classes_[part_classes].tolist()
        if classes is None:
            rows = list(range(len(labels)))
            # Parts come map by map; those of one class belong together here.
            columns = np.argsort(part_classes, kind="stable").tolist()
        else:
            rows = [class_number(readout.classes, label) for label in classes]
            columns = [
                p
                for label in classes
                for p, own in enumerate(learned_for)
                if own == label
            ]
        names = readout.parts.get_feature_names_out()
        return cls(
            readout.coef[np.ix_(rows, columns)],
            [str(labels[c]) for c in rows],
            [str(names[p]) for p in columns],
            [str(learned_for[p]) for p in columns],
        )

    def plot(self, ax=None) -> ClassPartMatrixDisplay:
        """Draw the matrix and a colour bar.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: of a new figure.

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt

        n_classes, n_parts = self.weights.shape
        if ax is None:
            size = np.clip([3 + 0.12 * n_parts, 2.5 + 0.16 * n_classes], 4.5, 11)
            _, ax = plt.subplots(figsize=tuple(size), layout="constrained")
        self.ax_, self.figure_ = ax, lay_out(ax)
        limit = np.abs(self.weights).max() or 1.0
        cells, pixels = np.array([n_parts, n_classes]), ax.get_window_extent().size
        drawn = ax.imshow(
            self.weights,
            cmap=diverging(),
            vmin=-limit,
            vmax=limit,
            origin="upper",
            aspect="auto",
            # Many columns are averaged where they share pixels; few keep sharp edges.
            interpolation="nearest" if max(cells / pixels) < 0.5 else "antialiased",
        )
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=30)
        bar.set_label("weight", fontsize=9)
        bar.ax.tick_params(labelsize=8)
        self._ticks()
        text_as_is(ax)
        return self

    def _ticks(self) -> None:
        """Name as many rows and columns as can be read."""
        box = self.ax_.get_window_extent()
        tall, wide = (72 * side / self.figure_.dpi for side in (box.height, box.width))
        every = _step(len(self.class_names), tall)
        places = np.arange(len(self.class_names))[::every]
        names = [shorten(self.class_names[c], 30) for c in places]
        self.ax_.set_yticks(places, names, fontsize=_FONT)
        self.ax_.set_ylabel("class" + _skipped(every), fontsize=9)
        self._part_ticks(wide)

    def _part_ticks(self, wide: float) -> None:
        owners = np.array(self.owners)
        starts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1)]
        edges = np.array([*starts, len(self.owners)])
        if _step(len(self.part_names), wide) == 1:
            places, names = np.arange(len(self.part_names)), self.part_names
            label = "part"
        else:
            every = _step(len(starts), wide)
            places = ((edges[:-1] + edges[1:] - 1) / 2)[::every]
            names = [self.owners[p] for p in starts[::every]]
            label = "parts, by the class they were learned for" + _skipped(every)
        short = [shorten(name, 24) for name in names]
        needed = max(map(len, short)) * 0.65 * _FONT
        turn = 0 if needed < wide / len(short) else 90
        self.ax_.set_xticks(places, short, fontsize=_FONT, rotation=turn)
        self.ax_.set_xlabel(label, fontsize=9)
        if _step(3 * len(starts), wide) == 1:
            for edge in edges[1:-1]:
                self.ax_.axvline(edge - 0.5, color="0.6", linewidth=0.5)


def _step(n: int, points: float) -> int:
    """Tell which of n equal steps can be named on so many points: each one, or 2nd."""
    return max(1, -int(-(n * 1.3 * _FONT) // points))


def _skipped(every: int) -> str:
    return "" if every == 1 else f" (one in {every} is named)"
