"""Reading and checking images, and mapping boxes back to their pixels."""

from skdpnet.exceptions import ImageError

__all__ = ["ImageError"]
