"""Learners of `learner_orders` that the package does not offer as they are."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import torch
from torch import nn

from skdpnet import LayoutGraphClassifier
from skdpnet.backbones import HOG
from skdpnet.parts.layout_graph import model
from skdpnet.parts.layout_graph.model import GraphOutput
from skdpnet.parts.layout_graph.nodes import Nodes

__all__ = ["GraphWithoutEdges", "HOGAtTwoSizes"]


class HOGAtTwoSizes(nn.Module):
    """HOG of 16 pixels for parts, and of 32 for roots, as star models need them.

    A part of 3×3 cells is then as large as the 6×6 cells of 8 pixels of the paper, and
    has a quarter of the places and of the weights.
    """

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = HOG(cell_size=16), HOG(cell_size=32)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute both maps of a batch."""
        return self.fine(images), self.coarse(images)


class GraphWithoutEdges(LayoutGraphClassifier):
    """The layout graph whose regions look at themselves alone, in fit and after.

    Both relations are the identity, so that a layer is ``ReLU(X W) + ReLU(X W')``: the
    same regions, numbers of weights, readout and training, and no arrangement.
    """

    def fit(self, X, y, sample_weight=None) -> GraphWithoutEdges:
        """Learn the whitening of the regions, and the network; see the base."""
        with patch.object(model, "relations", _to_themselves):
            return super().fit(X, y, sample_weight)

    def _iter_outputs(self, X) -> Iterator[tuple[Nodes, GraphOutput]]:
        # All at once, so that no other graph is run while there are no relations.
        with patch.object(model, "relations", _to_themselves):
            outputs = list(super()._iter_outputs(X))
        return iter(outputs)


def _to_themselves(
    layers: object, nodes: torch.Tensor, boxes: torch.Tensor, present: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return identities (n, N, N), of the nodes that there are, for both relations."""
    identities = torch.diag_embed(present.to(nodes.dtype))
    return identities, identities
