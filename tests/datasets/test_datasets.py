"""Tests of the made images and of the reader of image folders."""

import os
from itertools import combinations, pairwise

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from skdpnet.datasets import _scenery, load_image_folder, make_part_images
from skdpnet.datasets._birds import VARIANTS

CARRIERS = ("beak", "crest", "wing", "tail")
ALL_PARTS = {"tail", "legs", "body", "crest", "head", "beak", "eye", "wing"}


@pytest.fixture(scope="module")
def birds():
    return make_part_images(n_samples=26, n_classes=8, random_state=0)


def render(variants, *, difficulty=0.5, size=224, seed=(7, 1, 3)):
    return _scenery.render(seed, variants, size, difficulty)


def test_shapes_types_and_names(birds):
    assert birds.images.shape == (26, 224, 224, 3)
    assert birds.images.dtype == np.uint8
    assert np.issubdtype(birds.target.dtype, np.integer)
    assert len(birds.target_names) == len(set(birds.target_names)) == 8
    assert len(birds.boxes) == len(birds.visible) == 26
    assert len(birds.variants) == 8


def test_same_state_same_images_other_state_other_images():
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
    known = {
        (int(c), im.tobytes()) for c, im in zip(many.target, many.images, strict=True)
    }
    assert {
        (int(c), im.tobytes()) for c, im in zip(few.target, few.images, strict=True)
    } < known


def test_no_image_twice(birds):
    assert len({image.tobytes() for image in birds.images}) == 26


def test_classes_are_balanced_and_shuffled(birds):
    counts = np.bincount(birds.target, minlength=8)
    assert counts.sum() == 26
    assert counts.max() - counts.min() == 1
    assert np.any(birds.target[:8] != np.arange(8))
    assert np.any(np.diff(birds.target) < 0)


@pytest.mark.parametrize("n_classes", [2, 8, 64])
def test_each_class_is_a_combination_of_its_own(n_classes):
    data = make_part_images(n_classes, n_classes, 32, 0.0, random_state=0)
    rows = [tuple(v[p] for p in CARRIERS) for v in data.variants]
    assert len(set(rows)) == n_classes
    for row in rows:
        assert all(v in VARIANTS[p] for p, v in zip(CARRIERS, row, strict=True))
    steps = [sum(a != b for a, b in zip(r, s, strict=True)) for r, s in pairwise(rows)]
    assert set(steps) <= {1, 2}


def test_no_part_alone_tells_all_classes(birds):
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
        expected = {mine[0] for mine, its in pairs if mine[1] != its[1]}
        assert expected
        assert table[a, b] == table[b, a] == expected
    for a in range(8):
        assert table[a] == set.union(*(set(table[a, b]) for b in range(8) if b != a))
    for found, boxes, a in zip(
        birds.discriminative_boxes, birds.boxes, birds.target, strict=True
    ):
        assert {tuple(box) for box in found.tolist()} == {
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
    """What differs between two birds of unlike part must be where the boxes say."""
    plain = dict(zip(CARRIERS, ("hooked", "plume", "bars", "forked"), strict=True))
    one = render(plain, seed=seed)
    two = render(plain | {part: VARIANTS[part][1]}, seed=seed)
    boxes = np.array([one.boxes[part], two.boxes[part]])
    (left, top), (right, bottom) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    unlike = np.ptp(np.stack([one.image, two.image]).astype(int), axis=0).max(2) > 40
    rows, cols = np.nonzero(unlike)
    assert len(rows) > 30
    # Blur and the shading at the outline reach a little further than the part.
    assert cols.min() >= left - 3 and cols.max() < right + 3
    assert rows.min() >= top - 3 and rows.max() < bottom + 3
    # And the boxes are no wider than the difference by much.
    assert (np.ptp(cols) + 1) * (np.ptp(rows) + 1) > 0.5 * (right - left) * (
        bottom - top
    )


@pytest.mark.parametrize("part", CARRIERS)
def test_box_is_where_the_paint_of_the_part_is(part, monkeypatch):
    """A part painted in a colour nothing else has is found again by that colour."""
    magenta = (255, 0, 255)

    def bird(*args):
        return [
            type(s)(s.part, s.points, magenta if s.part == part else (60, 90, 60))
            for s in original(*args)
        ]

    original = _scenery.draw_bird
    monkeypatch.setattr(_scenery, "draw_bird", bird)
    variants = dict(zip(CARRIERS, ("broad", "spikes", "spots", "fan"), strict=True))
    scene = render(variants, difficulty=0.0)
    pixels = scene.image.astype(int)
    painted = (np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1]) > 60
    rows, cols = np.nonzero(painted)
    found = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(scene.boxes[part], found, atol=1.5)


