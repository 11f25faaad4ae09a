"""Encodings: one vector an image, without parts."""
