"""Regions: windows on a feature map, their sums, and the whitening of descriptors."""

from skdpnet.regions.grid import RegionGrid

__all__ = ["RegionGrid"]
