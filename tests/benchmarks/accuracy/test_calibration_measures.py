"""Measures of probabilities, against loops and models whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from benchmarks.accuracy import calibration_measures as measures


def drawn(n, n_classes=4, scale=2.0, seed=0):
    """Probabilities, and classes that are drawn by just these probabilities."""
    random = np.random.default_rng(seed)
    p = softmax(scale * random.normal(size=(n, n_classes)), axis=1)
    y = (random.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return p, np.minimum(y, n_classes - 1)


def error_by_loops(confidence, correct, n_bins):
    error = 0.0
    for k in range(n_bins):
        low, high = k / n_bins, (k + 1) / n_bins
        inside = [
            i for i, c in enumerate(confidence)
            if low <= c < high or (c == 1 and k == n_bins - 1)
        ]  # fmt: skip
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            mean = sum(confidence[i] for i in inside) / len(inside)
            error += len(inside) / len(confidence) * abs(accuracy - mean)
    return error


@pytest.mark.parametrize("n_bins", [1, 4, 15])
def test_the_error_is_that_of_the_formula(n_bins):
    random = np.random.default_rng(n_bins)
    confidence = np.append(random.random(60), [0, 0.25, 0.5, 1, 1])
    correct = random.random(65) < 0.5
    bins = measures.reliability_bins(confidence, correct, n_bins)
    assert measures.calibration_error(bins) == pytest.approx(
        error_by_loops(confidence, correct, n_bins)
    )
    assert bins.counts.sum() == 65 and bins.correct.sum() == correct.sum()
    assert bins.confidence.sum() == pytest.approx(confidence.sum())


def test_bins_of_several_draws_at_once():
    random = np.random.default_rng(0)
    confidence, correct = random.random(30), random.random((3, 30)) < 0.7
    errors = measures.calibration_error(measures.reliability_bins(confidence, correct))
    assert errors == pytest.approx(
        [error_by_loops(confidence, draw, 15) for draw in correct]
    )


def test_the_error_by_chance_of_one_bin():
    """All confidences are 0.7: the mean of |k/n − 0.7| for k of a binomial law."""
    k = np.arange(51)
    expected = (binom.pmf(k, 50, 0.7) * np.abs(k / 50 - 0.7)).sum()
    found = measures.error_of_calibrated(np.full(50, 0.7), n_draws=20_000)
    assert found == pytest.approx(expected, rel=0.03)


def test_a_calibrated_model_has_the_error_of_chance():
    found = [
        measures.measure_probabilities(*drawn(400, seed=seed)) for seed in range(30)
    ]
    mean = {
        key: np.mean([one[key] for one in found]) for key in found[0] if key != "bins"
    }
    assert mean["error"] == pytest.approx(mean["error_of_calibrated"], rel=0.1)
    assert abs(mean["overconfidence"]) < 0.01
    assert mean["temperature"] == pytest.approx(1, abs=0.03)
    assert 1 <= mean["nll_ratio"] < 1.01
    # It falls with the number of images.
    few, many = (drawn(n)[0].max(axis=1) for n in (100, 10_000))
    floor = measures.error_of_calibrated
    assert floor(few) == pytest.approx(10 * floor(many), rel=0.2)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_the_temperature_that_undoes_a_distortion(temperature):
    p, y = drawn(5000)
    distorted = softmax(temperature * np.log(p), axis=1)
    found = measures.measure_probabilities(distorted, y)
    assert found["temperature"] == pytest.approx(temperature, rel=0.05)
    assert (found["overconfidence"] > 0.05) == (temperature > 1)
    assert found["error"] > 3 * found["error_of_calibrated"]
    assert found["error"] == pytest.approx(abs(found["overconfidence"]), rel=0.1)
    # The distortion is undone, as the likelihood of the true probabilities shows.
    true = -np.log(p[np.arange(len(y)), y]).mean()
    assert found["nll_best"] == pytest.approx(true, rel=0.01)
    assert found["nll_ratio"] == pytest.approx(found["nll"] / found["nll_best"])
    assert found["nll_ratio"] > 1.1


def test_the_best_temperature_is_the_best_of_many():
    p, y = drawn(200, scale=1.0, seed=3)
    log_p = np.log(p)
    many = np.geomspace(0.1, 10, 2000)
    losses = []
    for temperature in many:
        row = p ** (1 / temperature)
        row /= row.sum(axis=1, keepdims=True)
        losses.append(-np.log(row[np.arange(200), y]).mean())
    assert measures.best_temperature(log_p, y) == pytest.approx(
        many[np.argmin(losses)], rel=0.005
    )


def test_a_probability_of_zero_has_a_finite_logarithm():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    log_p = measures.log_probabilities(p)
    assert log_p[0, 0] == 0 and log_p[0, 1] < -700 and np.isfinite(log_p).all()
    found = measures.negative_log_likelihood(log_p, np.array([0, 1]))
    assert found == pytest.approx(np.log(2) / 2)


def test_bins_can_be_written_and_say_what_was_counted():
    p, y = drawn(100)
    found = measures.measure_probabilities(p, y)
    bins = found["bins"]
    assert all(len(row) == measures.N_BINS for row in bins.values())
    assert sum(bins["counts"]) == 100
    assert sum(bins["correct"]) == round(100 * found["accuracy"])
    assert sum(bins["confidence"]) == pytest.approx(100 * found["confidence"], abs=1e-4)
    assert measures.calibration_error(
        measures.Bins(*(np.array(row) for row in bins.values()))
    ) == pytest.approx(found["error"], abs=1e-6)
