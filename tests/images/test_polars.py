"""Columns of polars as X: text, categories and objects, and what has to be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV, train_test_split

import skdpnet
from skdpnet import DPNetClassifier
from skdpnet.images import ImageError
from skdpnet.images.collection import as_images

pl = pytest.importorskip("polars")
N = 8


@pytest.fixture
def paths(tmp_path):
    names = [str(tmp_path / f"{i}.png") for i in range(N)]
    for i, name in enumerate(names):
        random = np.random.RandomState(i)
        pixels = random.randint(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(name)
    return names


def columns(paths):
    return {
        "text": pl.Series(paths),
        "categories": pl.Series(paths, dtype=pl.Categorical),
        "enum": pl.Series(paths, dtype=pl.Enum(paths)),
        "frame": pl.DataFrame({"path": paths}),
        "objects": pl.Series([*map(Path, paths)], dtype=pl.Object),
    }


def test_a_column_stands_for_its_paths(paths):
    expected = [as_images(paths).content_key(i) for i in range(N)]
    for kind, column in columns(paths).items():
        images = as_images(column)
        images.check()
        keys = [images.content_key(i) for i in range(len(images))]
        assert keys == expected, kind
        assert images.describe(2) == f"item 2 ('{paths[2]}')"


def test_what_is_no_column_of_images_is_refused(paths):
    with pytest.raises(ValueError, match="2 columns; pass the one column"):
        as_images(pl.DataFrame({"path": paths, "label": range(N)}))
    with pytest.raises(TypeError, match=r"LazyFrame.*X\.collect\(\)"):
        as_images(pl.LazyFrame({"path": paths}))
    with pytest.raises(ImageError, match="item 8 .*missing value"):
        as_images(pl.DataFrame({"path": [*paths, None]})).check()
    with pytest.raises(ImageError, match="item 0 .*raw bytes"):
        as_images(pl.Series([b"\xff\xd8"])).check()
    with pytest.raises(ValueError, match="X is empty"):
        as_images(pl.Series([], dtype=pl.String))


@pytest.mark.parametrize("kind", ["text", "frame"])
def test_searches_splits_and_explanations_take_columns(paths, kind, tmp_path):
    column = columns(paths)[kind]
    y = pl.Series(["crow", "heron"] * (N // 2))
    model = DPNetClassifier(
        image_size=32,
        n_parts_per_class=1,
        max_epochs=1,
        random_state=0,
        memory=tmp_path / "maps",
    )
    grid = {"n_parts_per_class": [1, 2]}
    search = GridSearchCV(model, grid, cv=2).fit(column, y)
    expected = GridSearchCV(model, grid, cv=2).fit(paths, y.to_list())
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    _, test = train_test_split(column, test_size=2, random_state=0)
    _, names = train_test_split(paths, test_size=2, random_state=0)
    np.testing.assert_array_equal(search.predict(test), expected.predict(names))
    explained = skdpnet.explain(search.best_estimator_, column[:1])
    assert explained.contributions == pytest.approx(
        skdpnet.explain(expected.best_estimator_, paths[0]).contributions
    )
