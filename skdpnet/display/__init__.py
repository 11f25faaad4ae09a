"""Drawing what the parts found: matplotlib Displays, in scikit-learn's manner.

Each is made by ``from_estimator`` and drawn by ``plot``. They take whatever
`skdpnet.explain` takes: a `DPNetClassifier`, or a Pipeline of parts and a linear
classifier.
"""

from skdpnet.display.best_regions import BestRegionsDisplay
from skdpnet.display.explanation import ExplanationDisplay
from skdpnet.display.gallery import PartGalleryDisplay
from skdpnet.display.heat_map import HeatMapDisplay
from skdpnet.display.matrix import ClassPartMatrixDisplay
from skdpnet.display.participation import ParticipationDisplay

__all__ = [
    "BestRegionsDisplay",
    "ClassPartMatrixDisplay",
    "ExplanationDisplay",
    "HeatMapDisplay",
    "PartGalleryDisplay",
    "ParticipationDisplay",
]
