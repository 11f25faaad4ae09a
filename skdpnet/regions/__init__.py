"""Regions: windows on a feature map, their pooling, and whitened descriptors."""

from skdpnet.regions.grid import RegionGrid

__all__ = ["RegionGrid"]
