"""What the constraints of DP-Net are for, measured on a fitted model.

The first measures are the constraints themselves, without their weights and computed
in the same way whether a model was learned with them or not: so a model without
constraints shows where each of them starts. As in training, the contexts, for which the
whole image is the only region, do not count.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.explanations.decision_measures import numbers_of_parts, redundancy
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.measurement import Measurement
from benchmarks.explanations.measures import agreement, pointing, stability
from benchmarks.explanations.models import PartModel, have_place
from skdpnet import DPNetClassifier, losses

__all__ = ["foreign_weights", "measure", "terms", "twins"]

# Two parts of a map are twins above this absolute cosine: an angle below 60 degrees.
_TWIN = 0.5
# The assignment's mean entropy is that of so many training images.
_N_SAMPLED = 200


def measure(
    model: PartModel, data: ImageSet, *, n_perturbed: int, seed: int
) -> dict[str, dict[str, float]]:
    """Compute all measures of a model that apply to a data set.

    Parameters
    ----------
    model : PartModel
        Of a `DPNetClassifier`.
    data : ImageSet
    n_perturbed : int
        Number of test images that noise is added to, for stability.
    seed : int
        Random state of chance.

    Returns
    -------
    dict of str to dict
        ``value`` and, where chance has one, ``chance`` of each measure.
    """
    random = np.random.RandomState(seed)
    parts = model.transformer
    compared: dict[str, Measurement] = {}
    if data.targets is None:
        descriptors = parts.transform(data.test)
    else:
        explained = model.explain(data.test)
        descriptors = explained.descriptors
        compared |= pointing(
            model, explained, data.targets, random, data.shares(data.test)
        )
    scores = descriptors @ model.readout.coef.T + model.readout.intercept
    correct = scores.argmax(axis=1) == data.test_y
    if data.truths is not None:
        compared |= agreement(model, data, random)
        rows, inputs = data.sample(n_perturbed)
        compared["stability"] = stability(model, data, rows, inputs, random)
    compared |= numbers_of_parts(model, descriptors, random)
    compared |= redundancy(model, random)
    learned = have_place(parts)
    sampled = np.random.default_rng(0).permutation(len(data.train))[:_N_SAMPLED]
    alone = {
        **terms(parts, data.train[np.sort(sampled)]),
        **foreign_weights(parts.coef_[:, learned], parts.part_classes_[learned]),
        "twins": twins(parts.parts_[learned], parts.part_maps_[learned]),
    }
    return {
        "accuracy": {"value": float(correct.mean()), "chance": 1 / len(data.names)},
        **{name: value._asdict() for name, value in compared.items()},
        **{name: {"value": value} for name, value in alone.items()},
    }


def terms(parts: DPNetClassifier, X: np.ndarray) -> dict[str, float]:
    """Compute the constraints of a fitted model, without their weights.

    Parameters
    ----------
    parts : fitted DPNetClassifier
    X : ndarray of n images, of n paths, or of precomputed maps
        The images of the assignment's mean entropy.

    Returns
    -------
    dict of str to float
        ``orthogonality``: the mean over the parts of all maps, as in training;
        ``assignment``: with the estimator's temperature; ``specificity``: of the final
        classifier, whose scores are calibrated logits.
    """
    learned = have_place(parts)
    maps, vectors = parts.part_maps_[learned], parts.parts_[learned]
    numbers = np.unique(maps)
    orthogonality = sum(
        float((maps == number).mean())
        * losses.orthogonality(torch.from_numpy(vectors[maps == number])).item()
        for number in numbers
    )
    entropy, n_regions = 0.0, 0
    for batch in parts.iter_responses(X):
        for responses in (batch[number] for number in numbers):
            n = responses.shape[0] * responses.shape[1]
            mean = losses.assignment(responses, parts.assignment_temperature)
            entropy += n * mean.item()
            n_regions += n
    specificity = losses.specificity(
        torch.from_numpy(parts.coef_[:, learned]),
        torch.from_numpy(parts.part_classes_[learned]),
        parts.specificity_form,
    )
    return {
        "orthogonality": orthogonality,
        "assignment": entropy / n_regions,
        "specificity": specificity.item(),
    }


def foreign_weights(
    coef: NDArray[np.floating], part_classes: NDArray[np.integer]
) -> dict[str, float]:
    """Compute how much of V lies on parts of other classes.

    Parameters
    ----------
    coef : ndarray of shape (C, P)
        V.
    part_classes : int ndarray of shape (P,)
        The class of each part.

    Returns
    -------
    dict of str to float
        ``foreign``: their share of Σ |V|; ``zeros``: the share of exact zeros among
        their weights.
    """
    foreign = np.arange(len(coef))[:, None] != part_classes
    sizes = np.abs(coef)
    return {
        "foreign": float(sizes[foreign].sum() / sizes.sum()),
        "zeros": float((sizes[foreign] == 0).mean()),
    }


def twins(parts: NDArray[np.floating], part_maps: NDArray[np.integer]) -> float:
    """Compute the share of the parts that have a twin on their map.

    Parameters
    ----------
    parts : ndarray of shape (P, K)
        Parts of unit length.
    part_maps : int ndarray of shape (P,)
        The map of each part.

    Returns
    -------
    float
    """
    cosines = np.abs(parts @ parts.T)
    cosines[part_maps[:, None] != part_maps] = 0
    np.fill_diagonal(cosines, 0)
    return float((cosines.max(axis=1) > _TWIN).mean())
