"""The graph network: two relations between regions, convolutions, and a readout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.parts.dpnet.dropout import SeededDropout
from skdpnet.parts.layout_graph.regions import overlaps
from skdpnet.training.score_losses import CrossEntropy

__all__ = [
    "GraphObjective",
    "GraphOutput",
    "LayoutGraphModel",
    "contributions",
    "convolve",
    "layer_shapes",
    "pair_geometry",
    "read_out",
    "relations",
    "run_graph",
]

Layers = Mapping[str, torch.Tensor]
Dropout = Callable[[torch.Tensor], torch.Tensor]

# Units of the perceptron on the geometry of two regions, and dimensions in which their
# descriptors are compared.
_N_UNITS = 32
_N_COMPARED = 64
_N_GEOMETRY = 4
_LARGEST_SEED = np.iinfo(np.int32).max


def _no_dropout(values: torch.Tensor) -> torch.Tensor:
    return values


class GraphOutput(NamedTuple):
    """What the network makes of n images of N nodes each.

    Attributes
    ----------
    nodes : tensor of shape (n, N, H)
        The nodes after the last convolution; zero where there is no region.
    descriptors : tensor of shape (n, 2H)
        The means and the maxima over the nodes.
    scores : tensor of shape (n, C)
    spatial, semantic : tensors of shape (n, N, N)
        The relations. Row i holds the weights of the nodes that node i looks at.
    """

    nodes: torch.Tensor
    descriptors: torch.Tensor
    scores: torch.Tensor
    spatial: torch.Tensor
    semantic: torch.Tensor


def layer_shapes(
    depths: Sequence[int], hidden: int, n_layers: int, n_classes: int
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the network's weights by name.

    Parameters
    ----------
    depths : sequence of int
        K, the dimensions of the region descriptors of each map.
    hidden, n_layers, n_classes : int

    Returns
    -------
    dict of str to tuple of int
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for i, depth in enumerate(depths):
        shapes[f"embed{i}_weight"] = (hidden, depth)
        shapes[f"embed{i}_bias"] = (hidden,)
    shapes["geometry_weight"] = (_N_UNITS, _N_GEOMETRY)
    shapes["geometry_bias"] = (_N_UNITS,)
    shapes["geometry_out"] = (1, _N_UNITS)
    shapes["phi"] = shapes["psi"] = (_N_COMPARED, hidden)
    for layer in range(n_layers):
        shapes[f"spatial{layer}"] = shapes[f"semantic{layer}"] = (hidden, hidden)
    shapes["class_weight"] = (n_classes, 2 * hidden)
    shapes["class_bias"] = (n_classes,)
    return shapes


def pair_geometry(boxes: torch.Tensor) -> torch.Tensor:
    """Describe how the regions of an image lie to one another.

    Parameters
    ----------
    boxes : tensor of shape (n, N, 4)
        (left, top, right, bottom) in shares of the map's sides.

    Returns
    -------
    tensor of shape (n, N, N, 4)
        From region i to region j: the offset of the centres to the right and down, in
        mean widths and heights of the two, the logarithm of the ratio of their areas,
        and their intersection over union.
    """
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    sides = boxes[..., 2:] - boxes[..., :2]
    means = (sides[:, None] + sides[:, :, None]) / 2
    offsets = (centres[:, None] - centres[:, :, None]) / means
    sizes = sides.prod(dim=-1).log()
    ratios = sizes[:, None] - sizes[:, :, None]
    shared = overlaps(boxes[:, :, None], boxes[:, None])
    return torch.cat([offsets, ratios[..., None], shared[..., None]], dim=-1)


def relations(
    layers: Layers, nodes: torch.Tensor, boxes: torch.Tensor, present: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the spatial and the semantic relation of the nodes.

    Parameters
    ----------
    layers : mapping of str to tensor
    nodes : tensor of shape (n, N, H)
    boxes : tensor of shape (n, N, 4)
    present : bool tensor of shape (n, N)

    Returns
    -------
    spatial, semantic : tensors of shape (n, N, N)
        Rows of present nodes sum to 1 over the present nodes.
    """
    units = F.relu(
        F.linear(
            pair_geometry(boxes), layers["geometry_weight"], layers["geometry_bias"]
        )
    )
    spatial = F.linear(units, layers["geometry_out"])[..., 0]
    ours, theirs = F.linear(nodes, layers["phi"]), F.linear(nodes, layers["psi"])
    semantic = ours @ theirs.mT / math.sqrt(ours.shape[-1])
    both = present[:, None] & present[:, :, None]
    return tuple(  # type: ignore[return-value]
        torch.where(both, values.masked_fill(~both, -1e9).softmax(dim=2), 0.0)
        for values in (spatial, semantic)
    )


def convolve(
    layers: Layers,
    nodes: torch.Tensor,
    spatial: torch.Tensor,
    semantic: torch.Tensor,
) -> torch.Tensor:
    """Let nodes look at one another: X' = ReLU(A X W) of each relation A, summed.

    Parameters
    ----------
    layers : mapping of str to tensor
        ``spatial0``, ``semantic0`` and so on are the W, transposed.
    nodes : tensor of shape (n, N, H)
    spatial, semantic : tensors of shape (n, N, N)

    Returns
    -------
    tensor of shape (n, N, H)
    """
    for layer in range(sum(name.startswith("semantic") for name in layers)):
        seen = F.linear(spatial @ nodes, layers[f"spatial{layer}"])
        alike = F.linear(semantic @ nodes, layers[f"semantic{layer}"])
        nodes = F.relu(seen) + F.relu(alike)
    return nodes


