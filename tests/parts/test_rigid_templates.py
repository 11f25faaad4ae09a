"""Parts whose cells lie side by side: rigid templates, as correlations with the map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import (
    BlocksThatShout,
    ModeSeeking,
    RandomSelectedParts,
    SoftAssignParts,
)

SIDE, DEPTH, WINDOW = 8, 5, 3
SMALL = {"n_parts_per_class": 2, "n_components": 6, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    """Noise, with a pattern of 3×3 cells somewhere; the classes turn it over.

    Averages of windows cannot tell the classes apart.
    """
    random = np.random.default_rng(0)
    X = random.normal(size=(40, SIDE, SIDE, DEPTH)).astype(np.float32)
    y = np.array(["ash", "elm"] * 20)
    pattern = 4 * random.normal(size=(WINDOW, WINDOW, DEPTH)).astype(np.float32)
    for x, label in zip(X, y, strict=True):
        top, left = random.integers(SIDE - WINDOW + 1, size=2)
        turned = pattern if label == "ash" else pattern[::-1]
        x[top : top + WINDOW, left : left + WINDOW] = turned
    return X, y


def fitted_on(X, y, pooling="concat", scale=WINDOW / SIDE, **params):
    parts = SoftAssignParts(
        "precomputed", region_scales=[scale], pooling=pooling, **{**SMALL, **params}
    )
    return parts.fit(X, y)


def test_a_response_is_the_correlation_of_a_template_with_the_map(data):
    X, y = data
    parts = fitted_on(X, y, n_components=None)
    assert parts.parts_.shape == (4, WINDOW * WINDOW * DEPTH)
    templates = parts.parts_.reshape(-1, WINDOW, WINDOW, DEPTH).transpose(0, 3, 1, 2)
    images = torch.from_numpy(X).permute(0, 3, 1, 2)
    products = torch.nn.functional.conv2d(images, torch.from_numpy(templates))
    energy = torch.nn.functional.conv2d(
        images.square().sum(1, keepdim=True), torch.ones(1, 1, WINDOW, WINDOW)
    )
    expected = (products / energy.sqrt()).flatten(2).transpose(1, 2)
    (responses,) = parts.part_responses([X])
    assert_allclose(responses.numpy(), expected.numpy(), atol=1e-5)


def test_windows_of_one_cell_have_the_parts_of_averages(data):
    one, other = (fitted_on(*data, p, scale=0.1) for p in ("average", "concat"))
    assert_array_equal(one.parts_, other.parts_)
    assert_array_equal(one.transform(data[0]), other.transform(data[0]))


def test_templates_tell_arrangements_apart_that_averages_do_not(data):
    X, y = data
    is_ash = y[20:] == "ash"
    gaps = {}
    for pooling in ("average", "concat"):
        parts = fitted_on(X[:20], y[:20], pooling, n_components=20)
        for_ash = parts.part_classes_ == 0
        scores = parts.transform(X[20:])
        score = scores[:, for_ash].mean(1) - scores[:, ~for_ash].mean(1)
        gaps[pooling] = (score[is_ash][:, None] > score[~is_ash]).mean()
    assert gaps["concat"] > 0.95
    assert gaps["average"] < 0.8


def test_regions_of_several_sizes_are_refused(data):
    parts = SoftAssignParts("precomputed", pooling="concat", **SMALL)
    with pytest.raises(ValueError, match=r"8×8 cells have 1×1, 2×2, 4×4 cells"):
        parts.fit(*data)
    parts.set_params(pooling="sum")
    with pytest.raises(ValueError, match="pooling must be one of"):
        parts.fit(*data)


def test_each_map_has_windows_of_its_size(data):
    X, y = data
    maps = np.empty(len(X), [("a", "f4", X.shape[1:]), ("b", "f4", (4, 4, DEPTH))])
    maps["a"], maps["b"] = X, X[:, ::2, ::2]
    parts = fitted_on(maps, y, scale=0.5, n_parts_per_class=4)
    depths = [len(whitening.mean) for whitening in parts.whitenings_]
    assert depths == [4 * 4 * DEPTH, 2 * 2 * DEPTH]


@pytest.mark.parametrize("shape", [(6, DEPTH), (DEPTH,)])
def test_given_regions_and_features_are_taken(shape):
    random = np.random.default_rng(0)
    X = random.normal(size=(20, *shape)).astype(np.float32)
    y = np.arange(20) % 2
    one, other = (fitted_on(X, y, pooling) for pooling in ("average", "concat"))
    assert_array_equal(one.transform(X), other.transform(X))


def test_templates_are_saved_and_forged_ones_refused(data, tmp_path):
    X, y = data
    parts = fitted_on(X, y)
    parts.save(tmp_path / "templates")
    loaded = skdpnet.load(tmp_path / "templates")
    assert loaded.grids_ == parts.grids_
    assert_array_equal(loaded.transform(X), parts.transform(X))
    averages = fitted_on(X, y, "average")
    parts.grids_ = averages.grids_
    # What is saved passes the same checks as what is loaded.
    with pytest.raises(ValueError, match="mean has shape"):
        parts.save(tmp_path / "forged")


def test_explanations_name_the_windows_of_the_templates(photographs):
    paths, y = photographs
    parts = SoftAssignParts(
        "hog", image_size=64, framing="crop", region_scales=[0.5], pooling="concat",
        **SMALL,
    )  # fmt: skip
    model = make_pipeline(parts, LinearSVC()).fit(paths, y)
    why = skdpnet.explain(model, paths[0])
    score = why.contributions.sum() + why.bias
    decision = model.decision_function(paths[:1])[0]
    assert_allclose(abs(score), abs(decision), atol=1e-4)
    boxes = skdpnet.best_regions(parts, paths[:1]).boxes[0]
    with Image.open(paths[0]) as image:
        short = min(image.size)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert_allclose(sides, short / 2, rtol=0.1)


@pytest.mark.parametrize(
    "learner",
    [
        BlocksThatShout("precomputed", n_parts_per_class=4, n_seeds_per_class=20),
        ModeSeeking("precomputed", n_parts_per_class=4, n_seeds_per_class=20),
        RandomSelectedParts("precomputed", n_candidates=200, n_parts=12),
    ],
    ids=lambda learner: type(learner).__name__,
)
def test_other_learners_have_templates_too(data, learner):
    X, y = data
    accuracies = {}
    for pooling in ("average", "concat"):
        learner.set_params(
            pooling=pooling, region_scales=[WINDOW / SIDE], random_state=0
        )
        model = make_pipeline(learner, LinearSVC()).fit(X[:20], y[:20])
        n_cells = WINDOW**2 if pooling == "concat" else 1
        (whitening,) = model[0].whitenings_
        assert whitening.projection.shape[0] == n_cells * DEPTH
        accuracies[pooling] = model.score(X[20:], y[20:])
    # Averages are at chance, where 20 images leave a standard error of 0.11.
    assert accuracies["concat"] > accuracies["average"] + 0.2
