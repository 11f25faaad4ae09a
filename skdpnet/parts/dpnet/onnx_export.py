"""The export of fitted DP-Net estimators to ONNX files, and the texts about them."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.dense_sift import DenseSIFT
from skdpnet.backbones.hog import HOG
from skdpnet.features.canvas import check_sides, lay_together
from skdpnet.images.framing import STEP, Framing
from skdpnet.parts.dpnet.onnx_graph import PixelNetwork, output_names, response_maps
from skdpnet.persistence.onnx_file import import_onnx, write_onnx
from skdpnet.storage.atomic_write import target_file
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import check_whole

if TYPE_CHECKING:
    from skdpnet.parts.dpnet.description import PartDescriber

__all__ = ["export"]

_CPU = torch.device("cpu")
_INPUT = (
    "images: float32 N x 3 x H x W, RGB in [0, 1], framed and resized, not normalised"
)


@in_usual_torch_state
def export(
    estimator: PartDescriber, path: str | os.PathLike, batch_size: int | None
) -> None:
    """Write a fitted estimator as an ONNX file; see `PartDescriber.to_onnx`.

    Parameters
    ----------
    estimator : PartDescriber
    path : str or path
    batch_size : int or None

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError, ImportError, OSError
        As `PartDescriber.to_onnx`.
    """
    check_is_fitted(estimator)
    if batch_size is not None:
        batch_size = check_whole("batch_size", batch_size, 1)
    if estimator.is_precomputed:
        raise ValueError(
            'to_onnx starts at pixels, but backbone="precomputed" has no network: fit '
            "the estimator on images."
        )
    import_onnx()
    target_file(path)
    extractor = estimator.feature_maps().set_params(device="cpu")
    backbone, framing = extractor._load_backbone(), extractor.input_framing()
    if isinstance(backbone.network, (DenseSIFT, HOG)):
        raise ValueError(
            f"to_onnx exports networks, and backbone {backbone.name!r} is none: fit "
            "the estimator with another backbone."
        )
    estimator._check_network(backbone, framing, _CPU, torch.float32)
    images = _example_images(framing, batch_size)
    estimator._set_or_check_shapes(_maps_of(images, backbone, framing), reset=False)
    free = {0: "batch"} if batch_size is None else {}
    if framing.name == "aspect":
        free |= {2: "height", 3: "width"}
    network = PixelNetwork(estimator, backbone, framing).eval()
    metadata = _describe(estimator, backbone, framing)
    write_onnx(path, network, images, output_names(estimator), free, metadata)


def _maps_of(
    images: torch.Tensor, backbone: Backbone, framing: Framing
) -> list[torch.Tensor]:
    """Return the maps (N, H, W, D) of images in [0, 1], on their canvas."""
    pixels = (255 * images).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    maps = list(backbone.feature_maps(pixels, _CPU, torch.float32))
    if framing.name != "aspect":
        return maps
    check_sides(backbone.name, pixels.shape[1:3], maps, framing)
    n = len(pixels)
    return [lay_together(n, [range(n)], [of_map], framing) for of_map in maps]


def _example_images(framing: Framing, batch_size: int | None) -> torch.Tensor:
    """Return a batch N×3×H×W in [0, 1], for the framing "aspect" of the widest images.

    Without a batch size it is of two, so that its axis is not taken for one of length
    one that is to be expanded.
    """
    shape = (batch_size or 2, 3, framing.image_size, framing.canvas_side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _describe(
    estimator: PartDescriber, backbone: Backbone, framing: Framing
) -> dict[str, str]:
    """Return the texts that the file holds; most values are JSON."""
    values = {
        "classes": [_plain(label) for label in getattr(estimator, "classes_", [])],
        "parts": [str(name) for name in estimator.get_part_names()],
        "part_classes": estimator.part_classes_.tolist(),
        "response_maps": response_maps(estimator),
        "backbone": backbone.name,
        "image_size": framing.image_size,
        "framing": framing.name,
        "fill": list(framing.fill),
        "canvas_side": framing.canvas_side,
        "side_step": STEP if framing.name == "aspect" else None,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "normalisation_in_graph": True,
    }
    return {
        "format": "skdpnet pixels to parts 1",
        "skdpnet_version": version("skdpnet"),
        "estimator": type(estimator).__name__,
        "input": _INPUT,
        **{key: json.dumps(value) for key, value in values.items()},
    }


def _plain(label: Any) -> Any:
    """Return a label as JSON can hold it: a number, a truth value or text."""
    value = label.item() if isinstance(label, np.generic) else label
    return value if isinstance(value, (bool, int, float, str)) else str(value)
