"""Features and labels as they are given: what is checked."""

from __future__ import annotations

from collections import UserList, deque

import numpy as np
import pytest

from skdpnet import DPNetClassifier, SoftAssignParts


@pytest.mark.parametrize("cls", [DPNetClassifier, SoftAssignParts])
@pytest.mark.parametrize("kind", [list, tuple, UserList, deque, np.array])
def test_every_picture_needs_a_label(cls, kind):
    pictures = kind([np.zeros((32, 32, 3), np.uint8)] * 8)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[8, 5\]"):
        cls(image_size=32).fit(pictures, [0, 1, 0, 1, 0])


def test_what_is_no_list_is_told_as_that():
    for wrong in ("flowers", b"flowers", {"a": 1, "b": 2, "c": 3}, {"a", "b", "c"}):
        with pytest.raises(TypeError, match="X is"):
            DPNetClassifier().fit(wrong, [0, 1])
