"""Data sets of images: synthetic birds with known parts, and folders of images."""

from skdpnet.datasets._image_folder import load_image_folder
from skdpnet.datasets._part_images import make_part_images

__all__ = ["load_image_folder", "make_part_images"]
