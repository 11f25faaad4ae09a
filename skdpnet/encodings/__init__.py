"""Encodings: one vector an image, without parts."""

from skdpnet.encodings.kernels import intersection_kernel

__all__ = ["intersection_kernel"]
