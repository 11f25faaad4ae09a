"""Reading and checking images, and mapping boxes back to their pixels."""

from skdpnet.exceptions import ImageError
from skdpnet.images.inputs import network_inputs

__all__ = ["ImageError", "network_inputs"]
