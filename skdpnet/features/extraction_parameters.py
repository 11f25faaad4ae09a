"""Constraints of the parameters of extraction, which all estimators on images share."""

from __future__ import annotations

from skdpnet.backbones.stages import AVERAGE, LAST
from skdpnet.images.framing import AUTO, FRAMINGS
from skdpnet.utils.validation import Number, OneOf, PathName, SequenceOf

__all__ = ["EXTRACTION_CONSTRAINTS"]

EXTRACTION_CONSTRAINTS: dict[str, list] = {
    "weights": [PathName(), None],
    "strides": [
        SequenceOf(
            Number(1, whole=True),
            'whole numbers of at least 1, "last" and "average"',
            (LAST, AVERAGE),
        ),
        None,
    ],
    "image_size": [Number(8, whole=True), None],
    "framing": [OneOf((AUTO, *FRAMINGS))],
    "precision": [OneOf(("auto", "float32", "bfloat16", "float16"))],
    "num_workers": [Number(0, whole=True), OneOf(("auto",))],
}
