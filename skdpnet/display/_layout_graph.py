"""The regions of an image as a graph: what each adds to a score, and its relations."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._boxes import draw_box
from skdpnet.display._colours import sign_colours
from skdpnet.display._images import ShownImage
from skdpnet.display._layout import new_place
from skdpnet.display._text import fitting, shorten, signed, text_as_is, wrap
from skdpnet.images.collection import as_images
from skdpnet.parts.layout_graph.estimator import LayoutGraphClassifier
from skdpnet.parts.layout_graph.layout import Edge, LayoutGraph

__all__ = ["LayoutGraphDisplay"]

# Width of the edge of the largest weight, in points.
_WIDEST = 3.5
_TITLES = {"spatial": "by where they lie", "semantic": "by how much they are alike"}


@dataclass
class LayoutGraphDisplay:
    """The regions that speak most for a class and against it, and what they look at.

    Made by `from_estimator`. There is a panel for each of the two relations. Frames are
    vermilion for regions that speak for the class and blue for those against it, with
    the contribution. An arrow goes from such a region to one that it looks at, and is
    the wider, the larger its weight. A region that is looked at only is a white dot.

    Parameters
    ----------
    image : ShownImage
    graph : LayoutGraph
        Its boxes are in pixels of the upright image.
    n_regions : int, default=5
        Number of regions that are framed.
    n_edges : int, default=3
        Number of arrows from each.

    Attributes
    ----------
    regions : int ndarray of shape (k,)
        Numbers of the framed regions, those of the largest absolute contribution.
    edges : dict of str to list of Edge
        The arrows of the relations ``"spatial"`` and ``"semantic"``.
    figure_ : matplotlib Figure
    axes_ : ndarray of shape (2,) of matplotlib Axes

    See Also
    --------
    skdpnet.LayoutGraphClassifier : Classifies images by such graphs.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import LayoutGraphClassifier
    >>> from skdpnet.datasets import make_arrangement_images
    >>> from skdpnet.display import LayoutGraphDisplay
    >>> data = make_arrangement_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = LayoutGraphClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     n_regions=6,
    ...     max_epochs=1,
    ...     random_state=0,
    ... ).fit(data.images, data.target)
    >>> display = LayoutGraphDisplay.from_estimator(model, data.images[0]).plot()
    >>> len(display.regions), len(display.edges["spatial"])
    (5, 15)
    """

    image: ShownImage
    graph: LayoutGraph
    n_regions: int = 5
    n_edges: int = 3
    regions: np.ndarray = field(init=False, repr=False)
    edges: dict[str, list[Edge]] = field(init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    axes_: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        order = np.argsort(-np.abs(self.graph.contributions), kind="stable")
        self.regions = order[: self.n_regions]
        self.edges = {
            relation: self.graph.edges(relation, self.regions, self.n_edges)
            for relation in _TITLES
        }

    @classmethod
    def from_estimator(
        cls, estimator, image, class_=None, *, n_regions: int = 5, n_edges: int = 3
    ) -> LayoutGraphDisplay:
        """Explain an image's score by its graph.

        Parameters
        ----------
        estimator : fitted LayoutGraphClassifier
            Fitted on images; or a fitted search of it.
        image : image
        class_ : label, default=None
            None: the predicted class.
        n_regions : int, default=5
            Number of regions that are framed.
        n_edges : int, default=3
            Number of arrows from each.

        Returns
        -------
        LayoutGraphDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If it is no `LayoutGraphClassifier`, if it was fitted on precomputed
            features, which have no images, if there is no such class, or if `n_regions`
            or `n_edges` is below 1.
        TypeError
            If `n_regions` or `n_edges` is not a whole number.
        skdpnet.images.ImageError
            If the image cannot be read.
        """
        check_scalar(n_regions, "n_regions", Integral, min_val=1)
        check_scalar(n_edges, "n_edges", Integral, min_val=1)
        model = getattr(estimator, "best_estimator_", estimator)
        if not isinstance(model, LayoutGraphClassifier):
            raise ValueError(
                f"{cls.__name__} draws a graph, and {type(model).__name__} has none: "
                "fit a LayoutGraphClassifier."
            )
        if model.is_precomputed:
            raise ValueError(
                f"{cls.__name__} draws images, and this model was fitted on "
                'backbone="precomputed", which has none: fit one on images.'
            )
        images = as_images([image])
        (graph,) = model.explain_layout(images, class_, apply_exif=True)
        return cls(ShownImage.of(images.load(0)), graph, n_regions, n_edges)

    def plot(self, ax=None) -> LayoutGraphDisplay:
        """Draw the two panels.

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
        width, height = self.image.size
        panel = float(np.clip(4.6 * height / width, 2.6, 6.0))
        self.figure_, place, (inches, _) = new_place(ax, (9.6, panel + 0.9))
        self.axes_ = place.subplots(1, 2)
        for axes, relation in zip(self.axes_, _TITLES, strict=True):
            self._panel(axes, relation)
        graph = self.graph
        (score,) = signed(graph.score)
        other = "" if graph.explained == graph.predicted else ", not predicted"
        title = f"score of {shorten(graph.explained, 40)}{other}: {score}"
        place.suptitle(wrap(title, fitting(0.95 * inches, 12)), fontsize=12)
        text_as_is(place)
        return self

    def _panel(self, axes, relation: str) -> None:
        """Draw the framed regions and the arrows of one relation."""
        self.image.draw(axes, grey=True)
        boxes, framed = self.graph.boxes, set(self.regions.tolist())
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        contributions = self.graph.contributions[self.regions]
        colours = dict(
            zip(self.regions.tolist(), sign_colours(contributions), strict=True)
        )
        # The strongest region's frame is on top.
        for i in self.regions[::-1]:
            draw_box(axes, boxes[i], colours[int(i)])
        edges = self.edges[relation]
        largest = max((edge.weight for edge in edges), default=1.0)
        for source, target, weight in edges:
            if target not in framed:
                axes.plot(*centres[target], "o", color="white", markersize=4)
            axes.annotate(
                "",
                centres[target],
                centres[source],
                arrowprops={
                    "arrowstyle": "-|>",
                    "linewidth": max(0.3, _WIDEST * weight / largest),
                    "color": colours[source],
                    "shrinkA": 0,
                    "shrinkB": 2,
                },
            )
        texts = signed(contributions)
        for i, text in zip(self.regions.tolist(), texts, strict=True):
            axes.text(
                *centres[i],
                text,
                fontsize=8,
                weight="bold",
                ha="center",
                va="center",
                color="black",
                zorder=5,
                bbox={"facecolor": colours[i], "edgecolor": "black", "pad": 1.5},
            )
        axes.set_title(f"what regions look at, {_TITLES[relation]}", fontsize=10)
