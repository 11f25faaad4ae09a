"""Discriminative mode seeking (Doersch, Gupta and Efros, 2013)."""