def read_out(nodes: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Join the means and the maxima of the present nodes.

    Parameters
    ----------
    nodes : tensor of shape (n, N, H)
        At least 0, and 0 where there is no region.
    present : bool tensor of shape (n, N)

    Returns
    -------
    tensor of shape (n, 2H)
    """
    counts = present.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.cat([nodes.sum(dim=1) / counts, nodes.amax(dim=1)], dim=1)


def contributions(
    nodes: torch.Tensor, present: torch.Tensor, class_weight: torch.Tensor
) -> torch.Tensor:
    """Share the score of a class out among the nodes.

    The mean of a number over the nodes is the sum of their shares of it, and a maximum
    is that of the node that has it (the first of several). Multiplied by the weights of
    the class, these add up to its score without the bias.

    Parameters
    ----------
    nodes : tensor of shape (n, N, H)
    present : bool tensor of shape (n, N)
    class_weight : tensor of shape (2H,)
        The weights of the class on the means and on the maxima.

    Returns
    -------
    tensor of shape (n, N)
    """
    of_means, of_maxima = class_weight.chunk(2)
    counts = present.sum(dim=1, keepdim=True).clamp(min=1)
    shares = nodes @ of_means / counts
    largest = nodes.max(dim=1)
    return shares.scatter_add(1, largest.indices, largest.values * of_maxima)


def run_graph(
    layers: Layers,
    described: Sequence[torch.Tensor],
    boxes: torch.Tensor,
    present: torch.Tensor,
    dropout: Dropout = _no_dropout,
) -> GraphOutput:
    """Run the network on some images.

    Parameters
    ----------
    layers : mapping of str to tensor
        As `layer_shapes` names them.
    described : sequence of tensors of shape (n, N', K)
        The region descriptors of the nodes on each map.
    boxes : tensor of shape (n, N, 4)
        Of the nodes of all maps, map by map, in shares of the maps' sides.
    present : bool tensor of shape (n, N)
    dropout : callable, default=none
        Sets numbers of the descriptors to 0 before the classifier sees them.

    Returns
    -------
    GraphOutput
    """
    embedded = [
        F.linear(of_map, layers[f"embed{i}_weight"], layers[f"embed{i}_bias"])
        for i, of_map in enumerate(described)
    ]
    nodes = F.relu(torch.cat(embedded, dim=1)) * present[..., None]
    spatial, semantic = relations(layers, nodes, boxes, present)
    nodes = convolve(layers, nodes, spatial, semantic)
    descriptors = read_out(nodes, present)
    scores = F.linear(
        dropout(descriptors), layers["class_weight"], layers["class_bias"]
    )
    return GraphOutput(nodes, descriptors, scores, spatial, semantic)


class LayoutGraphModel(nn.Module):
    """The network as a module that can be trained.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        As from `layer_shapes`.
    dropout : float in [0, 1)
        The share of the numbers that are left out in training.
    random : RandomState
        Draws the initial weights, and the seed of the dropout.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        dropout: float,
        random: np.random.RandomState,
    ):
        super().__init__()
        self.layers = nn.ParameterDict(
            {name: _initial(name, shape, random) for name, shape in shapes.items()}
        )
        self.dropout = SeededDropout(dropout)
        self.dropout.manual_seed(int(random.randint(_LARGEST_SEED)))

    def forward(self, maps: Sequence[torch.Tensor]) -> GraphOutput:
        """Run the network on a batch.

        Parameters
        ----------
        maps : sequence of tensors
            The region descriptors of the nodes on each map (N, N', K); the boxes of all
            nodes (N, N'', 4); and which there are (N, N'').
        """
        *described, boxes, present = maps
        return run_graph(
            dict(self.layers.items()), described, boxes, present, self.dropout
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays."""
        return {
            name: weight.detach().cpu().numpy().copy()
            for name, weight in self.layers.items()
        }


class GraphObjective:
    """The cross-entropy of the scores, which training minimises."""

    loss = CrossEntropy()
    term_names = [loss.name]

    def terms(
        self,
        module: nn.Module,
        output: GraphOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted mean of the cross-entropy; see `TermsObjective`."""
        return {self.loss.name: (self.loss(output.scores, labels) * weights).mean()}


def _initial(
    name: str, shape: tuple[int, ...], random: np.random.RandomState
) -> nn.Parameter:
    """Draw weights of He's variance; biases and the classifier are zero."""
    start = random.standard_normal(shape)
    if len(shape) == 1 or name == "class_weight":
        start[:] = 0.0
    # Region descriptors have unit length, so their numbers are small.
    n_inputs = 1 if name.startswith("embed") else shape[-1]
    start *= math.sqrt(2 / n_inputs)
    return nn.Parameter(torch.from_numpy(start.astype(np.float32)))
