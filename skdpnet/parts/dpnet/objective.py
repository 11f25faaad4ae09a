"""What DP-Net minimises: cross-entropy, the ridge on V, and the penalties on parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from skdpnet import losses
from skdpnet.parts.dpnet.model import PartModel, PartOutput

__all__ = ["PENALTIES", "Objective", "Penalty"]


@dataclass
class Objective:
    """Cross-entropy, ridge on V, and penalties, each with its weight.

    Parameters
    ----------
    part_classes : int tensor of shape (P,)
        Class of each part.
    weights : mapping of str to float
        The weight of each penalty in `PENALTIES`; 0: it is not computed.
    ridge : float
        Weight of ‖V‖².
    label_smoothing : float
        Label smoothing of the cross-entropy.
    specificity_form : {"absolute", "square", "signed"}
        See `skdpnet.losses.specificity`.
    """

    part_classes: torch.Tensor
    weights: Mapping[str, float]
    ridge: float
    label_smoothing: float
    specificity_form: str

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return ["cross_entropy", "ridge", *self._used()]

    def terms(
        self,
        model: PartModel,
        output: PartOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum.

        Parameters
        ----------
        model : PartModel
        output : PartOutput
            What the model gives for a batch.
        labels : int tensor of shape (N,)
        weights : tensor of shape (N,)
            Weights of the images.

        Returns
        -------
        dict of str to scalar tensor
        """
        entropies = F.cross_entropy(
            output.logits,
            labels,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        v = model.classifier.weight
        terms = {
            "cross_entropy": (weights * entropies).mean(),
            "ridge": self.ridge * v.square().sum(),
        }
        for name in self._used():
            value = PENALTIES[name].compute(v, self, model, output)
            terms[name] = self.weights[name] * value
        return terms

    @property
    def classifier_penalty(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """The weighted sum of the penalties on V alone, V (C, P) -> scalar, or None."""
        used = [name for name in self._used() if PENALTIES[name].on_classifier]
        if not used:
            return None

        def penalty(v: torch.Tensor) -> torch.Tensor:
            values = [
                self.weights[name] * PENALTIES[name].compute(v, self) for name in used
            ]
            return torch.stack(values).sum()

        return penalty

    def _used(self) -> list[str]:
        return [name for name in PENALTIES if self.weights[name]]


@dataclass(frozen=True)
class Penalty:
    """One penalty, unweighted.

    Parameters
    ----------
    compute : callable
        ``(V, objective, model, output) -> scalar``, with the linear classifier's
        weights V (C, P), the part model, and its output for a batch.
    on_classifier : bool, default=False
        Whether it depends on V alone. Then it is called with V and the objective only,
        and the convex fits of the classifier obey it too.
    """

    compute: Callable[..., torch.Tensor]
    on_classifier: bool = False


def _orthogonality(
    v: torch.Tensor, objective: Objective, model: PartModel, output: PartOutput
) -> torch.Tensor:
    """Return the mean over all pairs of parts, those of different maps counting as 0.

    Parts of different maps live in different spaces, and so have no cosine.
    """
    parts = model.unit_parts()
    n_parts = sum(len(on_map) for on_map in parts)
    of_maps = [
        (len(on_map) / n_parts) ** 2 * losses.orthogonality(on_map) for on_map in parts
    ]
    return torch.stack(of_maps).sum()


def _assignment(
    v: torch.Tensor, objective: Objective, model: PartModel, output: PartOutput
) -> torch.Tensor:
    """Return the entropy that the forward pass computed; see `PartModel.forward`."""
    return output.assignment


def _specificity(v: torch.Tensor, objective: Objective, *unused) -> torch.Tensor:
    # Moved once: V stays on its device from step to step.
    objective.part_classes = objective.part_classes.to(v.device)
    return losses.specificity(v, objective.part_classes, objective.specificity_form)


# The weight of a penalty is the estimators' parameter of its name and "_weight".
PENALTIES: dict[str, Penalty] = {
    "orthogonality": Penalty(_orthogonality),
    "assignment": Penalty(_assignment),
    "specificity": Penalty(_specificity, on_classifier=True),
}
