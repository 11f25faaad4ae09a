"""A convex bound on the multiclass hinge loss of a classifier on parts' maxima."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from skdpnet.utils.batching import slices_within

__all__ = ["bounded_hinges", "bounded_loss", "placements"]

# Bytes of the responses that are in memory at once, which a CPU's caches then hold.
_PIECE_BYTES = 4 * 2**20


def bounded_hinges(
    maxima: torch.Tensor,
    placed: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    intercepts: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bound the hinge losses of images by a convex function of the parts.

    The loss is ``max(0, max_{c≠y} 1 + (u_c - u_y)·b + a_c - a_y)``, where b are the
    maxima of the parts' responses, and so convex functions of the parts. Where a
    difference ``u_cp - u_yp`` is positive, its product with the maximum is convex.
    Where it is negative, the product is concave. There the response in a fixed region
    takes the place of the maximum; it is at most as large, so that the product is at
    least as large. The sum is convex, at least the loss, and equal to it where the
    fixed regions are those of the maxima.

    Parameters
    ----------
    maxima : tensor of shape (n, P)
        b.
    placed : tensor of shape (n, P)
        The responses in the fixed regions.
    labels : int64 tensor of shape (n,)
        y.
    weights : tensor of shape (C, P)
        u.
    intercepts : tensor of shape (C,)
        a.

    Returns
    -------
    hinges : tensor of shape (n,)
    of_maxima, of_placed : tensors of shape (n, P)
        A subgradient of their sum with respect to `maxima` and to `placed`.
    """
    margins = maxima.new_zeros(len(maxima), len(weights))
    for c, of_class in enumerate(weights):
        members = labels == c
        differences = weights - of_class
        margins[members] = (
            1
            + maxima[members] @ differences.clamp(min=0).T
            + placed[members] @ differences.clamp(max=0).T
            + (intercepts - intercepts[c])
        )
    # The class itself is not among those that it has to be told from.
    margins.scatter_(1, labels[:, None], 0.0)
    hinges, rivals = margins.max(dim=1)
    differences = weights[rivals] - weights[labels]
    return hinges, differences.clamp(min=0), differences.clamp(max=0)


def bounded_loss(
    parts: Sequence[torch.Tensor],
    regions: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
    labels: torch.Tensor,
    weights: torch.Tensor,
    intercepts: torch.Tensor,
) -> tuple[float, list[torch.Tensor]]:
    """Sum the bounded hinge losses over images, as a function of the parts.

    Parameters
    ----------
    parts : sequence of tensor of shape (P', K)
        The parts of each feature map.
    regions : sequence of tensor of shape (n, R, K)
        The regions of each map.
    fixed : sequence of int64 tensor of shape (n, P')
        The fixed regions, as from `placements`.
    labels, weights, intercepts
        As in `bounded_hinges`; the P parts of the weights are those of all maps, map by
        map.

    Returns
    -------
    loss : float
    gradients : list of tensor of shape (P', K)
        A subgradient with respect to the parts of each map.
    """
    loss, gradients = 0.0, [torch.zeros_like(of_map) for of_map in parts]
    n_each = [len(of_map) for of_map in parts]
    widest = max(of_map.shape[1] * n for of_map, n in zip(regions, n_each, strict=True))
    for images in slices_within(len(labels), 4 * widest, _PIECE_BYTES):
        maxima, placed, chosen = [], [], []
        for of_map, on_map, places in zip(parts, regions, fixed, strict=True):
            responses = on_map[images] @ of_map.T
            highest, region = responses.max(dim=1)
            maxima.append(highest)
            chosen.append(region)
            placed.append(responses.gather(1, places[images, None])[:, 0])
        hinges, of_maxima, of_placed = bounded_hinges(
            torch.hstack(maxima),
            torch.hstack(placed),
            labels[images],
            weights,
            intercepts,
        )
        loss += float(hinges.double().sum())
        for gradient, on_map, places, region, slope, fixed_slope in zip(
            gradients,
            regions,
            fixed,
            chosen,
            of_maxima.split(n_each, dim=1),
            of_placed.split(n_each, dim=1),
            strict=True,
        ):
            numbers = torch.cat([region, places[images]])
            slopes = torch.cat([slope, fixed_slope])
            _add_regions(gradient, on_map[images], numbers, slopes)
    return loss, gradients


def placements(parts: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Find the region where each part responds most in each image.

    Parameters
    ----------
    parts : tensor of shape (P', K)
    regions : tensor of shape (n, R, K)

    Returns
    -------
    int64 tensor of shape (n, P')
    """
    bytes_per_image = 4 * regions.shape[1] * len(parts)
    return torch.cat(
        [
            (regions[images] @ parts.T).argmax(dim=1)
            for images in slices_within(len(regions), bytes_per_image, _PIECE_BYTES)
        ]
    )


def _add_regions(
    gradient: torch.Tensor,
    regions: torch.Tensor,
    numbers: torch.Tensor,
    slopes: torch.Tensor,
) -> None:
    """Add regions (n, R, K) to the gradient (P', K), by numbers and slopes (2n, P').

    The first n rows of numbers and slopes are of the same images as the others.
    """
    first = torch.arange(len(regions)).repeat(2) * regions.shape[1]
    gradient += F.embedding_bag(
        (numbers + first[:, None]).T.contiguous(),
        regions.flatten(0, 1),
        per_sample_weights=slopes.T.contiguous(),
        mode="sum",
    )