def test_visible_is_one_without_occluders_and_falls_with_difficulty():
    means = []
    for difficulty in (0.0, 0.5, 1.0):
        data = make_part_images(24, 8, 64, difficulty, random_state=0)
        shares = [v[p] for v in data.visible for p in CARRIERS]
        assert 0.0 <= min(shares) <= max(shares) <= 1.0
        means.append(np.mean(shares))
    assert means[0] == 1.0
    assert means[0] > means[1] > means[2] > 0.5


def test_mean_colour_does_not_tell_the_class():
    data = make_part_images(200, 8, 48, random_state=0)
    colour = data.images.mean(axis=(1, 2)) / 255.0
    score = cross_val_score(LogisticRegression(C=10.0), colour, data.target, cv=5)
    # Chance is 0.125; three standard errors of 200 draws above it are 0.195.
    assert score.mean() < 0.195


def test_place_and_colours_of_the_bird_are_the_same_for_every_class():
    birds = [
        render(dict(zip(CARRIERS, row, strict=True)))
        for row in zip(*(VARIANTS[p] for p in CARRIERS), strict=True)
    ]
    for bird in birds[1:]:
        assert bird.boxes["eye"] == birds[0].boxes["eye"]
        left, top, right, bottom = np.rint(bird.boxes["eye"]).astype(int)
        here = np.s_[top:bottom, left:right]
        # Only the soft shading feels the outline of beak and crest nearby.
        gap = bird.image[here].mean((0, 1)) - birds[0].image[here].mean((0, 1))
        assert np.abs(gap).max() < 20


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
def test_bad_parameters_are_refused(name, value):
    with pytest.raises(ValueError, match=name if name != "random_state" else "seed"):
        make_part_images(**{name: value})


def save(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)


def test_folder_is_listed_by_class(tmp_path):
    save(tmp_path / "owl", "b.JPG", "a.png")
    save(tmp_path / "owl" / "young", "c.Tiff")
    save(tmp_path / "crow", "1.bmp", "2.gif", "3.jpeg", "4.webp", "5.ppm")
    save(tmp_path / "étourneau 鳥", "ünï.png")
    (tmp_path / "owl" / "notes.txt").write_text("not an image")
    (tmp_path / "list.csv").write_text("not a folder")
    save(tmp_path / "owl", ".hidden.png")
    save(tmp_path / ".cache", "x.png")
    save(tmp_path / "owl" / ".thumbs", "y.png")
    paths, y, names = load_image_folder(tmp_path)
    assert names == ["crow", "owl", "étourneau 鳥"]
    parts = [os.path.relpath(p, tmp_path).replace(os.sep, "/") for p in paths]
    assert parts == [
        *(f"crow/{f}" for f in ("1.bmp", "2.gif", "3.jpeg", "4.webp", "5.ppm")),
        *("owl/a.png", "owl/b.JPG", "owl/young/c.Tiff"),
        "étourneau 鳥/ünï.png",
    ]
    np.testing.assert_array_equal(y, [0] * 5 + [1] * 3 + [2])
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (4, 4)
    assert load_image_folder(str(tmp_path))[0] == paths


def test_folder_agrees_with_torchvision(tmp_path):
    torchvision_datasets = pytest.importorskip("torchvision.datasets")
    save(tmp_path / "b", "2.png", "10.png")
    save(tmp_path / "b" / "deep", "1.jpg")
    save(tmp_path / "B", "x.webp")
    save(tmp_path / "a", "0.tif")
    paths, y, names = load_image_folder(tmp_path)
    theirs = torchvision_datasets.ImageFolder(str(tmp_path))
    assert names == theirs.classes
    assert list(zip(paths, y.tolist(), strict=True)) == theirs.samples


def test_links_are_followed_once(tmp_path):
    save(tmp_path / "store", "a.png")
    save(tmp_path / "data" / "owl", "b.png")
    try:
        (tmp_path / "data" / "crow").symlink_to(tmp_path / "store", True)
        (tmp_path / "data" / "owl" / "loop").symlink_to(tmp_path / "data" / "owl", True)
    except OSError:
        pytest.skip("no links here")
    paths, _, names = load_image_folder(tmp_path / "data")
    assert names == ["crow", "owl"]
    assert [os.path.basename(p) for p in paths] == ["a.png", "b.png"]


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        load_image_folder(tmp_path / "missing")
    save(tmp_path, "loose.png")
    with pytest.raises(ValueError, match="folder"):
        load_image_folder(tmp_path / "loose.png")
    with pytest.raises(ValueError, match="No class folders"):
        load_image_folder(tmp_path)
    save(tmp_path / "owl", "a.png")
    (tmp_path / "crow").mkdir()
    (tmp_path / "crow" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match="'crow'"):
        load_image_folder(tmp_path)
