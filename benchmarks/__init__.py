"""Benchmarks of accuracy, explanations and speed; run as ``python -m benchmarks.…``."""
