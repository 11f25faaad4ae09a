"""What is measured of a fitted head: its decisions, and what its parts mean."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator

from benchmarks.accuracy.calibration_measures import measure_probabilities
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.explanations.measures import (
    agreement,
    curve_areas,
    on_object,
    response_drop,
    stability,
)
from benchmarks.explanations.models import PartModel
from skdpnet import metrics
from skdpnet.explanations.readout import LinearReadout

__all__ = ["decisions", "difference", "meaning", "parts_of_decisions"]

_N_DRAWS = 10_000


def decisions(model: BaseEstimator, data: ImageSet) -> dict:
    """Measure the decisions on the test images.

    Parameters
    ----------
    model : fitted classifier
    data : ImageSet

    Returns
    -------
    dict
        ``accuracy``; ``correct``, a text with 1 for each image that is decided rightly
        and 0 for each other; where there are probabilities, their ``calibration_error``
        and ``nll``.
    """
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(data.test)
        predicted = model.classes_[probabilities.argmax(axis=1)]
        found = measure_probabilities(probabilities, data.test_y)
        calibration = {"calibration_error": found["error"], "nll": found["nll"]}
    else:
        predicted, calibration = model.predict(data.test), {}
    correct = predicted == data.test_y
    return {
        "accuracy": float(correct.mean()),
        "correct": "".join("01"[int(right)] for right in correct),
        **calibration,
    }


def parts_of_decisions(model: BaseEstimator, data: ImageSet) -> dict:
    """Count the parts: all, those with a weight, and those in a decision.

    Parameters
    ----------
    model : fitted classifier with parts
    data : ImageSet

    Returns
    -------
    dict
        ``parts``; ``weighted``, those that some class has a weight on, if the decision
        is linear; ``in_decision``, the median over the test images of the number of
        parts that give 80 % of the evidence for the predicted class; ``redundancy``,
        the mean absolute cosine of the parts of a map, where they are vectors.
    """
    fitted = PartModel(model)
    readout, parts = fitted.readout, fitted.transformer
    descriptors = parts.transform(data.test).astype(np.float64)
    predicted = readout.scores(descriptors).argmax(axis=1)
    counts = []
    for c in np.unique(predicted):
        rows = descriptors[predicted == c]
        counts.append(metrics.parts_for_evidence(readout.contributions(rows, int(c))))
    found = {
        "parts": len(parts.part_maps_),
        "in_decision": float(np.median(np.concatenate(counts))),
    }
    vectors = getattr(parts, "prototypes_", getattr(parts, "parts_", None))
    # Templates of several sizes have no cosines.
    if vectors is not None:
        redundancy = metrics.redundancy(vectors, parts.part_maps_)
        found["redundancy"] = float(redundancy.mean)
    if isinstance(readout, LinearReadout):
        found["weighted"] = int((readout.coef != 0).any(axis=0).sum())
    return found


def meaning(
    model: BaseEstimator, data: ImageSet, seed: int, n_perturbed: int, n_steps: int
) -> dict:
    """Measure what parts mean on photographs whose parts are annotated.

    Parameters
    ----------
    model : fitted classifier with parts
    data : ImageSet
        With `truths` and `objects`.
    seed : int
        Random state of what there is by chance.
    n_perturbed : int
        Number of test images that are perturbed.
    n_steps : int
        Steps of deletion; 0: it is not measured.

    Returns
    -------
    dict
        ``purity``, ``consistency``, ``stability``; ``pointing``, the share of images
        whose strongest part lies on the object; ``deletion``, an area where less is
        better; ``box``, the share of the strongest part's response that is lost where
        its box is covered. Each is a pair: the value, and that by chance.
    """
    fitted, random = PartModel(model), np.random.RandomState(seed)
    rows, inputs = data.sample(n_perturbed)
    explained, sampled = fitted.explain(data.test), fitted.explain(inputs)
    found = {
        **agreement(fitted, data, random),
        "stability": stability(fitted, data, rows, inputs, random),
        "pointing": on_object(fitted, explained, data, random),
        "box": response_drop(fitted, inputs, sampled, random),
    }
    if n_steps:
        areas = curve_areas(fitted, inputs, sampled, n_steps)
        found["deletion"] = areas["deletion"]
    return {name: [float(value) for value in pair] for name, pair in found.items()}


def difference(
    correct: list[str], others: list[str], n_draws: int = _N_DRAWS
) -> tuple[float, float, float]:
    """Compare two methods on the same test images, with a 95 % interval.

    Parameters
    ----------
    correct, others : list of str
        Of each seed, as from `decisions`.
    n_draws : int, default=10000
        How often test images are drawn with replacement.

    Returns
    -------
    mean, low, high : float
        The accuracy of the first less that of the second, as the mean over the seeds,
        and the interval of this difference over draws of the test images. It does not
        tell how training images or seeds would change it.
    """
    first, second = (
        np.mean([[int(digit) for digit in row] for row in rows], axis=0)
        for rows in (correct, others)
    )
    of_images = first - second
    random, n = np.random.default_rng(0), len(of_images)
    draws = [of_images[random.integers(n, size=n)].mean() for _ in range(n_draws)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(of_images.mean()), float(low), float(high)
