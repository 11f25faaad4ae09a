"""Benchmarks of accuracy: DP-Net against baselines, and the choice of settings."""
