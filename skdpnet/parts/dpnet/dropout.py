"""Dropout that draws from a generator of its own, not from torch's global one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["SeededDropout"]


class SeededDropout(nn.Module):
    """Set random numbers of a tensor to 0 in training mode, and scale the others.

    `torch.nn.Dropout` draws from torch's global generator, which all threads of a
    process share, so that fits in concurrent threads would change one another. The
    draws of this module depend on its seed and on the calls since alone.

    Parameters
    ----------
    p : float in [0, 1)
        Share of the numbers that are set to 0. The others are divided by 1 - p.

    Attributes
    ----------
    seed : int
        Seed of the draws; see `manual_seed`. Copies and unpickled modules draw as from
        the seed.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.manual_seed(0)

    def manual_seed(self, seed: int) -> None:
        """Set the seed of the following draws."""
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    # The compiler of torch cannot trace a generator.
    @torch.compiler.disable
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a tensor with random zeros in training mode, otherwise x itself."""
        if not self.training or self.p == 0:
            return x
        # The net may have been moved to another device after the seed was set.
        if x.device not in self._generators:
            generator = torch.Generator(x.device).manual_seed(self.seed)
            self._generators[x.device] = generator
        kept = torch.empty_like(x)
        kept.bernoulli_(1 - self.p, generator=self._generators[x.device])
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Return the part of the module's text that names its share."""
        return f"p={self.p}"

    def __getstate__(self) -> dict[str, Any]:
        # The generator of a GPU could not be unpickled where there is no GPU.
        return {**self.__dict__, "_generators": {}}
