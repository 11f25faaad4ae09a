"""The maximum of each part's responses over the regions, made fast.

All code about the speed of this maximum is in this folder, behind one function,
`part_maxima`. `plain.py` has the same function in a dozen lines, for reference.

- `autograd.py`: the maximum and its gradient, a few images and parts at a time.
- `pooling_order.py`: regions are pooled after or before the product with the parts.
- `threads.py`, `buffers.py`: pieces that do not wait for other threads, or for memory.
- `cuda.py`, `triton_kernels.py`: the same on an NVIDIA GPU, in Triton kernels.
"""

from skdpnet.parts.maxima.autograd import part_maxima

__all__ = ["part_maxima"]
