"""How fitted DP-Net estimators describe images: maps, responses and descriptors."""

from __future__ import annotations

import os

import numpy as np
import torch

from skdpnet.parts.context_map import ContextMap
from skdpnet.parts.dpnet.onnx_export import export
from skdpnet.parts.dpnet.region_descriptors import describe_batch
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions.whitening import Whitening
from skdpnet.training.net import ObjectiveNet
from skdpnet.utils.torch_state import in_usual_torch_state

__all__ = ["PartDescriber"]


class PartDescriber(ContextMap):
    """What the DP-Net estimators do with images, before and after training."""

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

    def to_onnx(
        self, path: str | os.PathLike, *, batch_size: int | None = None
    ) -> None:
        """Write network, parts and classifier to one ONNX file, from pixels on.

        Other programs, onnxruntime for instance, run it without this package. Its input
        ``images``, float32 N×3×H×W, are RGB values in [0, 1] of images that are framed
        and resized as `skdpnet.images.network_inputs` does; the graph normalises them.
        H and W are the image size; for the framing "aspect" they depend on the shape of
        the images of the batch. Its outputs are

        - ``scores`` (N, C), the logits, and ``probabilities`` (N, C), of a classifier,
          or ``predictions`` (N, T) of a regressor;
        - ``descriptor`` (N, P), as from `transform`;
        - ``responses_m_s`` (N, P', rows, columns), the responses of the parts of map m
          to the windows of scale s, in the order of `part_responses`.

        The file's ``metadata_props`` have the names of classes and parts, the framing,
        and the windows of the response maps. The graph computes in float32, whatever
        `precision` is, and rounds maps to float16 where the estimator does.

        Parameters
        ----------
        path : str or path
            The file; no suffix is added. ``.onnx`` is usual. An existing file is
            replaced when the new one is complete.
        batch_size : int, default=None
            Number N of images that the graph takes at a time. None: any.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If it was fitted on feature maps in place of images, if the backbone is
            dense SIFT, if the network's maps are not those of `fit`, or if torch cannot
            export the network.
        ImportError
            If the package onnx is not installed.
        OSError
            If the file cannot be written.

        Warns
        -----
        skdpnet.exceptions.DifferentNetworkWarning
            If the network computes other maps than the one of `fit`.

        See Also
        --------
        save : Write a file that `skdpnet.load` reads.
        """
        export(self, path, batch_size)

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

    def _wants_context(self) -> bool:
        return self.context
