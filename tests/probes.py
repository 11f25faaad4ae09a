"""What networks of tests need to count real images alone."""

from __future__ import annotations

import torch

from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.features.map_store import probe_image


def n_real_images(x: torch.Tensor) -> int:
    """Return the number of images in a network's input.

    It is 0 for the cache's probe, and for zeros, by which networks are tried.
    """
    height, width = x.shape[-2:]
    if len(x) > 1 or height > width:
        return len(x)
    pixels = torch.from_numpy(probe_image(width)[:height]) / 255
    probe = (pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    is_probe = torch.allclose(x[0], probe.permute(2, 0, 1), atol=1e-3)
    return 0 if is_probe or not x.any() else 1
