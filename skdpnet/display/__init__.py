"""Drawing what the parts found: matplotlib Displays, in scikit-learn's manner.

Each is made by ``from_estimator`` and drawn by ``plot``. They take whatever
`skdpnet.explain` takes: a `DPNetClassifier`, or a Pipeline of parts and a linear
classifier.
"""

from skdpnet.display._best_regions import BestRegionsDisplay
from skdpnet.display._class_part_matrix import ClassPartMatrixDisplay
from skdpnet.display._explanation import ExplanationDisplay
from skdpnet.display._heat_map import HeatMapDisplay
from skdpnet.display._part_gallery import PartGalleryDisplay
from skdpnet.display._participation import ParticipationDisplay

__all__ = [
    "BestRegionsDisplay",
    "ClassPartMatrixDisplay",
    "ExplanationDisplay",
    "HeatMapDisplay",
    "PartGalleryDisplay",
    "ParticipationDisplay",
]
