"""Penalties on parts and on classifiers, as functions of tensors."""

from skdpnet.losses.part_losses import assignment, orthogonality, specificity

__all__ = ["assignment", "orthogonality", "specificity"]
