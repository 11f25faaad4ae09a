"""Benchmarks of robustness: what goes wrong outside, and what comes of it."""
