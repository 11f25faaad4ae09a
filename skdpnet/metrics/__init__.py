"""Measures of how good parts and explanations are, each with its value by chance.

Localisation of parts: `pointing_game`, `part_hits`, `part_purity`, `consistency` and
`stability`, compared with `random_regions`. Faithfulness to the decision:
`deletion_curve`, `insertion_curve`, `response_drop`, `parts_to_keep` and
`parts_to_flip`. Where the evidence comes from: `present_evidence` and
`parts_for_evidence`. Similarity of the parts to one another: `redundancy`.
"""

from __future__ import annotations

from skdpnet.metrics._chance import random_regions
from skdpnet.metrics._consistency import add_noise, consistency, stability
from skdpnet.metrics._evidence import parts_for_evidence, present_evidence
from skdpnet.metrics._localisation import (
    part_hits,
    part_purity,
    pointing_game,
    resize_boxes,
)
from skdpnet.metrics._occlusion import ResponseDrop, response_drop
from skdpnet.metrics._perturbation import (
    area_under,
    deletion_curve,
    insertion_curve,
    mask_pixels,
)
from skdpnet.metrics._redundancy import Redundancy, redundancy
from skdpnet.metrics._sufficiency import parts_to_flip, parts_to_keep

__all__ = [
    "Redundancy",
    "ResponseDrop",
    "add_noise",
    "area_under",
    "consistency",
    "deletion_curve",
    "insertion_curve",
    "mask_pixels",
    "part_hits",
    "part_purity",
    "parts_for_evidence",
    "parts_to_flip",
    "parts_to_keep",
    "pointing_game",
    "present_evidence",
    "random_regions",
    "redundancy",
    "resize_boxes",
    "response_drop",
    "stability",
]
