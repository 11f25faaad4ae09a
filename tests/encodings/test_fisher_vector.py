"""Fisher vectors: those of scikit-image, of autograd, and 0 at the optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.feature import fisher_vector
from sklearn.mixture import GaussianMixture

from skdpnet import FisherVector
from skdpnet.encodings.fisher_vectors import fisher_gradients, learn_mixture
from tests.encodings.made_maps import PYRAMID, cells_of, made_maps, several, unit

SMALL = {"n_words": 4, "n_components": 6, "random_state": 0}


def mixture_of(means, variances, weights) -> GaussianMixture:
    mixture = GaussianMixture(len(means), covariance_type="diag")
    mixture.means_, mixture.covariances_ = means, variances
    mixture.weights_ = weights / weights.sum()
    mixture.precisions_cholesky_ = 1 / np.sqrt(variances)
    return mixture


def by_scikit_image(descriptors, mixture) -> np.ndarray:
    """u and v; scikit-image has the weights' gradient first, and -v."""
    if len(descriptors) == 0:
        return np.zeros(2 * mixture.means_.size)
    raw = fisher_vector(descriptors, mixture, improved=False)
    n = mixture.means_.size
    return np.concatenate([raw[-2 * n : -n], -raw[-n:]])


def test_gradients_are_those_of_scikit_image():
    random = np.random.default_rng(0)
    sample = random.normal(size=(500, 5)) * [3, 1, 1, 0.5, 0.1]
    mixture = GaussianMixture(6, covariance_type="diag", random_state=0).fit(sample)
    x = random.normal(size=(2, 7, 3, 2, 5))
    arrays = (mixture.means_, mixture.covariances_, mixture.weights_)
    got = fisher_gradients(torch.from_numpy(x), *map(torch.from_numpy, arrays))
    expected = [by_scikit_image(image.reshape(-1, 5), mixture) for image in x]
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-9, atol=1e-9)


def test_gradients_are_derivatives_of_the_likelihood():
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(40, 3)))
    means = torch.from_numpy(random.normal(size=(4, 3))).requires_grad_()
    deviations = torch.from_numpy(random.uniform(0.5, 2, (4, 3))).requires_grad_()
    weights = torch.from_numpy(random.dirichlet([1] * 4))
    log_density = -((x[:, None] - means) / deviations).square().sum(2) / 2
    log_density = log_density - deviations.log().sum(1) + weights.log()
    log_density.logsumexp(1).mean().backward()
    variances = deviations.detach().square()
    got = fisher_gradients(x.view(1, 40, 1, 1, 3), means.detach(), variances, weights)
    root = weights.sqrt()[:, None]
    u = means.grad * deviations.detach() / root
    v = deviations.grad * deviations.detach() / root / np.sqrt(2)
    expected = torch.cat([u.flatten(), v.flatten()])
    torch.testing.assert_close(got[0, 0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pyramid", [None, PYRAMID])
@pytest.mark.parametrize("n_components", [None, 5])
@pytest.mark.parametrize("power", [0.5, 1.0, 0.3])
def test_encodings_are_those_of_scikit_image(pyramid, n_components, power):
    maps = made_maps(30)
    maps[3, 2:4] = 0
    model = FisherVector(
        "precomputed", n_words=4, n_components=n_components, pyramid=pyramid,
        power=power, random_state=0,
    )  # fmt: skip
    got = model.fit_transform(maps)
    (whitening,) = model.whitenings_
    mixture = mixture_of(
        *(array.astype(float) for array in (
            model.means_[0], model.variances_[0], model.weights_[0]
        ))
    )  # fmt: skip
    levels = pyramid or ((1, 1),)
    for image, row in zip(maps, got, strict=True):
        vectors = []
        for x in cells_of([image], whitening, levels, renormalise=False):
            raw = by_scikit_image(x, mixture)
            vectors.append(unit(np.sign(raw) * np.abs(raw) ** power))
        np.testing.assert_allclose(row, unit(np.concatenate(vectors)), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_vectors_of_the_mixture_s_own_data_are_zero_at_the_optimum():
    random = np.random.default_rng(0)
    centres = 5 * random.normal(size=(3, 4))
    sample = centres[np.arange(300) % 3] + random.normal(size=(300, 4))
    mixture = GaussianMixture(
        3, covariance_type="diag", tol=1e-10, max_iter=1000, reg_covar=0, random_state=0
    ).fit(sample)
    arrays = (mixture.means_, mixture.covariances_, mixture.weights_)
    x = torch.from_numpy(sample.reshape(1, 30, 10, 1, 4))
    got = fisher_gradients(x, *map(torch.from_numpy, arrays))
    assert got.abs().max() < 5e-6
    elsewhere = fisher_gradients(x + 1, *map(torch.from_numpy, arrays))
    assert elsewhere.abs().max() > 0.1


def test_the_mixture_finds_planted_gaussians():
    random = np.random.default_rng(0)
    centres = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4.0]])
    spreads = np.array([[0.1, 0.5, 1], [1, 0.1, 0.5], [0.5, 1, 0.1]])
    shares = np.array([0.5, 0.3, 0.2])
    labels = random.choice(3, 20_000, p=shares)
    sample = centres[labels] + spreads[labels] * random.normal(size=(20_000, 3))
    means, variances, weights = learn_mixture(
        sample.astype(np.float32), 3, np.random.RandomState(0)
    )
    order = means.argmax(axis=1).argsort()
    np.testing.assert_allclose(means[order], centres, atol=0.05)
    np.testing.assert_allclose(np.sqrt(variances[order]), spreads, rtol=0.05)
    np.testing.assert_allclose(weights[order], shares, atol=0.01)


def test_maps_of_one_shape_share_a_mixture():
    upper, lower = made_maps(seed=1), made_maps(seed=2)
    both = FisherVector("precomputed", **SMALL)
    got = both.fit_transform(several(upper, lower))
    assert len(both.means_) == 1
    tall = FisherVector("precomputed", **SMALL)
    expected = tall.fit_transform(np.concatenate([upper, lower], axis=1))
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_order_of_the_descriptors_does_not_matter():
    maps = made_maps()
    model = FisherVector("precomputed", **SMALL).fit(maps)
    shuffled = np.random.default_rng(1).permutation(maps.reshape(12, 30, 8), axis=1)
    np.testing.assert_allclose(
        model.transform(shuffled.reshape(maps.shape)), model.transform(maps), atol=1e-3
    )


def test_equal_descriptors_have_finite_vectors():
    got = FisherVector("precomputed", n_words=4).fit_transform(np.ones((3, 4, 4, 8)))
    assert np.isfinite(got).all()
