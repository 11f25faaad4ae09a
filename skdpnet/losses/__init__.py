"""Penalties on parts, prototypes and classifiers, as functions of tensors."""

from skdpnet.losses.part_losses import assignment, orthogonality, specificity
from skdpnet.losses.prototype_losses import (
    cluster_cost,
    off_class_weights,
    separation_cost,
)
from skdpnet.losses.slot_losses import slot_orthogonality

__all__ = [
    "assignment",
    "cluster_cost",
    "off_class_weights",
    "orthogonality",
    "separation_cost",
    "slot_orthogonality",
    "specificity",
]
