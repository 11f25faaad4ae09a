"""ModeSeeking: what it finds, what it says of parts, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import ModeSeeking, datasets, explain_each, metrics
from skdpnet.parts.mode_seeking import learning


def planted_images(n=60, n_classes=3, size=5, depth=12, seed=0):
    """Maps of noise; a random cell of each image has the direction of its class."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, size, size, depth)).astype(np.float32)
    y = np.arange(n) % n_classes
    rows, columns = random.integers(size, size=(2, n))
    X[np.arange(n), rows, columns, y] += 12
    return X, np.array(["ant", "bee", "cow"])[y], rows * size + columns


def estimator(**parameters):
    defaults = {
        "n_parts_per_class": 2,
        "n_seeds_per_class": 15,
        "region_scales": [0.2],
        "random_state": 0,
    }
    return ModeSeeking("precomputed", **(defaults | parameters))


def test_the_first_part_of_a_class_is_the_planted_one():
    X, y, where = planted_images()
    fitted = estimator().fit(X, y)
    (responses,) = fitted.part_responses([X])
    for c, label in enumerate(fitted.classes_):
        first = int(np.flatnonzero(fitted.part_classes_ == c)[0])
        strongest = responses[y == label, :, first].argmax(dim=1).numpy()
        assert (strongest == where[y == label]).mean() > 0.9
        # A response above 0 lies within the part's cap, which few others do.
        in_cap = (responses[:, :, first] > 0).any(dim=1).numpy()
        assert in_cap[y == label].mean() > 0.9
        assert in_cap[y != label].mean() < 0.3


def test_new_images_are_classified():
    X, y, _ = planted_images(90)
    model = make_pipeline(estimator(), LinearSVC()).fit(X[:60], y[:60])
    assert model.score(X[60:], y[60:]) > 0.9


def test_on_made_birds_the_strongest_part_points_at_telling_ones_more_than_chance():
    train, test = (
        datasets.make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((100, 0), (60, 100))
    )
    parts = ModeSeeking(
        image_size=160,
        framing="crop",
        n_parts_per_class=8,
        n_seeds_per_class=60,
        random_state=0,
    )
    model = make_pipeline(parts, LinearSVC()).fit(train.images, train.target)
    boxes = [why.boxes[why.top_parts(1)[0]] for why in explain_each(model, test.images)]
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model[0].grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 1.5 * chance.mean()


def test_purities_and_coverages_tell_telling_parts_from_noise():
    X, y, _ = planted_images()
    planted = estimator().fit(X, y)
    noise = estimator().fit(np.random.default_rng(1).normal(size=X.shape), y)
    assert planted.part_purities_[::2].min() > 0.7 > noise.part_purities_.max()
    assert planted.part_coverages_[::2].min() > 0.8 > noise.part_coverages_.max()


def test_responses_are_cosines_less_biases():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    assert_allclose(np.linalg.norm(fitted.parts_, axis=1), 1, rtol=1e-5)
    (whitening,) = fitted.whitenings_
    cells = X.reshape(len(X), -1, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    cells = (cells - whitening.mean) @ whitening.projection
    cells /= np.linalg.norm(cells, axis=2, keepdims=True)
    expected = cells @ fitted.parts_.T - fitted.part_biases_
    assert_allclose(fitted.part_responses([X])[0].numpy(), expected, atol=1e-5)


def test_parts_of_a_pyramid_share_what_is_known_of_them():
    X, y, _ = planted_images()
    plain = estimator().fit(X, y)
    cells = estimator(pyramid=((1, 1), (1, 2))).fit(X, y)
    for name in ("part_purities_", "part_coverages_", "part_biases_", "part_classes_"):
        assert_allclose(getattr(cells, name), np.repeat(getattr(plain, name), 3))


def test_classes_are_learned_in_blocks_as_all_at_once(monkeypatch):
    X, y, _ = planted_images()
    whole = estimator().fit(X, y)
    monkeypatch.setattr(learning, "_DETECTION_BYTES", 1)
    blocks = estimator().fit(X, y)
    assert_allclose(blocks.part_purities_, whole.part_purities_, atol=0.2)
    assert (blocks.part_classes_ == whole.part_classes_).all()


def test_the_random_state_decides():
    X, y, _ = planted_images()
    first, again = estimator().fit(X, y), estimator().fit(X, y)
    assert (first.parts_ == again.parts_).all()
    other = clone(first).set_params(random_state=1).fit(X, y)
    assert (first.parts_ != other.parts_).any()


def test_parts_that_are_as_wide_as_can_be_still_describe():
    X, y, _ = planted_images()
    fitted = estimator(penalty=1e3).fit(X, y)
    assert_allclose(fitted.part_biases_, -1)
    assert_allclose(fitted.transform(X).var(axis=0), 1 / 6, rtol=1e-3)
    # Elements that are shorter than their steps' rounding errors have no direction.
    assert np.isfinite(estimator(penalty=1e9).fit(X, y).transform(X)).all()


@pytest.mark.parametrize("counts", [(1, 1), (1, 9), (4, 2)])
def test_classes_of_few_images(counts):
    labels = np.repeat(["ash", "elm"], counts)
    X = np.random.default_rng(0).normal(size=(len(labels), 3, 3, 4))
    fitted = estimator().fit(X, labels)
    assert np.isfinite(fitted.transform(X)).all()
    lonely = fitted.part_classes_ == 0
    if counts[0] == 1:
        assert not fitted.part_purities_[lonely].any()
        assert not fitted.part_coverages_[lonely].any()


def test_equal_images_give_zeros():
    X = np.ones((8, 3, 3, 4), np.float32)
    fitted = estimator().fit(X, ["ash", "elm"] * 4)
    assert not fitted.transform(X).any()
    assert np.isfinite(fitted.parts_).all() and np.isfinite(fitted.part_biases_).all()


def test_saved_parts_are_the_same(tmp_path):
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    fitted.save(tmp_path / "parts.safetensors")
    loaded = skdpnet.load(tmp_path / "parts.safetensors")
    assert_allclose(loaded.transform(X), fitted.transform(X), atol=1e-6)
    assert (loaded.part_purities_ == fitted.part_purities_).all()


@pytest.mark.parametrize("name", ["part_purities_", "part_coverages_"])
def test_a_file_with_shares_out_of_bounds_is_refused(name):
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    state = fitted._get_fitted_state()
    fitted._check_fitted_state(state)
    for wrong in (-0.5, 1.5, np.nan):
        values = state[name].copy()
        values[1] = wrong
        with pytest.raises(ValueError, match=name):
            fitted._check_fitted_state({**state, name: values})
    with pytest.raises(ValueError, match=name):
        fitted._check_fitted_state({**state, name: state[name][:-1]})


def test_fewer_seeds_than_parts_are_refused():
    X, y, _ = planted_images()
    with pytest.raises(ValueError, match="n_seeds_per_class=1 must be at least"):
        estimator(n_seeds_per_class=1).fit(X, y)


@pytest.mark.parametrize(
    "parameters",
    [{"n_rounds": 1}, {"beta": 0}, {"penalty": 0.0}, {"purity": 1.1}, {"purity": 0}],
)
def test_parameters_out_of_bounds_are_refused(parameters):
    X, y, _ = planted_images()
    with pytest.raises(ValueError, match=next(iter(parameters))):
        estimator(**parameters).fit(X, y)


def test_the_threads_and_gradients_of_torch_stay():
    X, y, _ = planted_images()
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    estimator().fit(X, y)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, gradients)
