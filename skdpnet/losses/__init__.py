"""Penalties on parts, prototypes and classifiers, as functions of tensors."""

from skdpnet.losses.alignment_losses import alignment, presence
from skdpnet.losses.part_losses import assignment, orthogonality, specificity
from skdpnet.losses.prototype_losses import (
    cluster_cost,
    off_class_weights,
    separation_cost,
)
from skdpnet.losses.slot_losses import slot_orthogonality

__all__ = [
    "alignment",
    "assignment",
    "cluster_cost",
    "off_class_weights",
    "orthogonality",
    "presence",
    "separation_cost",
    "slot_orthogonality",
    "specificity",
]
