"""The base of learners of linear parts that may have several numbers each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.region_encodings import (
    ENCODINGS,
    MAX,
    MEAN_MAX,
    encode_regions,
)
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import OneOf

__all__ = ["EncodedParts"]


class EncodedParts(LinearParts):
    """Base of learners of linear parts that may have several numbers each.

    Whatever the numbers are, a part contributes to a score what they contribute
    together, and its place is the region to which it responds most.

    Parameters
    ----------
    encoding : {"max", "mean_max", "features"}
        As in `SoftAssignParts`. The constructor of a subclass takes it, and all
        parameters of `LinearParts`.

    Attributes
    ----------
    encoding_ : str
        That of the last fit.
    shift_, scale_ : float32 ndarrays of shape (F,)
        The descriptor is ``(numbers - shift_) * scale_``.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LinearParts._parameter_constraints,
        "encoding": [OneOf(ENCODINGS)],
    }
    _added_parameters: ClassVar[dict[str, Any]] = {
        **LinearParts._added_parameters,
        "encoding": MAX,
    }

    encoding: str
    # Also that of estimators from before there were encodings.
    encoding_: str = MAX

    @property
    def describes_by_responses_(self) -> bool:
        """Whether the descriptor has one number for each part, its response."""
        return self.encoding_ == MAX

    @property
    def column_parts_(self) -> np.ndarray:
        """The part of each number of the descriptor, int ndarray (F,), ascending."""
        return np.repeat(np.arange(len(self.part_maps_)), self._numbers_of_parts())

    def _numbers_of_parts(self) -> np.ndarray:
        """Return how many numbers each part has, (P,)."""
        depths = [whitening.projection.shape[1] for whitening in self.whitenings_]
        return _widths(self.encoding_, self.part_maps_, depths)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the columns of the descriptor.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object ndarray of shape (F,)
            The names of the parts. Where parts have several numbers, ``<part>_max`` and
            ``<part>_mean``, or ``<part>_feature0``, ``<part>_feature1`` and so on.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        See Also
        --------
        get_part_names : The names of the parts.
        """
        names = self.get_part_names()
        if self.encoding_ == MAX:
            return names
        return np.array(
            [
                f"{name}_{number}"
                for name, width in zip(names, self._numbers_of_parts(), strict=True)
                for number in self._names_of_numbers(width)
            ],
            dtype=object,
        )

    def _names_of_numbers(self, width: int) -> Sequence[str]:
        if self.encoding_ == MEAN_MAX:
            return "max", "mean"
        return [f"feature{number}" for number in range(width)]

    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute standardised maxima over the regions; see `PartEstimator`.

        Raises
        ------
        ValueError
            If the descriptor is more than the maxima: `transform` and `iter_described`
            compute it from the images.
        """
        if self.encoding_ != MAX:
            raise ValueError(
                f"encoding={self.encoding_!r} needs more than the responses: take the "
                "descriptors of transform or of iter_described."
            )
        return super().descriptor(responses)

    def _check_learning(self, n_maps: int) -> None:
        super()._check_learning(n_maps)
        if self.encoding == MAX:
            return
        if self.pyramid is not None:
            raise ValueError(
                f"encoding={self.encoding!r} goes without a pyramid, got "
                f"pyramid={self.pyramid}: pass pyramid=None, or encoding={MAX!r}."
            )
        if any(grid.n_regions == 1 for grid in self.grids_):
            raise ValueError(
                f"encoding={self.encoding!r} tells the regions of an image apart, and "
                f"X has one region of each: pass maps of several cells, or "
                f"encoding={MAX!r}."
            )

    def _training_numbers(
        self, maps: list[np.ndarray], maxima: np.ndarray
    ) -> np.ndarray:
        self.encoding_ = self.encoding
        return maxima if self.encoding == MAX else self._numbers(maps).numpy()

    @in_usual_torch_state
    def _describe_maps(self, maps: list) -> torch.Tensor:
        if self.encoding_ == MAX:
            return super()._describe_maps(maps)
        return self._standardise_tensor(self._numbers(maps))

    @in_usual_torch_state
    def _respond_and_describe(
        self, maps: list
    ) -> tuple[list[torch.Tensor], np.ndarray]:
        if self.encoding_ == MAX:
            return super()._respond_and_describe(maps)
        pairs = list(self._regions_and_responses(maps))
        descriptors = self._standardise_tensor(self._encode(pairs))
        return [responses for _, responses in pairs], descriptors.cpu().numpy()

    def _numbers(self, maps: list) -> torch.Tensor:
        """Return the numbers (n, F) of all parts, before they are standardised."""
        pieces = [
            self._encode(self._regions_and_responses([part[images] for part in maps]))
            for images in self._slices_of(maps)
        ]
        return torch.cat(pieces)

    def _encode(
        self, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        """Return the numbers (n, F) from the regions and responses of each map."""
        encoded = [encode_regions(*pair, self.encoding_).flatten(1) for pair in pairs]
        return torch.hstack(encoded)

    def _get_fitted_state(self) -> dict[str, Any]:
        state = super()._get_fitted_state()
        if self.encoding_ != MAX:
            state["encoding_"] = self.encoding_
        return state

    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        super()._set_fitted_state(state)
        self.encoding_ = state.get("encoding_", MAX)

    def _count_numbers(self, state: dict[str, Any], depths: list[int]) -> int:
        encoding = state.get("encoding_", MAX)
        if not OneOf(ENCODINGS).accepts(encoding):
            raise ValueError("encoding_ is not the name of an encoding")
        if encoding != MAX and "part_cells_" in state:
            raise ValueError(f"encoding_ is {encoding!r} in spite of a pyramid")
        return int(_widths(encoding, state["part_maps_"], depths).sum())


def _widths(encoding: str, part_maps: np.ndarray, depths: Sequence[int]) -> np.ndarray:
    """Return how many numbers each part has, (P,)."""
    if encoding in (MAX, MEAN_MAX):
        return np.full(len(part_maps), 1 if encoding == MAX else 2)
    return np.asarray(depths)[part_maps]
