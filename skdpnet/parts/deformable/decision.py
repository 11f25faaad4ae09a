"""What the stars of classes say of an image: terms, scores and contributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.base.part_classifier import PartClassifier
from skdpnet.explanations.explain_mixin import ExplainMixin
from skdpnet.parts.deformable.roles import Roles, grid_of_cells, part_layout, roles_of
from skdpnet.parts.deformable.star import StarMaps, Stars, displaced_responses
from skdpnet.persistence.checks import check_array, check_whitenings
from skdpnet.regions.extents import extents
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.torch_state import in_usual_torch_state

__all__ = ["StarDecision"]

_LARGEST_ANCHOR = 2**16


class StarDecision(ExplainMixin, PartClassifier):
    """The responses, predictions and contributions of `DeformableParts`."""

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartClassifier._fitted_attributes,
        *(
            "roots_",
            "part_templates_",
            "anchors_",
            "deformations_",
            "biases_",
            "whitenings_",
        ),
    )

    roots_: np.ndarray
    part_templates_: np.ndarray
    anchors_: np.ndarray
    deformations_: np.ndarray
    biases_: np.ndarray
    whitenings_: list[Whitening]

    @in_usual_torch_state
    def part_responses(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        """Compute the terms of roots and parts at all places; see `PartEstimator`.

        A part responds by its filter, less the cost of its displacement from where the
        best root of its star has it. A root responds by the score of its star at this
        place, less the bias and less the terms that the parts have at the best place.
        So the maxima over the regions are the terms of the best joint placement. Where
        a filter does not fit into the image, its response is the least one in the
        image, less 1.
        """
        roles, stars = roles_of(self.grids_), self._stars()
        star_maps = self._star_maps(maps)
        roots, parts = stars.responses(star_maps)
        scores = stars.scores(star_maps, roots, parts) - stars.biases[:, None, None]
        terms = {roles.coarse: scores.flatten(2)}
        if parts is not None and roles.fine is not None:
            best = scores.flatten(2).argmax(dim=2)
            row, column = torch.unravel_index(best, scores.shape[2:])
            numbers = torch.arange(scores.shape[1])
            targets = stars.place_parts(
                star_maps,
                numbers.repeat(len(best)),
                torch.stack([row, column], dim=-1).flatten(0, 1),
            ).unflatten(0, best.shape)
            displaced = displaced_responses(parts, stars.deformations, targets)
            displaced = displaced.flatten(3)
            of_parts = displaced.amax(dim=3).sum(dim=2)
            terms[roles.coarse] = terms[roles.coarse] - of_parts[:, :, None]
            terms[roles.fine] = displaced.flatten(1, 2)
        return [_finite(terms[number]).mT for number in range(len(self.grids_))]

    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute the terms of the best placements; see `PartEstimator`."""
        return np.hstack([of_map.amax(dim=1).numpy() for of_map in responses])

    def class_scores(self, descriptors) -> np.ndarray:
        """Score each class by the best of its stars.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`.

        Returns
        -------
        float64 ndarray of shape (n, C)
            The sum of the terms of root and parts, and the bias, of the star for which
            it is largest.
        """
        return self._scores_of(np.asarray(descriptors))

    def contributions(self, descriptors, class_number: int) -> np.ndarray:
        """Return the terms of root and parts of the best star of a class.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`.
        class_number : int
            An index into `classes_`.

        Returns
        -------
        float64 ndarray of shape (n, P)
            Those of all other stars are 0. They add up to the score of the class less
            the bias of the star.
        """
        terms = np.asarray(descriptors, np.float64)
        star = self._star_scores(terms)[:, class_number].argmax(axis=1)
        chosen = class_number * self.biases_.shape[1] + star
        return np.where(self._star_of_part() == chosen[:, None], terms, 0.0)

    def _scores_of(self, descriptors: np.ndarray) -> np.ndarray:
        return self._star_scores(descriptors).max(axis=2)

    def _star_scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the score of each star, (n, C, M)."""
        n_stars = self.biases_.size
        of_star = self._star_of_part()[:, None] == np.arange(n_stars)
        totals = descriptors.astype(np.float64) @ of_star
        return totals.reshape(-1, *self.biases_.shape) + self.biases_

    def _star_of_part(self) -> np.ndarray:
        """Return the number of the star of each part, (P,), class by class."""
        return part_layout(roles_of(self.grids_), *self.anchors_.shape[:3]).stars

    def _usual_part_names(self) -> np.ndarray:
        layout = part_layout(roles_of(self.grids_), *self.anchors_.shape[:3])
        n_stars = self.biases_.shape[1]
        names = [
            f"{self.classes_[star // n_stars]}_star{star % n_stars}_"
            + ("root" if part < 0 else f"part{part}")
            for star, part in zip(layout.stars, layout.parts, strict=True)
        ]
        return np.array(names, dtype=object)

    def _stars(self) -> Stars:
        """Return the stars of all classes, one class after the other."""
        arrays = (
            *(self.roots_, self.part_templates_, self.anchors_),
            *(self.deformations_, self.biases_),
        )
        return Stars(*(torch.from_numpy(array).flatten(0, 1) for array in arrays))

    def _star_maps(self, maps: Sequence[np.ndarray]) -> StarMaps:
        """Whiten the cells of maps (n, H, W, D), one for each of the grids."""
        roles = roles_of(self.grids_)
        coarse = _cells(maps[roles.coarse], self.whitenings_[roles.coarse])
        covered = torch.from_numpy(extents(maps[roles.coarse]))
        if roles.fine is None:
            return StarMaps(coarse, None, covered, None)
        fine = _cells(maps[roles.fine], self.whitenings_[roles.fine])
        fine_covered = torch.from_numpy(extents(maps[roles.fine]))
        ratios = (
            fine.shape[2] / coarse.shape[2],
            fine.shape[3] / coarse.shape[3],
        )
        return StarMaps(coarse, fine, covered, fine_covered, ratios)

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        of_parts = self._state_of_parts(state)
        depths = check_whitenings(state["whitenings_"], of_parts["map_shapes_"])
        try:
            roles = roles_of(state["grids_"])
        except ValueError as error:
            raise ValueError("grids_ has more than two maps") from error
        if any(len(grid.windows) != 1 for grid in state["grids_"]):
            raise ValueError("grids_ has several windows on a map")
        anchors, classes = state["anchors_"], state["classes_"]
        if (
            not isinstance(anchors, np.ndarray)
            or anchors.dtype != np.int64
            or anchors.ndim != 4
            or anchors.shape[0] != len(classes)
            or anchors.shape[1] == 0
            or anchors.shape[3] != 2
            or (np.abs(anchors) > _LARGEST_ANCHOR).any()
        ):
            raise ValueError("anchors_ does not hold places for the stars of classes")
        n_classes, n_stars, n_parts, _ = anchors.shape
        if (n_parts > 0) != (roles.fine is not None):
            raise ValueError("anchors_ has parts without a map, or a map without parts")
        _check_filters(state, roles, depths, (n_classes, n_stars, n_parts))
        check_array("biases_", state["biases_"], (n_classes, n_stars))
        layout = part_layout(roles, n_classes, n_stars, n_parts)
        for name, expected in (
            ("part_maps_", layout.maps),
            ("part_classes_", layout.stars // n_stars),
        ):
            if not np.array_equal(state[name], expected):
                raise ValueError(f"{name} does not fit the stars")


def _check_filters(
    state: dict[str, Any], roles: Roles, depths: list[int], counts: tuple[int, int, int]
) -> None:
    """Check the filters and deformations in a model file.

    Parameters
    ----------
    state : dict of str to value
    roles : Roles
    depths : list of int
        Dimensions of the cells of each map.
    counts : (int, int, int)
        Numbers of classes, of stars of each, and of parts of each star.

    Raises
    ------
    ValueError
        If they do not fit; the message says which.
    """
    n_classes, n_stars, n_parts = counts
    window = state["grids_"][roles.coarse].windows[0]
    shape = n_classes, n_stars, depths[roles.coarse], *window
    check_array("roots_", state["roots_"], shape)
    parts, deformations = state["part_templates_"], state["deformations_"]
    if roles.fine is None:
        for name, array in (
            ("part_templates_", parts),
            ("deformations_", deformations),
        ):
            is_array = isinstance(array, np.ndarray) and array.dtype == np.float32
            if not is_array or array.shape[:3] != counts or array.ndim < 4:
                raise ValueError(f"{name} is not an array for stars without parts")
        return
    window = state["grids_"][roles.fine].windows[0]
    check_array("part_templates_", parts, (*counts, depths[roles.fine], *window))
    check_array("deformations_", deformations, (n_classes, n_stars, n_parts, 4))
    if not (deformations[..., 1::2] > 0).all():
        raise ValueError("deformations_ has squares with weights that are not above 0")


def _cells(maps: np.ndarray, whitening: Whitening) -> torch.Tensor:
    """Whiten the cells of maps (n, H, W, D): (n, K, H, W)."""
    height, width = maps.shape[1:3]
    cells = whitening(maps, grid_of_cells(maps))
    rows = torch.from_numpy(cells).unflatten(1, (height, width))
    return rows.permute(0, 3, 1, 2).contiguous()


def _finite(responses: torch.Tensor) -> torch.Tensor:
    """Replace −∞ among responses (n, P, R) by the least other of the image, less 1."""
    outside = responses == -torch.inf
    least = responses.masked_fill(outside, torch.inf).amin(dim=2, keepdim=True)
    return torch.where(outside, least - 1, responses)
