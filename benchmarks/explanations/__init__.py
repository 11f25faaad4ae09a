"""Benchmarks of explanations: where they point, and how faithful they are."""
