"""What an image may be, how it is read and checked, and the way back to its pixels."""

from skdpnet.exceptions import ImageError

__all__ = ["ImageError"]
