"""What a trained part model makes of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import PartEstimator
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions.whitening import WhitenedMaps
from skdpnet.storage.large_arrays import MapRows

__all__ = ["ModelParts"]


class ModelParts(PartEstimator):
    """Base of estimators whose parts are in a net's module, `net_`, a `PartModel`.

    A subclass's `fit` sets `whitenings_` and `grids_` as well, one for each map.
    """

    def transform(self, X) -> np.ndarray:
        """Describe images by their parts.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, P)
            The maximum of each part's response over the regions, standardised on the
            training set (mean 0, variance 1/P).
        """
        check_is_fitted(self)
        return self._describe(self._pieces(X))

    def _respond(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        with torch.inference_mode():
            return self.net_.module_.responses(self._inputs(maps))

    def _descriptors(self, responses: list[torch.Tensor]) -> np.ndarray:
        module = self.net_.module_
        with torch.inference_mode():
            maxima = [soft_maximum(own, module.beta) for own in responses]
            return module.descriptor(torch.cat(maxima, dim=1)).cpu().numpy()

    def _activate(self, maps: list[np.ndarray]) -> np.ndarray:
        module = self.net_.module_
        with torch.inference_mode():
            maxima = module.maxima(self._inputs(maps))
            return module.descriptor(maxima).cpu().numpy()

    def _inputs(self, maps: list[np.ndarray]) -> list[list[torch.Tensor]]:
        """Whiten the maps of a few images, as the part model takes them."""
        device = torch.device(self.net_.device)
        each = zip(self.whitenings_, maps, self.grids_, strict=True)
        return [whitening.tensors(one, grid, device) for whitening, one, grid in each]

    @property
    def _sharpness(self) -> float | None:
        return self.net_.module_.beta

    def _whitened(
        self, maps: Sequence[np.ndarray | MapRows], device: torch.device
    ) -> list[WhitenedMaps]:
        return [
            whitening(one, grid, self.memory, device)
            for whitening, one, grid in zip(
                self.whitenings_, maps, self.grids_, strict=True
            )
        ]
