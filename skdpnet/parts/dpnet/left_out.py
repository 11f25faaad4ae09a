"""Descriptors of training images as of new images, by leaving them out of parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from skdpnet.parts.dpnet.model import MapParts, PartModel
from skdpnet.parts.responses import soft_maximum
from skdpnet.utils.batching import slices_of
from skdpnet.utils.host_copies import as_tensor
from skdpnet.utils.indicators import memberships

__all__ = ["left_out_descriptors"]

_IMAGES_AT_ONCE = 16
# A cluster of which less than this share remains has no direction of its own.
_LEAST_SHARE = 1e-3


def left_out_descriptors(
    model: PartModel,
    maps: Sequence,
    labels: np.ndarray,
    descriptors: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """Compute the descriptors of images as if they had not been clustered.

    A first part is the centre of a cluster of regions of the images of its class, and
    so a training image responds to the parts of its class more than a new image does.
    Here, the image's regions are taken out of these centres: of a part u, the unit
    centre of regions x whose sum has the length s, remains ``s u - Σ x`` over the
    regions x of the image that are closer to u than to the other parts of the class.
    Responses to parts of other classes stay as they are.

    Parameters
    ----------
    model : PartModel
        With its first parts; those of a map are sorted by class, equally many of each.
    maps : sequence of arrays or tensors of shape (n, R, K)
        The region descriptors of each map.
    labels : int ndarray of shape (n,) or (n, C)
        The class of each image, or an indicator matrix.
    descriptors : float32 ndarray of shape (n, P)
        The descriptors of these images. Further columns, those of the context, stay as
        they are: it has no clusters.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    float32 ndarray of shape (n, P)
    """
    left_out = descriptors.copy()
    shift, scale = model.shift.cpu().numpy(), model.scale.cpu().numpy()
    n_classes = len(model.classifier.bias)
    members = memberships(labels, n_classes)
    present, first = np.flatnonzero(members.any(axis=0)), 0
    for on_map, regions in zip(model.learned_maps(), maps, strict=False):
        share = len(on_map.parts) // n_classes
        for label in present if share else ():
            images = np.flatnonzero(members[:, label])
            own = slice(first + label * share, first + (label + 1) * share)
            parts = slice(label * share, (label + 1) * share)
            maxima = _class_maxima(on_map, parts, regions, images, model.beta, device)
            left_out[images, own] = (maxima - shift[own]) * scale[own]
        first += len(on_map.parts)
    return left_out


@torch.inference_mode()
def _class_maxima(
    on_map: MapParts,
    parts: slice,
    regions,
    images: np.ndarray,
    beta: float | None,
    device: torch.device,
) -> np.ndarray:
    """Return the maxima (n, P') of the images of a class to the parts of the class."""
    u = on_map.unit_parts()[parts]
    responses, shares, sums = [], [], []
    for batch in slices_of(len(images), _IMAGES_AT_ONCE):
        descriptors = as_tensor(regions[images[batch]], device)
        cosines = descriptors @ u.T
        nearest = F.one_hot(cosines.argmax(dim=2), len(u)).to(cosines.dtype)
        image_sums = nearest.transpose(1, 2) @ descriptors
        responses.append(cosines)
        shares.append(descriptors @ image_sums.transpose(1, 2))
        sums.append(image_sums)
    image_sums = torch.cat(sums)  # (n, P', K)
    length = image_sums.sum(dim=0).norm(dim=1)
    # A part that no region belongs to is no centre: it stays as it is.
    length = torch.where(length > 0, length, 1.0)
    remaining = length[:, None] * u - image_sums
    norm = remaining.norm(dim=2)[:, None]
    has_direction = norm > _LEAST_SHARE * length
    cosines = length * torch.cat(responses) - torch.cat(shares)
    cosines = torch.where(has_direction, cosines / norm.clamp(min=1e-12), 0.0)
    return soft_maximum(cosines, beta).cpu().numpy()
