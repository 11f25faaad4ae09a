"""The objective of DP-Net: the loss of scores, the ridge on V, and the penalties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from skdpnet import losses
from skdpnet.parts.dpnet.model import PartModel, PartOutput
from skdpnet.training.linear_fits import ClassifierPenalty
from skdpnet.training.score_losses import ScoreLoss

__all__ = ["PENALTIES", "Objective", "Penalty"]


@dataclass
class Objective:
    """The sum of the loss of scores, the ridge on V, and the weighted penalties.

    Parameters
    ----------
    part_classes : int tensor of shape (P,)
        The class of each learned part. V may have further columns, those of the
        context, which no penalty applies to.
    weights : mapping of str to float
        The weight of each penalty in `PENALTIES`. One of weight 0 is not computed.
    ridge : float
        Weight of ‖V‖².
    loss : ScoreLoss
        The loss of the scores.
    specificity_form : {"absolute", "square", "signed"}
        See `skdpnet.losses.specificity`.
    """

    part_classes: torch.Tensor
    weights: Mapping[str, float]
    ridge: float
    loss: ScoreLoss
    specificity_form: str

    def __getstate__(self) -> dict[str, Any]:
        # They may be on a GPU that is missing where they are unpickled.
        return {**self.__dict__, "part_classes": self.part_classes.cpu()}

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return [self.loss.name, "ridge", *self._used()]

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
            The output of the model for a batch of N images.
        labels : tensor of shape (N,) or (N, C)
            As `loss` takes them.
        weights : tensor of shape (N,)
            Weights of the images.

        Returns
        -------
        dict of str to scalar tensor
        """
        losses = self.loss(output.logits, labels)
        V = model.classifier.weight
        terms = {
            self.loss.name: (weights * losses).mean(),
            "ridge": self.ridge * V.square().sum(),
        }
        for name in self._used():
            value = PENALTIES[name].compute(V, self, model, output)
            terms[name] = self.weights[name] * value
        return terms

    @property
    def classifier_penalty(self) -> ClassifierPenalty | None:
        """The weighted sum of the penalties on V alone, or None if there is none."""
        used = self._used_on_classifier()
        if not used:
            return None
        sparse = used == ["specificity"] and self.specificity_form == "absolute"
        # A method, unlike a function inside this one, can be pickled.
        return ClassifierPenalty(self._penalise_classifier, sparse)

    def _penalise_classifier(self, V: torch.Tensor) -> torch.Tensor:
        values = [
            self.weights[name] * PENALTIES[name].compute(V, self)
            for name in self._used_on_classifier()
        ]
        return torch.stack(values).sum()

    def _used_on_classifier(self) -> list[str]:
        """Return the names of the penalties on V alone that have a weight."""
        return [name for name in self._used() if PENALTIES[name].on_classifier]

    def _used(self) -> list[str]:
        """Return the names of the penalties that have a weight."""
        return [name for name in PENALTIES if self.weights[name]]


@dataclass(frozen=True)
class Penalty:
    """A penalty, without its weight.

    Parameters
    ----------
    compute : callable
        Function ``(V, objective, model, output) -> scalar tensor`` of the weights V
        (C, P) of the linear classifier, the objective, the part model, and its output
        for a batch.
    on_classifier : bool, default=False
        Whether the penalty depends on V alone. If so, it is also part of the convex
        fits of the classifier, which call it with V and the objective only.
    """

    compute: Callable[..., torch.Tensor]
    on_classifier: bool = False


def _orthogonality(
    V: torch.Tensor, objective: Objective, model: PartModel, output: PartOutput
) -> torch.Tensor:
    """Return the mean over all parts; those of other maps are not a part's twins.

    Parts of different maps are in different spaces, and so have no cosine.
    """
    parts = model.unit_parts()
    n_parts = sum(len(on_map) for on_map in parts)
    terms = [len(on_map) / n_parts * losses.orthogonality(on_map) for on_map in parts]
    return torch.stack(terms).sum()


def _assignment(
    V: torch.Tensor, objective: Objective, model: PartModel, output: PartOutput
) -> torch.Tensor:
    """Return the penalty that `PartModel.forward` has computed with the maxima."""
    return output.assignment


def _specificity(V: torch.Tensor, objective: Objective, *unused) -> torch.Tensor:
    # They are replaced, so that they are copied to the device only once.
    objective.part_classes = objective.part_classes.to(V.device)
    classes = objective.part_classes
    return losses.specificity(V[:, : len(classes)], classes, objective.specificity_form)


# The estimators have a parameter "<name>_weight" for each penalty.
PENALTIES: dict[str, Penalty] = {
    "orthogonality": Penalty(_orthogonality),
    "assignment": Penalty(_assignment),
    "specificity": Penalty(_specificity, on_classifier=True),
}
