"""The whole image as one more map, with a part of each class: the context."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.parts.dpnet.context import CONTEXT_GRID, whole_images
from skdpnet.regions.extents import have_parts
from skdpnet.regions.grid import RegionGrid

__all__ = ["ContextMap"]


class ContextMap(PartEstimator):
    """Base of part estimators that may have the context beside their parts.

    With it, the averages of all maps are one more map, wherever there are maps of
    images; `map_shapes_` has the shapes of the backbone's maps alone.
    """

    @abstractmethod
    def _wants_context(self) -> bool:
        """Whether the next fit is with the context."""

    def _has_context(self) -> bool:
        """Whether the last fit was with the context; parameters may have changed."""
        return len(self.grids_) > self._n_maps

    @property
    def _n_maps(self) -> int:
        """Number of maps with learned parts, and so the number of the context's map."""
        return sum(have_parts(self.map_shapes_))

    def _usual_part_names(self) -> np.ndarray:
        """Name the whole image as a part of a class ``<class>_context``."""
        names = super()._usual_part_names()
        for i, part in enumerate(np.flatnonzero(self.part_maps_ == self._n_maps)):
            names[part] = self._context_name(i)
        return names

    def _context_name(self, number: int) -> str:
        return f"{self.classes_[number]}_context"

    def _maps_of_parts(self, maps: list, in_fit: bool) -> list:
        of_parts = super()._maps_of_parts(maps, in_fit)
        if self._wants_context() if in_fit else self._has_context():
            of_parts.append(whole_images(maps))
        return of_parts

    def _region_grids(self, maps: Sequence[np.ndarray]) -> list[RegionGrid]:
        grids = super()._region_grids(maps[: self._n_maps])
        return grids + [CONTEXT_GRID] * (len(maps) - self._n_maps)
