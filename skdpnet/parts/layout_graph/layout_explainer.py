"""The explanation of a classifier that sees an image as a graph."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.explanations.localisation import boxes_in_pixels
from skdpnet.images.collection import as_images
from skdpnet.parts.layout_graph.layout import LayoutGraph, layout_graph
from skdpnet.parts.layout_graph.model import GraphOutput
from skdpnet.parts.layout_graph.nodes import Nodes
from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.validation import class_number

__all__ = ["LayoutExplainer"]


class LayoutExplainer(MapEstimator):
    """Base of a classifier that sees an image as a graph, and explains itself by it.

    A subclass sets `classes_`, `grids_` and `layers_`, and implements `_iter_outputs`.
    """

    classes_: np.ndarray
    grids_: list[RegionGrid]
    layers_: dict[str, np.ndarray]

    @abstractmethod
    def _iter_outputs(self, X) -> Iterator[tuple[Nodes, GraphOutput]]:
        """Run the network on some images of X at a time."""

    def explain_layout(
        self, X, class_=None, *, apply_exif: bool = False
    ) -> list[LayoutGraph]:
        """Return the graphs of images, and what each region adds to a score.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.
        class_ : label, default=None
            The class whose score is explained. None: the predicted class of each image.
        apply_exif : bool, default=False
            Whether boxes are in pixels of the image with its EXIF orientation applied,
            as viewers show it, or of the image as it is stored.

        Returns
        -------
        list of LayoutGraph
            One for each image.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such class, if the maps of X have other shapes than in `fit`,
            or if X is unusable.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.

        See Also
        --------
        skdpnet.display.LayoutGraphDisplay : Draws the graph of an image.
        """
        check_is_fitted(self)
        c = None if class_ is None else class_number(self.classes_, class_)
        images = None if self.is_precomputed else as_images(X)
        graphs: list[LayoutGraph] = []
        for nodes, output in self._iter_outputs(X if images is None else images):
            for i in range(len(output.scores)):
                boxes = self._boxes_of(nodes, i)
                if images is not None:
                    geometry, framing = (
                        images.geometry(len(graphs)),
                        self.input_framing(),
                    )
                    boxes = boxes_in_pixels(
                        [geometry], boxes[None], framing, apply_exif
                    )[0]
                explained = layout_graph(
                    nodes, output, i, boxes, self.classes_, self.layers_, c
                )
                graphs.append(explained)
        return graphs

    def _boxes_of(self, nodes: Nodes, i: int) -> np.ndarray:
        """Return the regions (k, 4) of an image in shares of the maps' sides."""
        boxes = [
            grid.boxes()[regions[i].cpu().numpy()]
            for grid, regions in zip(self.grids_, nodes.regions, strict=True)
        ]
        return np.concatenate(boxes)[nodes.present[i].cpu().numpy()]
