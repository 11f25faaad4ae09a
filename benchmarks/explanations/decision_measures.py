"""Measures of what decisions rest on: which parts, how many, and how alike."""

from __future__ import annotations

import numpy as np

from benchmarks.explanations.measurement import Measurement
from benchmarks.explanations.models import PartModel
from skdpnet import metrics

__all__ = ["evidence", "numbers_of_parts", "redundancy"]


def numbers_of_parts(
    model: PartModel, descriptors: np.ndarray, random: np.random.RandomState
) -> dict[str, Measurement]:
    """Count the parts that keep, and those that flip, a decision.

    Parameters
    ----------
    model : PartModel
    descriptors : ndarray of shape (n, P)
        The descriptors of the decided images.
    random : RandomState
        It draws the order of the parts by chance.

    Returns
    -------
    dict of str to Measurement
        ``keep`` and ``flip``: medians over the images.
    """
    readout = model.readout
    random_order = np.argsort(random.random_sample(descriptors.shape), axis=1)

    def median(count, order) -> float:
        counts = count(readout.coef, readout.intercept, descriptors, order=order)
        return float(np.median(counts))

    return {
        name: Measurement(median(count, None), median(count, random_order))
        for name, count in (
            ("keep", metrics.parts_to_keep),
            ("flip", metrics.parts_to_flip),
        )
    }


def evidence(
    model: PartModel, descriptors: np.ndarray, predicted: np.ndarray
) -> dict[str, Measurement]:
    """Compute where the evidence for right decisions comes from.

    Parameters
    ----------
    model : PartModel
    descriptors : ndarray of shape (n, P)
        The descriptors of the images that are decided rightly.
    predicted : int ndarray of shape (n,)
        Their classes.

    Returns
    -------
    dict of str to Measurement
        ``present``: mean share of present parts; ``parts of 80 %``: median of the
        number of parts that give 80 % of the evidence. By chance: with the weights of
        each class in the opposite order of parts.
    """
    weights = model.readout.coef[predicted]
    measures = {}
    for name, compute in (("present", _present), ("parts of 80 %", _parts)):
        value, chance = (
            compute(each * descriptors, descriptors)
            for each in (weights, weights[:, ::-1])
        )
        measures[name] = Measurement(value, chance)
    return measures


def _present(contributions: np.ndarray, descriptors: np.ndarray) -> float:
    """Return the mean share of present parts; 0 where there is no evidence at all."""
    shares = metrics.present_evidence(contributions, descriptors)
    return float(np.nan_to_num(shares).mean()) if len(shares) else 0.0


def _parts(contributions: np.ndarray, descriptors: np.ndarray) -> float:
    counts = metrics.parts_for_evidence(contributions)
    return float(np.median(counts)) if len(counts) else 0.0


def redundancy(
    model: PartModel, random: np.random.RandomState
) -> dict[str, Measurement]:
    """Compute the similarity of the parts of a map, and of random ones by chance.

    Parameters
    ----------
    model : PartModel
    random : RandomState
        It draws normally distributed parts.

    Returns
    -------
    dict of str to Measurement
        ``redundancy`` and ``closest pair``: mean and maximum of the absolute cosines.
    """
    parts, maps = model.transformer.parts_, model.transformer.part_maps_
    # Parts on maps with fewer dimensions are padded with zeros.
    random_parts = random.normal(size=parts.shape) * (parts != 0)
    value = metrics.redundancy(parts, maps)
    chance = metrics.redundancy(random_parts, maps)
    return {
        "redundancy": Measurement(value.mean, chance.mean),
        "closest pair": Measurement(value.maximum, chance.maximum),
    }
