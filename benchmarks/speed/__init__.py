"""Benchmarks of speed and memory."""

# Before torch, as in programs that use the package: it says how torch's threads wait.
import skdpnet  # noqa: F401
