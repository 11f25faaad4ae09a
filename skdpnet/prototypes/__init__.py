"""Prototype networks as heads on the feature maps of a frozen network."""
