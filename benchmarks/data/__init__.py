"""Data sets of the benchmarks, and the feature maps of their images."""
