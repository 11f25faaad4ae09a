"""How fitted DP-Net estimators describe images: maps, responses and descriptors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.parts.dpnet.context import CONTEXT_GRID, whole_images
from skdpnet.parts.dpnet.region_descriptors import describe_batch
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions.extents import have_parts
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.training.net import ObjectiveNet
from skdpnet.utils.torch_state import in_usual_torch_state

__all__ = ["PartDescriber"]


class PartDescriber(PartEstimator):
    """What the DP-Net estimators do with images, before and after training.

    With `context`, the averages of all maps are one more map, wherever there are maps
    of images; `map_shapes_` has the shapes of the backbone's maps alone.
    """

    _takes_tensors = True

    # Parameters of the constructors.
    context: bool
    foreground: float | str | None

    whitenings_: list[Whitening]
    net_: ObjectiveNet
    device_: torch.device

    @property
    def beta_(self) -> float | None:
        """β of the soft maximum over the regions; None: the maximum is hard."""
        return self.net_.module_.beta

    @in_usual_torch_state
    def part_responses(self, maps: list) -> list[torch.Tensor]:
        """Compute the cosines of parts and regions; see `PartEstimator`."""
        with torch.inference_mode():
            return self.net_.module_.responses(self._described(maps))

    @in_usual_torch_state
    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute standardised maxima over the regions; see `PartEstimator`."""
        model = self.net_.module_
        with torch.inference_mode():
            maxima = [soft_maximum(cosines, model.beta) for cosines in responses]
            return model.descriptor(torch.cat(maxima, dim=1)).cpu().numpy()

    def _usual_part_names(self) -> np.ndarray:
        """Name the whole image as a part of a class ``<class>_context``."""
        names = super()._usual_part_names()
        for i, part in enumerate(np.flatnonzero(self.part_maps_ == self._n_maps)):
            names[part] = self._context_name(i)
        return names

    def _context_name(self, number: int) -> str:
        return f"{self.classes_[number]}_context"

    @in_usual_torch_state
    def _describe_maps(self, maps: list) -> torch.Tensor:
        model = self.net_.module_
        with torch.inference_mode():
            return model.descriptor(model.maxima(self._described(maps)))

    def _described(self, maps: list) -> list[torch.Tensor]:
        """Return the region descriptors of each map of some images."""
        each = self.whitenings_, maps, self.grids_
        return describe_batch(*each, self.foreground, torch.device(self.net_.device))

    def __setstate__(self, state):
        super().__setstate__(state)
        if "net_" in state:
            # A net that was fitted on a GPU is on the CPU where there is none.
            self.device_ = torch.device(self.net_.device)

    @property
    def _n_maps(self) -> int:
        """Number of maps with learned parts, and so the number of the context's map."""
        return sum(have_parts(self.map_shapes_))

    def _has_context(self) -> bool:
        """Whether the estimator was fitted with `context`, which may have changed."""
        return len(self.grids_) > self._n_maps

    def _maps_of_parts(self, maps: list, in_fit: bool) -> list:
        of_parts = super()._maps_of_parts(maps, in_fit)
        if self.context if in_fit else self._has_context():
            of_parts.append(whole_images(maps))
        return of_parts

    def _region_grids(self, maps: Sequence[np.ndarray]) -> list[RegionGrid]:
        grids = super()._region_grids(maps[: self._n_maps])
        return grids + [CONTEXT_GRID] * (len(maps) - self._n_maps)
