"""Part-based image recognition for scikit-learn (DP-Net, Sicre et al., ICIP 2023)."""

from __future__ import annotations

import importlib
from importlib.metadata import version

__version__ = version("skdpnet")

# Name -> module; imported when first used, so that `import skdpnet` is quick.
_PUBLIC = {
    "DPNetClassifier": "skdpnet.dpnet",
    "DPNetTransformer": "skdpnet.dpnet",
    "FeatureMaps": "skdpnet.features",
    "GlobalFeatures": "skdpnet.baselines",
    "SoftAssignParts": "skdpnet.baselines",
    "best_regions": "skdpnet.explaining",
    "datasets": "skdpnet.datasets",
    "display": "skdpnet.display",
    "explain": "skdpnet.explaining",
    "explain_class": "skdpnet.galleries",
    "explain_each": "skdpnet.explaining",
    "load": "skdpnet.saving",
    "metrics": "skdpnet.metrics",
    "part_galleries": "skdpnet.galleries",
    "part_gallery": "skdpnet.galleries",
    "report": "skdpnet.reporting",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'skdpnet' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if _PUBLIC[name].endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
