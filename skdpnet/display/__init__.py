"""Figures of explanations: matplotlib Displays, as in scikit-learn.

Each Display is made by ``from_estimator`` and drawn by ``plot``. They take the same
models as `skdpnet.explain`: a `DPNetClassifier`, a Pipeline of parts and a linear
classifier, or a classifier that gives the contributions of its parts itself.
"""

from skdpnet.display._best_regions import BestRegionsDisplay
from skdpnet.display._class_part_matrix import ClassPartMatrixDisplay
from skdpnet.display._explanation import ExplanationDisplay
from skdpnet.display._heat_map import HeatMapDisplay
from skdpnet.display._layout_graph import LayoutGraphDisplay
from skdpnet.display._part_gallery import PartGalleryDisplay
from skdpnet.display._participation import ParticipationDisplay
from skdpnet.display._prototype_slots import PrototypeSlotsDisplay
from skdpnet.display._prototype_tree import PrototypeTreeDisplay
from skdpnet.display._prototypes import PrototypeDisplay

__all__ = [
    "BestRegionsDisplay",
    "ClassPartMatrixDisplay",
    "ExplanationDisplay",
    "HeatMapDisplay",
    "LayoutGraphDisplay",
    "PartGalleryDisplay",
    "ParticipationDisplay",
    "PrototypeDisplay",
    "PrototypeSlotsDisplay",
    "PrototypeTreeDisplay",
]
