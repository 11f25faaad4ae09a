"""Part-based image recognition for scikit-learn (DP-Net, Sicre et al., ICIP 2023)."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import version

__version__ = version("skdpnet")

# OpenMP reads it when torch is loaded. Threads that wait for one another by looking
# again and again keep the cores from those that they wait for where other processes are
# busy: maps took thirty times as long beside one. After 1,000 rounds they sleep;
# sleeping at once would cost more where nothing else runs (docs/speed.md). Results do
# not change.
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
    os.environ["GOMP_SPINCOUNT"] = "1000"

# Name -> module, imported when it is first used, so that `import skdpnet` is quick.
# Estimators that are saved to files: `load` looks the class of a file up here.
ESTIMATORS = {
    "BlocksThatShout": "skdpnet.parts.blocks",
    "DPNetClassifier": "skdpnet.parts.dpnet.estimators",
    "DPNetRegressor": "skdpnet.parts.dpnet.regressor",
    "DPNetTransformer": "skdpnet.parts.dpnet.estimators",
    "GlobalFeatures": "skdpnet.encodings.global_average",
    "PIPNetClassifier": "skdpnet.prototypes.pipnet",
    "ProtoPNetClassifier": "skdpnet.prototypes.protopnet",
    "ProtoPoolClassifier": "skdpnet.prototypes.protopool",
    "ProtoPShareClassifier": "skdpnet.prototypes.protopshare",
    "ProtoTreeClassifier": "skdpnet.prototypes.prototree",
    "RandomSelectedParts": "skdpnet.parts.random_selected.estimator",
    "SoftAssignParts": "skdpnet.parts.soft_assign.estimator",
    "VLAD": "skdpnet.encodings.vlad",
}
_PUBLIC = {
    **ESTIMATORS,
    "FeatureMaps": "skdpnet.features.feature_maps",
    "best_regions": "skdpnet.explanations.localisation",
    "check_images": "skdpnet.images.checking",
    "clear_memory": "skdpnet.storage.cache_limits",
    "datasets": "skdpnet.datasets",
    "display": "skdpnet.display",
    "explain": "skdpnet.explanations.contributions",
    "explain_class": "skdpnet.explanations.class_explanation",
    "explain_each": "skdpnet.explanations.contributions",
    "from_pretrained": "skdpnet.persistence.hub",
    "load": "skdpnet.persistence.saving",
    "metrics": "skdpnet.metrics",
    "open_set": "skdpnet.open_set",
    "part_galleries": "skdpnet.explanations.galleries",
    "part_gallery": "skdpnet.explanations.galleries",
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
