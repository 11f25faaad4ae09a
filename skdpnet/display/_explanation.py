"""The whole explanation of one image in one figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._best_regions import draw_regions
from skdpnet.display._boxes import badge_places, badges, part_legend
from skdpnet.display._colours import sign_colours
from skdpnet.display._heat_map import check_vmax, draw_heat, explain_one
from skdpnet.display._images import ShownImage
from skdpnet.display._layout import new_place
from skdpnet.display._text import (
    fitting,
    headline,
    score_noun,
    shorten,
    signed,
    text_as_is,
    wrap,
)
from skdpnet.explanations.explanation import Explanation
from skdpnet.utils.colours import part_colours

__all__ = ["ExplanationDisplay"]


@dataclass
class ExplanationDisplay:
    """An image's best regions, its heat map and what each part adds to the score.

    Made by `from_estimator`.

    Parameters
    ----------
    image : ShownImage
    explanation : Explanation
        Its boxes are in pixels of the upright image.
    n_parts : int, default=5
        Largest number of parts that are shown one by one.

    Attributes
    ----------
    parts : int ndarray of shape (k,)
        Numbers of those parts, which speak most for the class.
    summands : list of (str, float)
        What adds up to the score: those parts; the sums of all others, by whether
        they are present (respond more than in an average training image) and by
        whether they speak for the class; and the bias.
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (3,) of matplotlib Axes
        Regions, heat map, contributions.

    See Also
    --------
    skdpnet.explain : The numbers that are drawn.
    BestRegionsDisplay : The regions of several images.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import ExplanationDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = DPNetClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_parts_per_class=2,
    ...     max_epochs=0,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = ExplanationDisplay.from_estimator(model, birds.images[0]).plot()
    >>> score = sum(value for _, value in display.summands)
    >>> bool(abs(score - display.explanation.score) < 1e-6)
    True
    """

    image: ShownImage
    explanation: Explanation
    n_parts: int = 5
    parts: np.ndarray = field(init=False, repr=False)
    summands: list[tuple[str, float]] = field(init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        why = self.explanation
        self.parts = why.top_parts(self.n_parts)
        self.summands = [
            (str(why.part_names[p]), float(why.contributions[p])) for p in self.parts
        ]
        rest = np.ones(len(why.contributions), bool)
        rest[self.parts] = False
        present = why.present
        is_target = why.readout.outcome == "target"
        pro, con = ("raising", "lowering") if is_target else ("for", "against")
        speaks_for, speaks_against = why.contributions > 0, why.contributions < 0
        more = "more present" if len(self.parts) else "present"
        for group, description in (
            (present & speaks_for & rest, f"{more}, {pro} it"),
            (~present & speaks_for & rest, f"absent, {pro} it"),
            (present & speaks_against & rest, f"present, {con} it"),
            (~present & speaks_against & rest, f"absent, {con} it"),
        ):
            if group.any():
                total = float(why.contributions[group].sum())
                self.summands.append((f"{group.sum()} {description}", total))
        self.summands.append(("bias", why.bias))

    @classmethod
    def from_estimator(
        cls, estimator, image, class_=None, *, against=None, n_parts: int = 5
    ) -> ExplanationDisplay:
        """Explain an image's score.

        Parameters
        ----------
        estimator : fitted classifier
            As `skdpnet.explain` takes it, fitted on images.
        image : image
        class_ : label, default=None
            None: the predicted class.
        against : label, default=None
            Another class: the figure then explains why `class_` and not this one.
        n_parts : int, default=5
            Number of parts that are shown; fewer where fewer speak for the class.

        Returns
        -------
        ExplanationDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model, or a step of it, is not fitted.
        ValueError
            If there is no such class, if `against` is the explained class, if the
            model cannot be explained (`skdpnet.explain`), if it was fitted on
            precomputed features, which have no images, or if `n_parts` is below 1.
        TypeError
            If `n_parts` is not a whole number.
        skdpnet.images.ImageError
            If the image cannot be read.
        """
        check_scalar(n_parts, "n_parts", Integral, min_val=1)
        return cls(
            *explain_one(estimator, image, class_, against, cls.__name__), n_parts
        )

    def plot(self, ax=None, *, vmax: float | None = None) -> ExplanationDisplay:
        """Draw the three panels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes that the panels replace; None: a new figure.
        vmax : float > 0, default=None
            The value of the heat map that has the strongest colour, as in
            `HeatMapDisplay.plot`. None: the largest of this image.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `ax` is not part of a grid, or if `vmax` is not a finite number above 0.
        """
        check_vmax(vmax)
        why = self.explanation
        shape = self.image.size[1] / self.image.size[0]
        panel_height = float(np.clip(3.6 * shape, 3.0, 5.5))
        self.figure_, place, (width, height) = new_place(ax, (13.5, panel_height + 0.9))
        if width > 1.6 * height:
            regions, heat, bars = place.subplots(1, 3)
        else:
            top, below = place.subfigures(2, 1, height_ratios=(3, 2))
            (regions, heat), bars = top.subplots(1, 2), below.subplots()
        self.axes_ = np.array([regions, heat, bars])
        boxes = why.boxes[self.parts]
        draw_regions(regions, self.image, boxes)
        noun = score_noun(why.readout.outcome)
        is_target = noun == "prediction"
        none = f"no present part {'raises' if is_target else 'speaks for'} it"
        regions.set_title("the strongest parts" if len(boxes) else none, fontsize=10)
        unseen = draw_heat(
            heat, self.image, why.heat_map_box, why.heat_map(), noun, vmax
        )
        badges(heat, badge_places(boxes, self.image.size, centred=True))
        verbs = "raises and lowers" if is_target else "speaks for and against"
        heat.set_title(f"what {verbs} it", fontsize=10)
        # The legend has no parts: they are listed beside the bars.
        part_legend(heat, [], np.empty(0), 0, unseen)
        self._bars(bars)
        place.suptitle(wrap(headline(why), fitting(0.95 * width, 12)), fontsize=12)
        text_as_is(place)
        return self

    def _bars(self, axes) -> None:
        """Draw what adds up to the score."""
        names, values = zip(*self.summands, strict=True)
        rows = np.arange(len(names))
        axes.barh(rows, values, color=sign_colours(values), height=0.7)
        axes.bar_label(axes.containers[0], signed(values), padding=3, fontsize=9)
        labels = [shorten(name, 28) for name in names]
        axes.set_yticks(rows, labels, fontsize=9)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        # Leave room for the numbers on either side, even if all bars have one sign.
        axes.use_sticky_edges = False
        axes.margins(x=0.3)
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.tick_params(axis="x", labelsize=8)
        noun = score_noun(self.explanation.readout.outcome)
        axes.set_xlabel(f"contribution to the {noun}", fontsize=9)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        (score,) = signed(self.explanation.score)
        axes.set_title(f"sum: {score}", fontsize=10)
        for rank, colour in enumerate(part_colours(len(self.parts))):
            axes.annotate(
                str(rank + 1),
                (0, rank),
                (-9, 0),
                textcoords="offset points",
                fontsize=8,
                weight="bold",
                ha="center",
                va="center",
                color="black",
                bbox={"facecolor": colour, "edgecolor": "black", "pad": 1.5},
            )
