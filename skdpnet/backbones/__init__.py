"""Frozen networks: from a name to feature maps."""
