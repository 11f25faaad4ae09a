"""Synthetic images: their reproducibility, their classes, and their true boxes."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from skdpnet.datasets import _scene, make_part_images
from skdpnet.datasets._bird_parts import VARIANTS

CARRIERS = ("beak", "crest", "wing", "tail")
ALL_PARTS = {"tail", "legs", "body", "crest", "head", "beak", "eye", "wing"}


@pytest.fixture(scope="module")
def birds():
    return make_part_images(n_samples=26, n_classes=8, random_state=0)


def render(variants, *, difficulty=0.5, size=224, seed=(7, 1, 3)):
    return _scene.render(seed, variants, size, difficulty)


def test_shapes_types_and_names(birds):
    assert birds.images.shape == (26, 224, 224, 3)
    assert birds.images.dtype == np.uint8
    assert np.issubdtype(birds.target.dtype, np.integer)
    assert len(birds.target_names) == len(set(birds.target_names)) == 8
    assert len(birds.boxes) == len(birds.visible) == 26
    assert len(birds.variants) == 8


def test_images_depend_on_the_random_state_alone():
    first = make_part_images(6, 3, 64, random_state=5)
    again = make_part_images(6, 3, 64, random_state=5)
    other = make_part_images(6, 3, 64, random_state=6)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.target, again.target)
    assert first.boxes == again.boxes
    assert first.visible == again.visible
    assert not np.array_equal(first.images, other.images)


def test_more_samples_keep_the_images_of_fewer():
    few = make_part_images(6, 3, 48, random_state=1)
    many = make_part_images(15, 3, 48, random_state=1)
    few_pairs, many_pairs = (
        {
            (int(label), image.tobytes())
            for label, image in zip(data.target, data.images, strict=True)
        }
        for data in (few, many)
    )
    assert few_pairs < many_pairs


def test_all_images_differ(birds):
    assert len({image.tobytes() for image in birds.images}) == 26


def test_classes_are_balanced_and_shuffled(birds):
    counts = np.bincount(birds.target, minlength=8)
    assert counts.sum() == 26
    assert counts.max() - counts.min() == 1
    assert np.any(birds.target[:8] != np.arange(8))
    assert np.any(np.diff(birds.target) < 0)


@pytest.mark.parametrize("n_classes", [2, 8, 64])
def test_each_class_is_another_combination(n_classes):
    data = make_part_images(n_classes, n_classes, 32, 0.0, random_state=0)
    rows = [tuple(v[p] for p in CARRIERS) for v in data.variants]
    assert len(set(rows)) == n_classes
    for row in rows:
        assert all(v in VARIANTS[p] for p, v in zip(CARRIERS, row, strict=True))
    steps = [sum(a != b for a, b in zip(r, s, strict=True)) for r, s in pairwise(rows)]
    assert set(steps) <= {1, 2}


def test_no_part_alone_distinguishes_all_classes(birds):
    for part in CARRIERS:
        assert len({v[part] for v in birds.variants}) < 8


def test_classes_stay_the_same_birds_in_other_calls(birds):
    other = make_part_images(3, 3, 32, 0.9, random_state=99)
    assert other.variants == birds.variants[:3]


def test_discriminative_parts_follow_from_the_variants(birds):
    table = birds.discriminative_parts
    assert len(table) == 8 * 7 + 8
    for a, b in combinations(range(8), 2):
        pairs = zip(
            sorted(birds.variants[a].items()),
            sorted(birds.variants[b].items()),
            strict=True,
        )
        expected = {part for (part, first), (_, second) in pairs if first != second}
        assert expected
        assert table[a, b] == table[b, a] == expected
    for a in range(8):
        assert table[a] == set.union(*(set(table[a, b]) for b in range(8) if b != a))
    for discriminative, boxes, a in zip(
        birds.discriminative_boxes, birds.boxes, birds.target, strict=True
    ):
        assert {tuple(box) for box in discriminative.tolist()} == {
            tuple(boxes[part]) for part in table[int(a)] & boxes.keys()
        }


@pytest.mark.parametrize("size", [64, 224, 320])
@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_boxes_lie_inside_the_image(size, difficulty):
    data = make_part_images(6, 3, size, difficulty, random_state=3)
    assert data.images.shape == (6, size, size, 3)
    for boxes, visible in zip(data.boxes, data.visible, strict=True):
        assert set(visible) == ALL_PARTS
        assert set(boxes) == {p for p, share in visible.items() if share > 0}
        for left, top, right, bottom in boxes.values():
            assert 0 <= left < right <= size
            assert 0 <= top < bottom <= size


def test_boxes_scale_with_the_image():
    small = make_part_images(4, 2, 96, 0.6, random_state=2)
    large = make_part_images(4, 2, 288, 0.6, random_state=2)
    for a, b in zip(small.boxes, large.boxes, strict=True):
        for part in a.keys() & b.keys():
            np.testing.assert_allclose(np.multiply(a[part], 3), b[part], atol=2.1)


@pytest.mark.parametrize("part", CARRIERS)
@pytest.mark.parametrize("seed", [(7, 1, 3), (0, 0, 0), (4, 2, 1)])
def test_another_variant_changes_the_image_inside_the_boxes_only(part, seed):
    """Two birds that differ in a part must look different only inside its boxes."""
    plain = dict(zip(CARRIERS, ("hooked", "plume", "bars", "forked"), strict=True))
    first = render(plain, seed=seed)
    second = render(plain | {part: VARIANTS[part][1]}, seed=seed)
    boxes = np.array([first.boxes[part], second.boxes[part]])
    (left, top), (right, bottom) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    differs = (
        np.ptp(np.stack([first.image, second.image]).astype(int), axis=0).max(2) > 40
    )
    rows, cols = np.nonzero(differs)
    assert len(rows) > 30
    # Blur and shading extend a little beyond the outline of the part.
    assert cols.min() >= left - 3 and cols.max() < right + 3
    assert rows.min() >= top - 3 and rows.max() < bottom + 3
    # The boxes are not much larger than the area that differs.
    assert (np.ptp(cols) + 1) * (np.ptp(rows) + 1) > 0.5 * (right - left) * (
        bottom - top
    )


@pytest.mark.parametrize("part", CARRIERS)
def test_the_box_of_a_part_is_where_it_is_painted(part, monkeypatch):
    """Paint a part in a colour that nothing else has, and find it by that colour."""
    magenta = (255, 0, 255)

    def bird(*args):
        return [
            type(s)(s.part, s.points, magenta if s.part == part else (60, 90, 60))
            for s in original(*args)
        ]

    original = _scene.draw_bird
    monkeypatch.setattr(_scene, "draw_bird", bird)
    variants = dict(zip(CARRIERS, ("broad", "spikes", "spots", "fan"), strict=True))
    scene = render(variants, difficulty=0.0)
    pixels = scene.image.astype(int)
    painted = (np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1]) > 60
    rows, cols = np.nonzero(painted)
    expected = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(scene.boxes[part], expected, atol=1.5)


def test_visible_shares_are_1_without_a_foreground_and_fall_with_difficulty():
    means = []
    for difficulty in (0.0, 0.5, 1.0):
        data = make_part_images(24, 8, 64, difficulty, random_state=0)
        shares = [v[p] for v in data.visible for p in CARRIERS]
        assert 0.0 <= min(shares) <= max(shares) <= 1.0
        means.append(np.mean(shares))
    assert means[0] == 1.0
    assert means[0] > means[1] > means[2] > 0.5


def test_mean_colour_does_not_reveal_the_class():
    data = make_part_images(200, 8, 48, random_state=0)
    colour = data.images.mean(axis=(1, 2)) / 255.0
    score = cross_val_score(LogisticRegression(C=10.0), colour, data.target, cv=5)
    # Chance is 0.125; three standard errors of 200 draws above it are 0.195.
    assert score.mean() < 0.195


def test_position_and_colours_of_the_bird_do_not_depend_on_its_class():
    birds = [
        render(dict(zip(CARRIERS, row, strict=True)))
        for row in zip(*(VARIANTS[p] for p in CARRIERS), strict=True)
    ]
    for bird in birds[1:]:
        assert bird.boxes["eye"] == birds[0].boxes["eye"]
        left, top, right, bottom = np.rint(bird.boxes["eye"]).astype(int)
        eye = np.s_[top:bottom, left:right]
        # Only the soft shading depends on the outline of beak and crest nearby.
        difference = bird.image[eye].mean((0, 1)) - birds[0].image[eye].mean((0, 1))
        assert np.abs(difference).max() < 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", 7),
        ("n_samples", 20.0),
        ("n_classes", 1),
        ("n_classes", 65),
        ("n_classes", True),
        ("image_size", 31),
        ("image_size", "224"),
        ("difficulty", -0.1),
        ("difficulty", 1.1),
        ("difficulty", float("nan")),
        ("difficulty", None),
        ("random_state", "seven"),
    ],
)
def test_invalid_parameters_are_rejected(name, value):
    with pytest.raises(ValueError, match=name if name != "random_state" else "seed"):
        make_part_images(**{name: value})
