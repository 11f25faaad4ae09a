"""Images to learn from: synthetic birds with known parts, folders, and data sets."""

from skdpnet.datasets._arrangements import make_arrangement_images
from skdpnet.datasets._data_sets import images_of, labels_of
from skdpnet.datasets._image_folder import load_image_folder
from skdpnet.datasets._part_images import make_part_images

__all__ = [
    "images_of",
    "labels_of",
    "load_image_folder",
    "make_arrangement_images",
    "make_part_images",
]
