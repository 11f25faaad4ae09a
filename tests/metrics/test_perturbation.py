"""Deletion and insertion, on images of few pixels and on photographs."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import metrics


def share_of_white(images):
    """Score an image by its share of white pixels."""
    return images.mean(axis=(1, 2, 3)) / 255


WHITE = np.full((8, 8, 3), 255, np.uint8)


def test_pixels_are_replaced_in_the_order_of_the_heat():
    heat = np.random.default_rng(0).permutation(64).reshape(8, 8)
    deleted = metrics.mask_pixels(WHITE, heat, 4, blank=0)
    inserted = metrics.mask_pixels(WHITE, heat, 4, blank=0, insertion=True)
    assert deleted.shape == inserted.shape == (5, 8, 8, 3)
    assert deleted.dtype == inserted.dtype == np.uint8
    for step in range(5):
        replaced = heat >= 64 - 16 * step
        np.testing.assert_array_equal(deleted[step] == 0, np.stack([replaced] * 3, -1))
        np.testing.assert_array_equal(inserted[step], 255 - deleted[step])


def test_curves_and_their_areas():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:2] = 255  # a fifth of the image
    heat = np.repeat([[2.0], [1.0]], [2, 8], axis=0)
    good = metrics.deletion_curve(share_of_white, image, heat, blank=0)
    np.testing.assert_allclose(good, 0.2 - np.minimum(0.1 * np.arange(11), 0.2))
    assert metrics.area_under(good) == pytest.approx(0.2 * 0.2 / 2)
    bad = metrics.deletion_curve(share_of_white, image, -heat, blank=0)
    assert metrics.area_under(bad) == pytest.approx(0.2 * 0.8 + 0.2 * 0.2 / 2)
    inserted = metrics.insertion_curve(share_of_white, image, heat, n_steps=5, blank=0)
    np.testing.assert_allclose(inserted, [0, 0.2, 0.2, 0.2, 0.2, 0.2])
    assert metrics.area_under(inserted) == pytest.approx(0.2 * 0.9)


def test_the_area_is_over_the_unit_interval():
    assert metrics.area_under([3, 3]) == 3
    assert metrics.area_under([3] * 8) == pytest.approx(3)
    assert metrics.area_under([0, 0, 1]) == 0.25
    with pytest.raises(ValueError, match="at least two numbers, got 1"):
        metrics.area_under([3])
    with pytest.raises(ValueError, match="curve holds inf"):
        metrics.area_under([1, np.inf])


def test_heat_is_interpolated_between_the_centres_of_the_cells():
    # With two cells the pixels' values are 1, 0.875, 0.625, 0.375, 0.125, 0 and so on:
    # whole columns are replaced one after the other.
    image = np.full((6, 8, 3), 255, np.uint8)
    for heat, order in (([[1, 0]], [2, 3, 4, 5]), ([[0, 1]], [5, 4, 3, 2])):
        deleted = metrics.mask_pixels(image, heat, 8, blank=0)
        for step, column in zip(range(3, 7), order, strict=True):
            gone = (deleted[step] == 0).all((0, 2))
            assert gone.sum() == step and gone[column]


def test_heat_maps_finer_than_the_image_are_averaged_not_sampled():
    heat = np.zeros((64, 64))
    heat[8:16, 25] = 1  # far from the centre of pixel (1, 3)
    first = metrics.mask_pixels(WHITE, heat, 64, blank=0)[1]
    assert np.argwhere((first == 0).all(-1)).tolist() == [[1, 3]]


def test_where_heat_is_equal_the_order_is_coarse_and_random():
    random = np.random.default_rng(0)
    half, edges = [], []
    for _ in range(100):
        image = random.integers(0, 255, (32, 32, 3)).astype(np.uint8)
        for value in (0, -0.1):
            deleted = metrics.mask_pixels(image, np.full((7, 7), value), 2, blank=255)
            again = metrics.mask_pixels(image, np.full((7, 7), value), 2, blank=255)
            np.testing.assert_array_equal(deleted, again)
        gone = (deleted[1] == 255).all(-1)
        assert gone.sum() == 512
        half.append(gone)
        edges.append((gone[:, 1:] != gone[:, :-1]).mean())
    # No place is preferred: nine standard deviations of a mean of 100.
    assert np.abs(np.mean(half, axis=0) - 0.5).max() < 0.45
    assert np.mean(half, axis=0).std() == pytest.approx(0.05, abs=0.015)
    # Neighbours mostly go together; scattered pixels would differ half of the time.
    assert np.mean(edges) < 0.2


def test_a_single_cell_leaves_the_order_random():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    gone = (metrics.mask_pixels(image, [[3.0]], 2, blank=255)[1] == 255).all(-1)
    assert 100 < gone[:16].sum() < 412


def test_the_random_order_only_breaks_ties():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    heat = np.zeros((8, 8))
    heat[2:6, 2:6] = 5
    quarter = (metrics.mask_pixels(image, heat, 4, blank=255)[1] == 255).all(-1)
    assert quarter[9:23, 9:23].all()
    # The next pixels are anywhere around it, on all sides.
    gone = (metrics.mask_pixels(image, heat, 2, blank=255)[1] == 255).all(-1) & ~quarter
    for side in (gone[:8], gone[24:], gone[:, :8], gone[:, 24:]):
        assert side.any() and not side.all()


def test_only_the_order_of_the_heat_matters():
    image = np.random.default_rng(0).integers(0, 255, (60, 45, 3)).astype(np.uint8)
    heat = np.random.default_rng(1).random((7, 7)).round(1)
    heat[2:] = heat.min()
    for low, scale in ((0.3, 0.7), (-5, 2), (0, 1e-300)):
        np.testing.assert_array_equal(
            metrics.mask_pixels(image, low + scale * heat, blank=255),
            metrics.mask_pixels(image, heat, blank=255),
        )


def test_by_default_blanks_are_those_of_rise():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    # Deletion ends with the colour that ImageNet's normalisation turns into zero.
    deleted = metrics.mask_pixels(image, [[1, 0]], 1)
    np.testing.assert_array_equal(deleted[0], image)
    assert (deleted[1] == [124, 116, 104]).all()
    zero = (deleted[1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(zero).max() < 0.01
    # Insertion starts with the blurred image.
    inserted = metrics.mask_pixels(image, [[1, 0]], 1, insertion=True)
    blurred = metrics.mask_pixels(image, [[1, 0]], 1, blank="blur")
    np.testing.assert_array_equal(inserted, blurred[::-1])

    def red(images):
        return images[..., 0].mean(axis=(1, 2))

    assert metrics.deletion_curve(red, image, [[1, 0]])[-1] == 124
    assert metrics.insertion_curve(red, image, [[1, 0]])[0] == red(blurred)[1]


def test_the_blurred_blank_is_the_image_without_its_parts(photographs):
    from PIL import Image

    image = np.asarray(Image.open(photographs[0][0]))
    steps = metrics.mask_pixels(image, [[1, 0]], 1, blank="blur")
    np.testing.assert_array_equal(steps[0], image)
    blank = steps[1].astype(float)
    np.testing.assert_allclose(
        blank.mean((0, 1)), image.mean((0, 1)), atol=0.05 * image.mean()
    )
    step = np.abs(np.diff(image.astype(float), axis=1)).mean()
    assert np.abs(np.diff(blank, axis=1)).mean() < 0.25 * step
    # Insertion starts where deletion ends.
    np.testing.assert_array_equal(
        metrics.mask_pixels(image, [[1, 0]], 1, blank="blur", insertion=True),
        steps[::-1],
    )


def test_a_blank_may_be_a_colour_or_an_image():
    colour = metrics.mask_pixels(WHITE, [[1.0]], 1, blank=(1, 2, 3))[1]
    assert (colour == [1, 2, 3]).all()
    other = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    np.testing.assert_array_equal(
        metrics.mask_pixels(WHITE, [[1.0]], 1, blank=other)[1], other
    )


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"image": WHITE / 255}, "image must be uint8 RGB .* got float64"),
        ({"image": WHITE[..., 0]}, r"of shape \(8, 8\)"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, r"of shape \(0, 4, 3\)"),
        ({"heat": [[0, np.nan]]}, r"heat holds nan at \(0, 1\)"),
        ({"heat": [1, 2]}, "heat must have 2 axes"),
        ({"heat": np.zeros((0, 2))}, "heat has no cells"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1"),
        ({"n_steps": 65}, "65 steps for 64 pixels"),
        ({"blank": 256}, "between 0 and 255"),
        ({"blank": np.nan}, "between 0 and 255"),
        ({"blank": [1, 2]}, "blank must be a number, a colour"),
        ({"blank": "black"}, "no blank 'black'"),
        ({"score": lambda images: [1.0]}, "returned 1 numbers for 11 images"),
        ({"score": lambda images: [np.nan] * 11}, "what score returned holds nan"),
    ],
)
def test_curves_reject_invalid_arguments(changed, message):
    arguments = {"score": share_of_white, "image": WHITE, "heat": [[1.0]]} | changed
    for curve in (metrics.deletion_curve, metrics.insertion_curve):
        with pytest.raises(ValueError, match=message):
            curve(**arguments)
