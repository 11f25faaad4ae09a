"""Frozen networks and dense SIFT: from a name to feature maps."""

from skdpnet.backbones.dense_sift import DenseSIFT

__all__ = ["DenseSIFT"]
