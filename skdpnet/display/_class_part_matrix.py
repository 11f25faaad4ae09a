"""Which parts speak for which classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.display._colours import diverging
from skdpnet.display._layout import lay_out
from skdpnet.display._pyplot import pyplot
from skdpnet.display._text import shorten, text_as_is
from skdpnet.explanations.readout import read_model
from skdpnet.utils.validation import class_number

__all__ = ["ClassPartMatrixDisplay"]

_FONT = 7.0
# Not the name of a class, which may be "shared".
_SHARED = "(shared)"


@dataclass
class ClassPartMatrixDisplay:
    """The weights of all parts for all classes, as a coloured matrix.

    Made by `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_classes, n_parts)
        V_cp.
    class_names : list of str
        Names of the rows.
    part_names : list of str
        Names of the columns.
    owners : list of str
        The class that each column's part was learned for, ``"(shared)"`` for a part
        that classes share. The columns of one owner are adjacent.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes

    See Also
    --------
    ParticipationDisplay : The parts' mean contributions to one class, also where the
        decision has no weights.

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
    ((3, 9), ['0_part0', '0_part1', '0_context'])
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
            Classes of the rows. The columns are the parts that were learned for them,
            and those shared parts that have a weight other than 0 for one of them.
            None: all classes and parts.

        Returns
        -------
        ClassPartMatrixDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If the model's decision is not linear in the descriptor and so has no
            weights, if it is a regressor, if there is no such class, if `classes` is
            empty, or if no part belongs to them.
        """
        if classes is not None and len(classes) == 0:
            raise ValueError("classes is empty: name some, or pass None for all.")
        parts, readout = read_model(estimator)
        if readout.outcome == "target":
            raise ValueError(
                "the matrix compares classes by the parts of each, and a regressor has "
                "no classes: ParticipationDisplay shows the weights of a target."
            )
        labels = readout.classes.tolist()
        if classes is None:
            rows = list(range(len(labels)))
        else:
            rows = [class_number(readout.classes, label) for label in classes]
        weights = []
        for c in rows:
            row = readout.weights(c)
            if row is None:
                raise ValueError(
                    "the decision of this model is not linear in the parts' responses, "
                    "so it has no weights to draw; ParticipationDisplay shows the "
                    "parts' mean contributions instead."
                )
            weights.append(row)
        columns = _columns(parts, classes, np.abs(weights).max(axis=0) > 0)
        if len(columns) == 0:
            raise ValueError(f"no part belongs to the classes {list(classes or [])}.")
        names, owners = parts.get_part_names(), _owners(parts)
        return cls(
            np.stack(weights)[:, columns],
            [str(labels[c]) for c in rows],
            [str(names[p]) for p in columns],
            [owners[p] for p in columns],
        )

    def plot(self, ax=None) -> ClassPartMatrixDisplay:
        """Draw the matrix and a colour bar.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None: those of a new figure.

        Returns
        -------
        self
        """
        plt = pyplot()

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
            # Columns are averaged where several share a pixel; few keep sharp edges.
            interpolation="nearest" if max(cells / pixels) < 0.5 else "antialiased",
        )
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=30)
        bar.set_label("weight", fontsize=9)
        bar.ax.tick_params(labelsize=8)
        self._ticks()
        text_as_is(ax)
        return self

    def _ticks(self) -> None:
        """Name as many rows and columns as there is room for."""
        box = self.ax_.get_window_extent()
        height, width = (72 * side / self.figure_.dpi for side in box.size[::-1])
        every = _step(len(self.class_names), height)
        places = np.arange(len(self.class_names))[::every]
        names = [shorten(self.class_names[c], 30) for c in places]
        self.ax_.set_yticks(places, names, fontsize=_FONT)
        self.ax_.set_ylabel("class" + _skipped(every), fontsize=9)
        self._part_ticks(width)

    def _part_ticks(self, width: float) -> None:
        """Name the columns, by their parts or by their owners, on a width in points."""
        owners = np.array(self.owners)
        starts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1)]
        edges = np.array([*starts, len(self.owners)])
        if _step(len(self.part_names), width) == 1:
            places, names = np.arange(len(self.part_names)), self.part_names
            label = "part"
        else:
            every = _step(len(starts), width)
            places = ((edges[:-1] + edges[1:] - 1) / 2)[::every]
            names = [self.owners[p] for p in starts[::every]]
            label = "parts, by the class they were learned for" + _skipped(every)
        short = [shorten(name, 24) for name in names]
        needed = max(map(len, short)) * 0.65 * _FONT
        rotation = 0 if needed < width / len(short) else 90
        self.ax_.set_xticks(places, short, fontsize=_FONT, rotation=rotation)
        self.ax_.set_xlabel(label, fontsize=9)
        if _step(3 * len(starts), width) == 1:
            for edge in edges[1:-1]:
                self.ax_.axvline(edge - 0.5, color="0.6", linewidth=0.5)


def _columns(
    parts: PartEstimator, classes: Sequence | None, in_use: np.ndarray
) -> list[int]:
    """Return the parts of some classes, class by class, and then the shared ones.

    Parameters
    ----------
    parts : PartEstimator
    classes : sequence of labels, or None
        None: all, in the order of the parts' classes.
    in_use : bool ndarray of shape (P,)
        Whether a shared part belongs to the columns of `classes`.
    """
    part_classes = parts.part_classes_
    shared = part_classes < 0
    if classes is None:
        # Parts are numbered map by map, but here those of one class are adjacent.
        order = np.argsort(part_classes, kind="stable")
        return [*order[~shared[order]].tolist(), *np.flatnonzero(shared).tolist()]
    learned_for = parts.classes_.tolist()
    return [
        p
        for label in classes
        for p, c in enumerate(part_classes.tolist())
        if c >= 0 and learned_for[c] == label
    ] + np.flatnonzero(shared & in_use).tolist()


def _owners(parts: PartEstimator) -> list[str]:
    """Return the name of the class that each part was learned for."""
    names = parts.classes_.tolist()
    return [str(names[c]) if c >= 0 else _SHARED for c in parts.part_classes_.tolist()]


def _step(n: int, points: float) -> int:
    """Return k such that every k-th of n equal steps on so many points can be named."""
    return max(1, -int(-(n * 1.3 * _FONT) // points))


def _skipped(every: int) -> str:
    return "" if every == 1 else f" (one in {every} is named)"
