"""Frozen networks, dense SIFT and HOG: from a name to feature maps."""

from skdpnet.backbones.dense_sift import DenseSIFT
from skdpnet.backbones.hog import HOG

__all__ = ["HOG", "DenseSIFT"]
