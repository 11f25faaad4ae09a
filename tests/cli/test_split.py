"""The images that commands hold out: by content, class by class, copies together."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from skdpnet.cli.split import hold_out


def make_digests(counts):
    """Make different digests of so many images of each class, and their labels."""
    y = np.repeat([f"class {c}" for c in range(len(counts))], counts)
    return np.array([hashlib.sha256(b"%d" % i).hexdigest() for i in range(len(y))]), y


def test_the_share_of_each_class_is_held_out():
    digests, y = make_digests([50, 10, 2, 1])
    held_out = hold_out(digests, y, 0.2, 0)
    counts = [held_out[y == name].sum() for name in np.unique(y)]
    assert counts == [10, 2, 1, 0], "at least one, and never all"
    assert not hold_out(digests, y, 0.0, 0).any()
    assert [hold_out(digests, y, 0.99, 0)[y == n].sum() for n in np.unique(y)] == (
        [49, 9, 1, 0]
    )


def test_the_split_depends_on_seed_and_content_but_not_on_the_order():
    digests, y = make_digests([20, 20])
    held_out = set(digests[hold_out(digests, y, 0.3, 0)])
    order = np.random.default_rng(0).permutation(40)
    again = hold_out(digests[order], y[order], 0.3, 0)
    assert set(digests[order][again]) == held_out
    assert set(digests[hold_out(digests, y, 0.3, 1)]) != held_out


def test_copies_of_an_image_stay_together():
    digests, y = make_digests([10, 10])
    digests, y = np.tile(digests, 3), np.tile(y, 3)
    held_out = hold_out(digests, y, 0.4, 0)
    assert set(digests[held_out]).isdisjoint(digests[~held_out])
    assert len(set(digests[held_out])) == 8


@pytest.mark.parametrize("share", [0.2, 0.99])
def test_images_of_several_classes_are_not_held_out(share):
    digests, y = make_digests([10, 10])
    # A third class has copies of an image of each of the others, and nothing else; the
    # second has a copy of two images of the first.
    digests = np.append(digests, digests[[0, 10, 1, 2]])
    y = np.append(y, ["class 2", "class 2", "class 1", "class 1"])
    for seed in range(20):
        held_out = hold_out(digests, y, share, seed)
        assert not held_out[[0, 1, 2, 10, 20, 21, 22, 23]].any()
        assert set(y[~held_out]) == set(y), "each class keeps an image to learn from"
        assert set(y[held_out]) == {"class 0", "class 1"}


def test_the_split_without_shared_images_is_that_of_earlier_versions():
    digests, y = make_digests([5, 5])
    held_out = np.flatnonzero(hold_out(digests, y, 0.4, 0))
    assert held_out.tolist() == [0, 2, 5, 8]
