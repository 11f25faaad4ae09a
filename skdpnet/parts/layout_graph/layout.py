"""The graph of an image: its regions, their relations, and what each contributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from skdpnet.parts.layout_graph.model import GraphOutput, contributions
from skdpnet.parts.layout_graph.nodes import Nodes

__all__ = ["Edge", "LayoutGraph", "layout_graph"]


class Edge(NamedTuple):
    """A region that another looks at.

    Attributes
    ----------
    source, target : int
        The region that looks, and the one that it looks at.
    weight : float
        The weight of the target, of which those of all targets sum to 1.
    """

    source: int
    target: int
    weight: float


@dataclass(frozen=True, eq=False)
class LayoutGraph:
    """The regions of an image as the nodes of a graph, and the score of a class.

    `LayoutGraphClassifier.explain_layout` returns it. There are k regions and C
    classes.

    Attributes
    ----------
    predicted, explained : label
        The class with the largest score, and the one whose score is explained.
    score : float
        The score (logit) of the explained class, ``contributions.sum() + bias``.
    contributions : float64 ndarray of shape (k,)
        What each region adds to the score: its share of the means over the regions, and
        those maxima that are its own.
    bias : float
        The score of an image without regions.
    classes : ndarray of shape (C,)
        The classes of the model.
    scores : float64 ndarray of shape (C,)
        The scores of all classes.
    boxes : float64 ndarray of shape (k, 4)
        The regions: (left, top, right, bottom) in pixels of the image, either as it is
        stored or with its EXIF orientation applied. For precomputed features, in shares
        of the map's sides.
    regions, region_maps : int ndarrays of shape (k,)
        The number of each region in the grid of its map, and the number of the map. On
        a map, regions of more energy come first.
    spatial, semantic : float32 ndarrays of shape (k, k)
        The relations. Row i holds the weights of the regions that region i looks at,
        which sum to 1: by where they lie to it, and by how much they are alike.
    """

    predicted: Any
    explained: Any
    score: float
    contributions: np.ndarray = field(repr=False)
    bias: float
    classes: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)
    regions: np.ndarray = field(repr=False)
    region_maps: np.ndarray = field(repr=False)
    spatial: np.ndarray = field(repr=False)
    semantic: np.ndarray = field(repr=False)

    def top_regions(self, n: int | None = None) -> np.ndarray:
        """Find the regions that raise the score.

        Parameters
        ----------
        n : int, default=None
            Maximal number of regions; None: all.

        Returns
        -------
        int ndarray
            Numbers of the regions, largest contribution first. It may be empty.
        """
        order = np.argsort(-self.contributions, kind="stable")
        return order[self.contributions[order] > 0][:n]

    def edges(self, relation: str, sources: np.ndarray, n: int = 1) -> list[Edge]:
        """Find the regions that some regions look at most, beside themselves.

        Parameters
        ----------
        relation : {"spatial", "semantic"}
        sources : int ndarray
            Numbers of the regions that look.
        n : int, default=1
            Number of targets of each.

        Returns
        -------
        list of Edge
            Source by source, largest weight first.

        Raises
        ------
        ValueError
            If there is no such relation.
        """
        if relation not in ("spatial", "semantic"):
            raise ValueError(
                f"relation must be 'spatial' or 'semantic', got {relation!r}."
            )
        weights = self.spatial if relation == "spatial" else self.semantic
        found = []
        for i in map(int, sources):
            order = np.argsort(-weights[i], kind="stable")
            targets = order[order != i][:n].tolist()
            found += [Edge(i, j, float(weights[i, j])) for j in targets]
        return found


def layout_graph(
    nodes: Nodes,
    output: GraphOutput,
    i: int,
    boxes: np.ndarray,
    classes: np.ndarray,
    layers: dict[str, np.ndarray],
    c: int | None,
) -> LayoutGraph:
    """Explain the score of a class in one of some images.

    Parameters
    ----------
    nodes : Nodes
    output : GraphOutput
        Of the same images.
    i : int
        The number of the image among them.
    boxes : ndarray of shape (k, 4)
        Its regions, in the units of the result.
    classes : ndarray of shape (C,)
    layers : dict of str to ndarray
        The weights of the network.
    c : int or None
        The number of the class; None: the one of the largest score.

    Returns
    -------
    LayoutGraph
    """
    scores = output.scores[i].double().cpu().numpy()
    largest = int(scores.argmax())
    c = largest if c is None else c
    present = nodes.present[i : i + 1].cpu()
    here = present[0].numpy()
    # In float64, so that they add up to the score to its last digits.
    of_nodes = contributions(
        output.nodes[i : i + 1].double().cpu(),
        present,
        torch.from_numpy(layers["class_weight"][c]).double(),
    )
    n_each = [regions.shape[1] for regions in nodes.regions]
    return LayoutGraph(
        predicted=classes[largest],
        explained=classes[c],
        score=float(scores[c]),
        contributions=of_nodes[0].numpy()[here],
        bias=float(layers["class_bias"][c]),
        classes=classes,
        scores=scores,
        boxes=boxes,
        regions=torch.cat(nodes.regions, dim=1)[i].cpu().numpy()[here],
        region_maps=np.repeat(np.arange(len(n_each)), n_each)[here],
        spatial=output.spatial[i].cpu().numpy()[here][:, here],
        semantic=output.semantic[i].cpu().numpy()[here][:, here],
    )
