"""Drawing what the parts found: matplotlib Displays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from skdpnet.explaining import best_regions
from skdpnet.images import as_images

__all__ = ["BestRegionsDisplay"]

# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7")
_MAX_COLUMNS = 4


@dataclass
class BestRegionsDisplay:
    """Pictures with the regions of the parts that speak most for a class.

    Made by `from_estimator`.

    Parameters
    ----------
    images : list of ndarray of shape (h, w, 3)
        Upright pictures.
    boxes : list of ndarray of shape (k, 4)
        (left, top, right, bottom) in pixels of each picture, strongest part first.
    contributions : list of ndarray of shape (k,)
        What each of those parts adds to the class's logit.
    part_names : list of list of str
    titles : list of str

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of matplotlib Axes
    """

    images: list[np.ndarray]
    boxes: list[np.ndarray]
    contributions: list[np.ndarray]
    part_names: list[list[str]]
    titles: list[str]
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, X, y: Sequence | np.ndarray | None = None, *, n_parts: int = 3
    ) -> BestRegionsDisplay:
        """Find the parts that speak most for each picture's predicted class.

        Parameters
        ----------
        estimator : fitted DPNetClassifier
        X : pictures
            List or array, as `DPNetClassifier.predict` takes them.
        y : array-like of labels, default=None
            True classes; a wrong prediction is then marked in the title.
        n_parts : int, default=3
            Parts shown in each picture; fewer where fewer speak for the class.

        Returns
        -------
        BestRegionsDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "coef_") or estimator._takes_features():
            raise ValueError(
                "BestRegionsDisplay needs a DPNetClassifier fitted on pictures, got "
                f"{estimator!r}."
            )
        if y is not None:
            y = column_or_1d(y)
            check_consistent_length(X, y)
        descriptor = estimator.transform(X)
        logits = descriptor @ estimator.coef_.T + estimator.intercept_
        found = best_regions(estimator, X, upright=True)
        names = estimator.get_feature_names_out()
        pictures = as_images(X)
        display = cls([], [], [], [], [])
        for i, winner in enumerate(logits.argmax(axis=1)):
            added = estimator.coef_[winner] * descriptor[i]
            top = np.argsort(-added)[:n_parts]
            top = top[added[top] > 0]
            display.images.append(np.asarray(pictures.load(i)))
            display.boxes.append(found.boxes[i, top])
            display.contributions.append(added[top])
            display.part_names.append([str(names[p]) for p in top])
            title = str(estimator.classes_[winner])
            if y is not None and y[i] != estimator.classes_[winner]:
                title += f"\n(is {y[i]})"
            display.titles.append(title)
        return display

    def _apart(self, i: int, rank: int) -> np.ndarray:
        """Return a box, a little larger for each stronger part in the same place."""
        box = self.boxes[i][rank]
        same = sum(np.array_equal(box, other) for other in self.boxes[i][:rank])
        outset = 0.02 * same * max(self.images[i].shape[:2])
        return box + outset * np.array([-1, -1, 1, 1])

    def plot(self) -> BestRegionsDisplay:
        """Draw one panel a picture, the boxes numbered from the strongest part.

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt
        from matplotlib.patches import Rectangle

        n = len(self.images)
        columns = min(n, _MAX_COLUMNS)
        rows = -(-n // columns)
        self.figure_, self.axes_ = plt.subplots(
            rows,
            columns,
            figsize=(3.2 * columns, 4.1 * rows),
            squeeze=False,
            layout="constrained",
        )
        for axes in self.axes_.flat:
            axes.set_axis_off()
        for i, axes in enumerate(self.axes_.flat[:n]):
            axes.imshow(self.images[i])
            axes.set_title(self.titles[i], fontsize=11)
            lines: list[str] = []
            # The strongest last, so that its frame lies on top.
            for rank in reversed(range(len(self.boxes[i]))):
                left, top, right, bottom = self._apart(i, rank)
                colour = _COLOURS[rank % len(_COLOURS)]
                for width, edge in ((4.5, "black"), (2.5, colour)):
                    axes.add_patch(
                        Rectangle(
                            (left, top),
                            right - left,
                            bottom - top,
                            fill=False,
                            linewidth=width,
                            edgecolor=edge,
                        )
                    )
                axes.text(
                    left + 3,
                    top + 3,
                    str(rank + 1),
                    fontsize=9,
                    weight="bold",
                    va="top",
                    color="black",
                    bbox={"facecolor": colour, "pad": 1.5, "linewidth": 0},
                )
                name, added = self.part_names[i][rank], self.contributions[i][rank]
                lines.insert(0, f"{rank + 1}  {name}  {added:+.2f}")
            axes.text(
                0.5,
                -0.03,
                "\n".join(lines),
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=9,
            )
        return self
