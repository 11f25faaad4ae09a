"""What a part says of an image: its maximum, its mean, or the region it finds best."""

from __future__ import annotations

import torch

__all__ = ["ENCODINGS", "FEATURES", "MAX", "MEAN_MAX", "encode_regions"]

MAX, MEAN_MAX, FEATURES = "max", "mean_max", "features"
ENCODINGS = (MAX, MEAN_MAX, FEATURES)


def encode_regions(
    regions: torch.Tensor, responses: torch.Tensor, encoding: str
) -> torch.Tensor:
    """Describe images by what each part says of their regions.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)
        Regions of length 1, or 0 where there is nothing, as beside an image.
    responses : tensor of shape (n, R, P)
        Of each part to each region.
    encoding : {"max", "mean_max", "features"}
        The maximum of the part's responses; the maximum and the mean; or the descriptor
        of the region to which the part responds most. Means and best regions are those
        of regions that hold something.

    Returns
    -------
    tensor of shape (n, P, W)
        W is 1, 2 or K.
    """
    if encoding == MAX:
        return responses.amax(dim=1)[:, :, None]
    is_empty = ~regions.any(dim=2)[:, :, None]
    if encoding == MEAN_MAX:
        n_regions = (~is_empty).sum(dim=1).clamp(min=1)
        means = responses.masked_fill(is_empty, 0).sum(dim=1) / n_regions
        return torch.stack([responses.amax(dim=1), means], dim=2)
    best = responses.masked_fill(is_empty, -torch.inf).argmax(dim=1)
    return regions.gather(1, best[:, :, None].expand(-1, -1, regions.shape[2]))
