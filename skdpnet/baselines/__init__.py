"""Baselines that see the same pictures through the same backbone and cache."""

from skdpnet.baselines.global_features import GlobalFeatures
from skdpnet.baselines.soft_assign import SoftAssignParts

__all__ = ["GlobalFeatures", "SoftAssignParts"]
