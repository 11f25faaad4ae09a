"""Blocks that shout: which parts are found, how they are ranked, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import BlocksThatShout
from skdpnet.datasets import make_part_images
from skdpnet.parts.block_expansion import halves
from tests.parts.soft_assign.test_estimator import planted_images


def estimator(**parameters):
    defaults = {
        "n_parts_per_class": 2,
        "n_seeds_per_class": 40,
        "n_rounds": 2,
        "n_added": 3,
        "n_components": None,
        "random_state": 0,
    }
    return BlocksThatShout("precomputed", **(defaults | parameters))


def pixels(images, n_cells=20):
    """Mean colours of blocks of pixels, and their squares: maps n×20×20×9."""
    n, size, *_ = images.shape
    side = size // n_cells
    blocks = images.reshape(n, n_cells, side, n_cells, side, 3) / 255
    means, deviations = blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))
    return np.concatenate([means, deviations, means**2], axis=-1).astype(np.float32)


def test_the_best_parts_respond_most_to_the_planted_cells():
    X, y, where = planted_images(60)
    fitted = estimator(region_scales=[0.2]).fit(X, y)
    (responses,) = fitted.part_responses([X])
    found = responses.argmax(dim=1).numpy()
    for c, label in enumerate(fitted.classes_):
        best = np.flatnonzero(fitted.part_classes_ == c)[0]
        assert (found[y == label, best] == where[y == label]).mean() > 0.9


def test_a_planted_region_of_made_images_ranks_first():
    # A square of its own colour on the birds of class 0, anywhere.
    data = make_part_images(40, n_classes=2, image_size=160, random_state=0)
    images, y = data.images.copy(), data.target
    random = np.random.default_rng(0)
    places = 16 * random.integers(10, size=(40, 2))
    for image, label, (row, column) in zip(images, y, places, strict=True):
        if label == 0:
            image[row : row + 16, column : column + 16] = [255, 0, 255]
    fitted = estimator(region_scales=[0.1], n_components=9).fit(pixels(images), y)
    best = fitted.part_areas_.argmin()
    assert fitted.part_classes_[best] == 0
    (responses,) = fitted.part_responses([pixels(images)])
    cells = fitted.grids_[0].cells[responses[:, :, best].argmax(dim=1).numpy()]
    rows, columns = places.T // 8
    shared = [
        (np.minimum(cells[:, 2 + i], start + 2) - np.maximum(cells[:, i], start)).clip(
            0
        )
        for i, start in enumerate((rows, columns))
    ]
    hits = (shared[0] * shared[1] >= 2)[y == 0]
    assert hits.mean() > 0.9


def test_areas_rank_on_the_images_that_parts_were_not_expanded_on():
    X, y, _ = planted_images(60)
    fitted = estimator(region_scales=[0.2]).fit(X, y)
    labels = np.unique(y, return_inverse=True)[1]
    _, ranking = halves(labels, np.random.RandomState(0))
    maxima = fitted.part_responses([X])[0].amax(dim=1).numpy()[ranking]
    for part, area in enumerate(fitted.part_areas_):
        of_best = labels[ranking][np.argsort(-maxima[:, part])]
        shares = np.array(
            [np.bincount(of_best[:r], minlength=3) / r for r in range(1, 31)]
        )
        bits = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)
        expected = (bits[1:] + bits[:-1]).sum() / 2
        assert area == pytest.approx(expected, rel=1e-5)
    by_class = fitted.part_areas_.reshape(3, 2)
    assert (by_class[:, 0] <= by_class[:, 1]).all()
    # The planted cells tell a class from the others: better than a random order.
    assert by_class[:, 0].max() < 0.8 * 29 * np.log2(3)


def test_parts_of_a_class_are_distinct():
    X, y, _ = planted_images(60)
    fitted = estimator(n_parts_per_class=4, max_cosine=0.3).fit(X, y)
    for c in range(3):
        parts = fitted.parts_[fitted.part_classes_ == c]
        assert (parts @ parts.T)[np.triu_indices(4, 1)].max() <= 0.3 + 1e-6


def test_new_images_are_classified():
    X, y, _ = planted_images(90)
    model = make_pipeline(estimator(region_scales=[0.2]), LinearSVC())
    assert model.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9


def test_output_is_standardised_float32_and_named():
    X, y, _ = planted_images()
    fitted = estimator()
    out = fitted.fit_transform(X, y)
    assert out.dtype == np.float32 and out.shape == (36, 6)
    assert_allclose(out.mean(0), 0, atol=1e-5)
    assert_allclose(out.var(0), 1 / 6, rtol=1e-4)
    assert_allclose(fitted.transform(X), out, atol=1e-5)
    assert_allclose(np.linalg.norm(fitted.parts_, axis=1), 1, rtol=1e-5)
    names = ["ant_part0", "ant_part1", "bee_part0"]
    assert fitted.get_feature_names_out()[:3].tolist() == names


def test_copies_of_a_pyramid_have_the_area_of_their_part():
    X, y, _ = planted_images()
    plain = estimator().fit(X, y)
    fitted = estimator(pyramid=[(1, 1), (2, 2)]).fit(X, y)
    assert_array_equal(fitted.part_areas_, np.repeat(plain.part_areas_, 5))
    assert_array_equal(fitted.parts_, np.repeat(plain.parts_, 5, axis=0))
    assert fitted.get_feature_names_out()[1] == "ant_part0 upper left"


@pytest.mark.parametrize(
    "X, y",
    [
        pytest.param(np.ones((6, 3, 3, 4)), [0, 1] * 3, id="constant"),
        pytest.param(np.zeros((6, 3, 3, 4)), [0, 1] * 3, id="zeros"),
        pytest.param(np.eye(4)[:2], [0, 1], id="one image a class, R=1"),
        pytest.param(planted_images(3)[0], [0, 1, 2], id="one image a class"),
        pytest.param(1e-18 * planted_images()[0], planted_images()[1], id="tiny"),
        pytest.param(1e9 * planted_images()[0], planted_images()[1], id="huge"),
    ],
)
@pytest.mark.parametrize("n_components", [None, 256])
def test_poor_data_gives_finite_numbers_without_warnings(X, y, n_components):
    model = estimator(n_parts_per_class=5, n_components=n_components)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = model.fit(X, y).transform(X)
    assert out.shape == (len(X), 5 * len(np.unique(y)))
    assert np.isfinite(out).all() and np.isfinite(model.parts_).all()


@pytest.mark.parametrize("shape", [(30, 7), (30, 2, 7), (30, 4, 3, 7)])
def test_features_regions_and_maps_are_accepted(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    fitted = estimator().fit(X, np.arange(30) % 2)
    assert np.isfinite(fitted.transform(X)).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_parts_per_class": 0},
        {"n_parts_per_class": 4, "n_seeds_per_class": 3},
        {"n_rounds": 0},
        {"n_added": 1.5},
        {"max_cosine": 1.1},
    ],
)
def test_unusable_parameters_are_named(parameters):
    X, y, _ = planted_images()
    with pytest.raises(ValueError, match=list(parameters)[-1]):
        estimator(**parameters).fit(X, y)


def test_the_same_seed_gives_the_same_parts():
    X, y, _ = planted_images()
    model = estimator()
    again = clone(model).fit(X, y).parts_
    assert_array_equal(model.fit(X, y).parts_, again)
    other = clone(model).set_params(random_state=1).fit(X, y).parts_
    assert not np.array_equal(other, again)


def test_progress_is_shown_if_asked_for(capsys):
    X, y, _ = planted_images()
    estimator().fit(X, y)
    assert "expanding" not in capsys.readouterr().err
    estimator(verbose=1).fit(X, y)
    assert "expanding parts of map 1 of 1" in capsys.readouterr().err


def test_forged_areas_are_refused(tmp_path):
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    fitted.part_areas_ = fitted.part_areas_[:-1]
    with pytest.raises(ValueError, match="part_areas_ has shape"):
        fitted.save(tmp_path / "forged")
