"""Classification of images that may be of no known class."""

from skdpnet.open_set._classifier import OpenSetClassifier

__all__ = ["OpenSetClassifier"]
