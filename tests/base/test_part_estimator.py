"""The names, regions and descriptors of part estimators."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

import skdpnet.base.part_estimator
from skdpnet import DPNetTransformer, FeatureMaps, SoftAssignParts
from skdpnet.images.framing import FRAMINGS
from tests.parts.dpnet.made_maps import SETTINGS, two_maps


@pytest.fixture(scope="module", params=["soft", "hard", "two stages"])
def fitted(request):
    X, y, _ = two_maps(30)
    if request.param == "two stages":
        return SoftAssignParts(**SETTINGS, n_rounds=2).fit(X, y), X
    beta = {"soft": 40.0, "hard": None}[request.param]
    return DPNetTransformer(**SETTINGS, max_epochs=1, beta=beta).fit(X, y), X


def test_parts_are_named_by_class_and_number(photographs):
    paths, y = photographs
    parts = DPNetTransformer(
        image_size=96, region_scales=(0.3, 0.6), n_parts_per_class=3, max_epochs=0
    ).fit(paths, y)
    assert parts.get_feature_names_out().tolist() == [
        *("cat_part0", "coffee_part0"),
        *("cat_part1", "cat_part2", "coffee_part1", "coffee_part2"),
        *("cat_context", "coffee_context"),
    ]
    assert parts.part_maps_.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert parts.part_classes_.tolist() == [0, 1, 0, 0, 1, 1, 0, 1]


def test_parts_that_classes_share_are_named_by_their_number(fitted):
    parts, _ = fitted
    shared = type(parts)(**SETTINGS)
    vars(shared).update(vars(parts))
    # All but those of the context, which are one for each class.
    shared.part_classes_ = parts.part_classes_.copy()
    shared.part_classes_[:15] = -1
    shared.part_classes_[[3, 7]] = 1
    names = shared.get_feature_names_out()
    assert names[:5].tolist() == ["part0", "part1", "part2", "1_part0", "part3"]
    is_dpnet = isinstance(parts, DPNetTransformer)
    assert names[15:].tolist() == [f"{c}_context" for c in range(3 * is_dpnet)]
    assert len(set(names)) == len(names)


def test_the_descriptor_of_all_responses_is_that_of_transform(fitted):
    parts, X = fitted
    descriptors = [parts.descriptor(some) for some in parts.iter_responses(X)]
    np.testing.assert_allclose(
        np.concatenate(descriptors), parts.transform(X), rtol=1e-4, atol=1e-5
    )


def test_responses_have_a_row_for_each_region_and_a_column_for_each_part(fitted):
    parts, X = fitted
    (responses,) = parts.iter_responses(X)
    assert [tensor.shape for tensor in responses] == [
        (30, grid.n_regions, n)
        for grid, n in zip(parts.grids_, np.bincount(parts.part_maps_), strict=True)
    ]


def test_responses_come_for_as_many_images_as_memory_allows(fitted, monkeypatch):
    parts, X = fitted
    (whole,) = parts.iter_responses(X)
    n_bytes = sum(tensor[:7].numel() * 4 for tensor in whole)
    monkeypatch.setattr(skdpnet.base.part_estimator, "_RESPONSE_BYTES", n_bytes)
    batches = list(parts.iter_responses(X))
    assert [len(responses[0]) for responses in batches] == [7, 7, 7, 7, 2]
    for i, tensor in enumerate(whole):
        joined = np.concatenate([responses[i].numpy() for responses in batches])
        np.testing.assert_allclose(joined, tensor.numpy(), atol=1e-5)


@pytest.mark.parametrize("parts", [DPNetTransformer, SoftAssignParts])
def test_windows_on_a_canvas_are_those_of_the_square(parts, photographs, tmp_path):
    """And maps that were computed before give the same model as images do."""
    paths, y = photographs
    images = [
        Image.open(path).resize(((96, 96), (130, 96), (96, 160))[i % 3])
        for i, path in enumerate(paths)
    ]
    settings = {"image_size": 96, "precision": "float32", "memory": tmp_path}
    params = {"n_parts_per_class": 2, "n_components": 4, "random_state": 0}
    square = parts(**settings, **params, framing="crop").fit(images, y)
    canvas = parts(**settings, **params, framing="aspect").fit(images, y)
    of_parts = zip(canvas.grids_[:2], square.grids_[:2], strict=True)
    heights = []
    for on_canvas, on_square in of_parts:
        assert on_canvas.windows == on_square.windows
        heights.append((on_canvas.height, on_square.height))
    assert heights == [(8, 6), (4, 3)]
    strides = parts().strides
    maps = FeatureMaps(strides=strides, framing="aspect", **settings).fit_transform(
        images
    )
    expected = canvas.transform(images)
    # The framing of maps is seen from the maps, whatever the parameter is.
    for framing in ("auto", *FRAMINGS):
        given = parts("precomputed", **params, framing=framing, precision="float32")
        got = given.fit(maps, y).transform(maps)
        assert given.grids_ == canvas.grids_
        np.testing.assert_allclose(got, expected, atol=1e-5)
    # Descriptors are finite, and an empty region responds with 0.
    each = list(zip(next(given.iter_responses(maps)), given.grids_, strict=True))
    assert [grid.n_regions == 1 for _, grid in each[2:]] == [True] * (len(each) - 2)
    for responses, grid in each[:2]:
        empty = (grid.cells[:, 0] >= grid.height * 3 // 4) & (
            grid.cells[:, 1] >= grid.width * 3 // 4
        )
        assert empty.any() and not responses[:, empty].any()
        assert responses.isfinite().all()


def test_unfitted_parts_are_refused():
    parts = DPNetTransformer("precomputed")
    for call in (
        parts.transform,
        parts.iter_maps,
        lambda X: next(parts.iter_responses(X)),
    ):
        with pytest.raises(NotFittedError):
            call(np.ones((2, 3)))
    with pytest.raises(NotFittedError):
        parts.get_feature_names_out()
