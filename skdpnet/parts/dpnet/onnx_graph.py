"""A fitted DP-Net estimator as one network, from pixels to scores and response maps."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import is_classifier
from torch import nn

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.outputs import output_maps
from skdpnet.images.framing import Framing
from skdpnet.parts.dpnet.region_descriptors import weighted
from skdpnet.parts.responses import SMALL_BETA, soft_maximum
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import whitened_regions

if TYPE_CHECKING:
    from skdpnet.parts.dpnet.description import PartDescriber

__all__ = ["PixelNetwork", "output_names", "response_maps"]

_CPU = torch.device("cpu")


class PixelNetwork(nn.Module):
    """What a fitted estimator computes, from pixels on.

    Parameters
    ----------
    estimator : PartDescriber
        Fitted on images.
    backbone : Backbone
        Its network, on the CPU.
    framing : Framing
        What the network sees of an image.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, estimator: PartDescriber, backbone: Backbone, framing: Framing):
        super().__init__()
        self.estimator = estimator
        self.backbone = backbone
        # A function is none of the layers.
        network = backbone.network
        self.network = network if isinstance(network, nn.Module) else None
        self.has_canvas = framing.name == "aspect"
        self.is_rounded = estimator.precision != "float32"
        self.model = copy.deepcopy(estimator.net_.module_).to(_CPU).eval()
        self.axes = [whitening.axes(_CPU) for whitening in estimator.whitenings_]
        # In the units of the targets, as a regressor's model itself is not.
        self.readout = [
            torch.from_numpy(np.asarray(values, np.float32))
            for values in (estimator.coef_, estimator.intercept_)
        ]
        for name in ("mean", "std"):
            values = torch.tensor(getattr(backbone, name), dtype=torch.float32)
            self.register_buffer(name, values[:, None, None])

    def feature_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps (N, H, W, D) of images N×3×H×W in [0, 1]."""
        output = self.backbone.network((images - self.mean) / self.std)
        n, _, height, width = map(int, images.shape)
        maps = output_maps(self.backbone.name, output, (n, height, width))
        if self.is_rounded:
            # As the maps that the estimator sees. Beyond the range it sees none.
            largest = torch.finfo(torch.float16).max
            maps = [
                of_map.clamp(-largest, largest).to(torch.float16) for of_map in maps
            ]
        return [of_map.float().permute(0, 2, 3, 1) for of_map in maps]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what `output_names` lists."""
        estimator = self.estimator
        maps = self.feature_maps(images)
        if self.has_canvas:
            shapes = estimator.map_shapes_
            maps = [
                _on_canvas(of_map, shape)
                for of_map, shape in zip(maps, shapes, strict=True)
            ]
        maps = estimator._maps_of_parts(maps, in_fit=False)
        grids = estimator.grids_
        described = [
            whitened_regions(of_map, grid, axes)
            for of_map, grid, axes in zip(maps, grids, self.axes, strict=True)
        ]
        described = weighted(described, maps, grids, estimator.foreground, _CPU)
        responses = self.model.responses(described)
        maxima = [_maximum(of_map, self.model.beta) for of_map in responses]
        descriptor = self.model.descriptor(torch.cat(maxima, dim=1))
        in_space = [
            of_window
            for of_map, grid in zip(responses, grids, strict=True)
            for of_window in _in_space(of_map, grid)
        ]
        if not hasattr(estimator, "predict"):
            return (descriptor, *in_space)
        if not is_classifier(estimator):
            predictions = nn.functional.linear(descriptor, *self.readout)
            return (predictions, descriptor, *in_space)
        scores = self.model.classifier(descriptor)
        if estimator.multilabel_:
            probabilities = torch.sigmoid(scores)
        else:
            probabilities = torch.softmax(scores, dim=1)
        return (scores, probabilities, descriptor, *in_space)


def output_names(estimator: PartDescriber) -> list[str]:
    """Return the names of the outputs of a `PixelNetwork`.

    Parameters
    ----------
    estimator : PartDescriber

    Returns
    -------
    list of str
        "scores" and "probabilities" of classifiers, "predictions" of regressors,
        "descriptor", and the names of the response maps.
    """
    of_maps = [entry["output"] for entry in response_maps(estimator)]
    decisions = []
    if hasattr(estimator, "predict"):
        of_classes = ["scores", "probabilities"]
        decisions = of_classes if is_classifier(estimator) else ["predictions"]
    return [*decisions, "descriptor", *of_maps]


def response_maps(estimator: PartDescriber) -> list[dict[str, Any]]:
    """Describe the outputs that are response maps, in their order.

    Parameters
    ----------
    estimator : PartDescriber

    Returns
    -------
    list of dict
        The name of the ``output``; its ``first_part``, which is counted over all maps,
        and ``n_parts``; height and width of its ``window`` and of its ``map``, in
        cells.
    """
    entries = []
    for number, grid in enumerate(estimator.grids_):
        on_map = np.flatnonzero(estimator.part_maps_ == number)
        for scale, window in enumerate(grid.windows):
            entries.append(
                {
                    "output": f"responses_{number}_{scale}",
                    "first_part": int(on_map[0]),
                    "n_parts": len(on_map),
                    "window": list(window),
                    "map": [grid.height, grid.width],
                }
            )
    return entries


def _on_canvas(of_map: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Lay a map (N, h, w, D) in the upper left corner of zeros, as `lay_on_canvas`.

    Zeros are appended, rather than the map padded: a map that is larger than the canvas
    is then an error where the graph is run, and is not cut.
    """
    height, width = shape[:2]
    if (height, width) == (1, 1):
        return of_map
    n, rows, columns, depth = of_map.shape
    right = of_map.new_zeros(n, rows, width - columns, depth)
    below = of_map.new_zeros(n, height - rows, width, depth)
    return torch.cat([torch.cat([of_map, right], dim=2), below], dim=1)


def _maximum(responses: torch.Tensor, beta: float | None) -> torch.Tensor:
    """Return `soft_maximum` of responses by operations that ONNX has.

    It has no exp(x) - 1, so that small β takes float64 instead.
    """
    if beta is None or beta >= SMALL_BETA:
        return soft_maximum(responses, beta)
    summed = torch.logsumexp(beta * responses.double(), dim=1)
    return ((summed - math.log(responses.shape[1])) / beta).float()


def _in_space(responses: torch.Tensor, grid: RegionGrid) -> list[torch.Tensor]:
    """Turn responses (N, R, P) into a map N×P×rows×columns for each window size."""
    steps = [
        (grid.height - height + 1, grid.width - width + 1)
        for height, width in grid.windows
    ]
    counts = [rows * columns for rows, columns in steps]
    return [
        of_window.transpose(1, 2).unflatten(2, shape)
        for of_window, shape in zip(responses.split(counts, 1), steps, strict=True)
    ]
