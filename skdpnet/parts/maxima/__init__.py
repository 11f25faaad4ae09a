"""The maximum of each part's responses over the regions, made fast.

All code about the speed of this maximum is in this folder, behind one function,
`part_maxima`. `plain.py` has the same function in a dozen lines, for reference.

- `autograd.py`: the maximum and its gradient, a few images and parts at a time.
- `pooling_order.py`, `projection_first.py`, `pooling_first.py`: responses and their
  gradient, with the regions pooled after or before the projection on the parts.
- `reductions.py`: soft maxima and entropies of responses, in place.
- `threads.py`, `buffers.py`: threads that do not wait for one another after every
  operation, and memory that is not allocated again for every piece.
- `cuda.py`, `triton_kernels.py`: the same on an NVIDIA GPU, in Triton kernels.
"""

from skdpnet.parts.maxima.autograd import part_maxima

__all__ = ["part_maxima"]
