"""A tree of prototypes, or the path of one image through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar

from skdpnet.display._images import ShownImage, parts_on_images
from skdpnet.display._layout import lay_out
from skdpnet.display._prototype_sources import prototype_sources
from skdpnet.display._pyplot import pyplot
from skdpnet.display._text import shorten, text_as_is
from skdpnet.explanations.crops import crop
from skdpnet.explanations.model_steps import find_parts
from skdpnet.images.collection import as_images
from skdpnet.prototypes.prototree import ProtoTreeClassifier
from skdpnet.prototypes.tree_path import TreePath
from skdpnet.utils.colours import AGAINST, FOR

__all__ = ["PrototypeTreeDisplay"]

# In inches: the columns and the rows of the tree, and a crop.
_COLUMN, _ROW, _CROP = 1.5, 1.95, 0.95
_FAINT = "0.7"


@dataclass
class PrototypeTreeDisplay:
    """A tree of prototypes, with the regions of training images that they are.

    Made by `from_estimator`. At each node, an image that has a region like the
    prototype goes to the right, others to the left. A leaf shows its most probable
    class; a subtree that is not drawn, the number of its leaves. With an image, its
    path is highlighted, and its own most similar region stands beside each prototype.

    Parameters
    ----------
    children : int64 ndarray of shape (N, 2)
        As `ProtoTreeClassifier.children_`.
    leaf_names : list of N + 1 str
        The most probable class of each leaf.
    leaf_probabilities : float64 ndarray of shape (N + 1,)
        Its probability.
    crops : dict of int to ShownImage
        The region that the prototype of a node is, of those nodes that are drawn.
    path : TreePath or None
    image : ShownImage or None
        The image whose path it is.
    image_crops : dict of int to ShownImage
        Its regions that are most similar to the prototypes of the path's nodes.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    skdpnet.ProtoTreeClassifier : The tree.
    PrototypeDisplay : The prototypes that speak most for a class.

    Examples
    --------
    >>> from torch import nn
    >>> from skdpnet import ProtoTreeClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.display import PrototypeTreeDisplay
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = ProtoTreeClassifier(
    ...     nn.AvgPool2d(8),  # mean colours, in place of a network
    ...     image_size=64,
    ...     depth=1,
    ...     random_state=0,
    ... ).fit(birds.images, birds.target)
    >>> display = PrototypeTreeDisplay.from_estimator(model, birds.images).plot()
    >>> sorted(display.crops)
    [0]
    """

    children: np.ndarray = field(repr=False)
    leaf_names: list[str]
    leaf_probabilities: np.ndarray = field(repr=False)
    crops: dict[int, ShownImage] = field(repr=False)
    path: TreePath | None = None
    image: ShownImage | None = field(default=None, repr=False)
    image_crops: dict[int, ShownImage] = field(default_factory=dict, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    ax_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls, estimator, X_train, *, image=None, max_depth: int = 3
    ) -> PrototypeTreeDisplay:
        """Cut out the regions that the prototypes of a tree are.

        Parameters
        ----------
        estimator : fitted ProtoTreeClassifier
            Fitted on images; or a search of it.
        X_train : images
            The images that the estimator was fitted on, in the same order.
        image : image, default=None
            An image whose path is shown. The tree is then drawn along the path alone,
            to its leaf.
        max_depth : int, default=3
            Number of levels of nodes that are drawn, without an image.

        Returns
        -------
        PrototypeTreeDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If it is no `ProtoTreeClassifier`, if it was fitted on precomputed features,
            which have no images, if X_train has too few images to be those of the fit,
            or if `max_depth` is below 1.
        TypeError
            If `max_depth` is not a whole number.
        skdpnet.images.ImageError
            If images cannot be read.
        """
        check_scalar(max_depth, "max_depth", Integral, min_val=1)
        model, _ = find_parts(estimator)
        if not isinstance(model, ProtoTreeClassifier):
            raise ValueError(
                f"{cls.__name__} draws a tree, and {type(model).__name__} has none: "
                "fit a ProtoTreeClassifier."
            )
        parts_on_images(estimator, cls.__name__)
        path, shown, image_crops = None, None, {}
        nodes = _upper_nodes(model.children_, max_depth)
        if image is not None:
            path = model.path(image, apply_exif=True)
            nodes = path.nodes.tolist()
            whole = as_images([image]).load(0)
            shown = ShownImage.of(whole)
            each = zip(nodes, path.boxes, strict=True)
            image_crops = {n: ShownImage.of(crop(whole, box)) for n, box in each}
        sources = prototype_sources(model, X_train, model.node_prototypes_[nodes])
        leaves = model.leaf_probabilities_
        return cls(
            children=model.children_,
            leaf_names=[str(label) for label in model.classes_[leaves.argmax(axis=1)]],
            leaf_probabilities=leaves.max(axis=1),
            crops={n: source.crop for n, source in zip(nodes, sources, strict=True)},
            path=path,
            image=shown,
            image_crops=image_crops,
        )

    def plot(self, ax=None) -> PrototypeTreeDisplay:
        """Draw the tree, or the path.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure.

        Returns
        -------
        self
        """
        plt = pyplot()

        places = self._places()
        x, y = np.array(list(places.values())).T
        width, height = x.max() - x.min() + 1.3, -y.min() + 0.9
        left = x.min() - 0.65
        if self.image is not None:
            left -= 1.6
            width += 1.6
        if ax is None:
            size = width * _COLUMN, height * _ROW
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, lay_out(ax)
        ax.set_xlim(left, left + width)
        ax.set_ylim(-height + 0.6, 0.6)
        ax.set_axis_off()
        for slot in list(places):
            if slot in self.crops:
                self._edges(slot, places)
        for slot, place in places.items():
            if slot in self.crops:
                self._node(slot, place)
            else:
                self._end(slot, place)
        if self.image is not None:
            _picture(ax, self.image, (left + 0.75, 0), 1.6, "the image", "black")
        ax.set_title(self._title(), fontsize=11)
        text_as_is(ax)
        return self

    def _title(self) -> str:
        if self.path is None:
            return "Does the image have a region like this? Left: no. Right: yes."
        sure = f"{self.path.distribution.max():.0%}"
        return (
            "Does the image have a region like the prototype?\n"
            f"The path of {self.path.probability:.0%} probability ends at "
            f"{shorten(self.path.predicted, 40)}, {sure} of its leaf"
        )

    def _places(self) -> dict[int, tuple[float, float]]:
        """Return where each slot that is drawn is: across, and its level below 0."""
        if self.path is not None:
            return self._places_of_path()
        # Ends are next to one another; a node is in the middle of its two slots.
        places: dict[int, tuple[float, float]] = {}
        n_ends = 0

        def place(slot: int, level: int) -> float:
            nonlocal n_ends
            if slot in self.crops:
                x = float(np.mean([place(s, level + 1) for s in self._slots(slot)]))
            else:
                x, n_ends = float(n_ends), n_ends + 1
            places[slot] = (x, -float(level))
            return x

        place(0, 0)
        return places

    def _places_of_path(self) -> dict[int, tuple[float, float]]:
        """Return the places of a path's slots, and of those that it leaves aside."""
        assert self.path is not None
        places, x = {}, 0.0
        for level, node in enumerate(self.path.nodes.tolist()):
            places[node] = (x, -float(level))
            left, right = self._slots(node)
            taken = bool(self.path.went_right[level])
            # Prototype and region take twice the room of a subtree that is left aside.
            step = 1.3 if taken else -1.3
            places[left if taken else right] = (x - step, -level - 1.0)
            places[right if taken else left] = (x + step, -level - 1.0)
            x += step
        return places

    def _slots(self, node: int) -> tuple[int, int]:
        left, right = self.children[node].tolist()
        return left, right

    def _edges(self, node: int, places: dict[int, tuple[float, float]]) -> None:
        """Draw what leads from a node to its two slots."""
        x, y = places[node]
        level = None if self.path is None else self.path.nodes.tolist().index(node)
        for side, slot in enumerate(self._slots(node)):
            colour, width, text = (AGAINST, FOR)[side], 1.5, ("no", "yes")[side]
            if self.path is not None:
                share = self.path.presences[level]
                text += f" {(1 - share, share)[side]:.0%}"
                on_path = bool(self.path.went_right[level]) == bool(side)
                width, colour = (4.0, colour) if on_path else (1.0, _FAINT)
            end_x, end_y = places[slot]
            self.ax_.plot(
                (x, end_x),
                (y, end_y + (0.0 if slot in self.crops else 0.12)),
                color=colour,
                lw=width,
                zorder=0,
            )
            self.ax_.annotate(
                text,
                ((x + end_x) / 2, (y + end_y) / 2),
                ha="center",
                va="center",
                fontsize=8,
                color=colour if colour != _FAINT else "0.35",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                zorder=1,
            )

    def _node(self, node: int, place: tuple[float, float]) -> None:
        """Draw a prototype, and the image's region beside it."""
        x, y = place
        if node not in self.image_crops:
            _picture(self.ax_, self.crops[node], (x, y), _CROP, "", "black")
            return
        first = node == 0
        for crops, shift, text in (
            (self.crops, -0.36, "prototype"),
            (self.image_crops, 0.36, "nearest region"),
        ):
            _picture(
                self.ax_,
                crops[node],
                (x + shift, y),
                _CROP,
                text if first else "",
                "black" if crops is self.crops else FOR,
            )

    def _end(self, slot: int, place: tuple[float, float]) -> None:
        """Write the class of a leaf, or the size of a subtree."""
        on_path = self.path is not None and slot == -1 - self.path.leaf
        if slot < 0:
            leaf = -1 - slot
            name = shorten(self.leaf_names[leaf], 16)
            text = f"{name}\n{self.leaf_probabilities[leaf]:.0%}"
        else:
            text = f"… {_count_leaves(self.children, slot)}\nleaves"
        is_faint = self.path is not None and not on_path
        self.ax_.text(
            *place,
            text,
            ha="center",
            va="center",
            fontsize=9,
            weight="bold" if on_path else "normal",
            color="0.4" if is_faint else "black",
            bbox={
                "boxstyle": "round",
                "facecolor": "white" if slot >= 0 else "0.93",
                "edgecolor": FOR if on_path else _FAINT,
                "linewidth": 2.5 if on_path else 1,
            },
            zorder=3,
        )


def _picture(
    axes, image: ShownImage, place: tuple[float, float], inches: float, text: str, frame
) -> None:
    """Draw an image of some size around a place, with a text above."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    height, width = image.pixels.shape[:2]
    box = OffsetImage(image.pixels, zoom=72 * inches / max(height, width))
    axes.add_artist(
        AnnotationBbox(
            box, place, pad=0.1, bboxprops={"edgecolor": frame, "linewidth": 2}
        )
    )
    if text:
        shift = 36 * inches + 8
        axes.annotate(
            text,
            place,
            (0, shift),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )


def _upper_nodes(children: np.ndarray, max_depth: int) -> list[int]:
    """Return the nodes of the first levels of a tree."""
    nodes, level = [], [0]
    for _ in range(max_depth):
        nodes += level
        level = [slot for node in level for slot in children[node] if slot >= 0]
    return [int(node) for node in nodes]


def _count_leaves(children: np.ndarray, node: int) -> int:
    slots, n_leaves = [node], 0
    for slot in slots:  # it grows on the way
        if slot >= 0:
            slots += children[slot].tolist()
        else:
            n_leaves += 1
    return n_leaves
