"""VLAD: what is saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import clone

import skdpnet
from skdpnet import VLAD
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read, write
from tests.encodings.made_maps import PYRAMID, made_maps, several
from tests.encodings.test_vlad import SMALL


def test_what_is_loaded_computes_the_same(tmp_path):
    X = several(made_maps(), made_maps(seed=1), made_maps(height=4))
    for pyramid in (None, PYRAMID, [[1, 1], [2, 1]]):
        model = VLAD("precomputed", **SMALL, pyramid=pyramid).fit(X)
        model.save(tmp_path / "vlad")
        loaded = skdpnet.load(tmp_path / "vlad")
        assert loaded.get_params() == model.get_params() == clone(loaded).get_params()
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
        names = model.get_feature_names_out()
        assert loaded.get_feature_names_out().tolist() == names.tolist()
        assert len(names) == model.transform(X).shape[1]
        assert names[-1] == f"vlad{len(names) - 1}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors, _: tensors.update({"words_.0": np.ones((5, 4), "f4")}),
            "words_",
        ),
        (
            lambda tensors, _: tensors.update({"words_.0": np.ones((4, 6), "f4")}),
            "length",
        ),
        (lambda _, fitted: fitted.update(words_=[]), "words_ does not hold 1 vocab"),
        (lambda _, fitted: fitted.update(whitenings_=[]), "whitenings_ does not hold"),
        (lambda _, fitted: fitted.update(_n_features_out=7), "_n_features_out"),
        (lambda _, fitted: fitted.pop("words_"), "words_"),
    ],
)
def test_files_whose_parts_do_not_belong_together(tmp_path, change, message):
    VLAD("precomputed", **SMALL).fit(made_maps()).save(tmp_path / "vlad")
    metadata, tensors = read(tmp_path / "vlad")
    fitted = json.loads(metadata["fitted"])
    change(tensors, fitted)
    for key in ("format", "format_version", "checksum"):
        del metadata[key]
    write(tmp_path / "vlad", {**metadata, "fitted": json.dumps(fitted)}, tensors)
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(tmp_path / "vlad")


def test_a_pyramid_in_a_file_is_bounded_by_the_maps(tmp_path):
    model = VLAD("precomputed", **SMALL).fit(made_maps())
    model.save(tmp_path / "vlad")
    for pyramid, message in ([[999, 1]], "only 6×5"), ([[10**9, 1]], "beyond 100000"):
        metadata, tensors = read(tmp_path / "vlad")
        given = {**json.loads(metadata["parameters"]), "pyramid": pyramid}
        changed = {**metadata, "parameters": json.dumps(given)}
        write(tmp_path / "vlad", changed, tensors)
        with pytest.raises(ModelFileError, match=message):
            skdpnet.load(tmp_path / "vlad")
    with pytest.raises(ValueError, match="cannot be saved: pyramid has a level"):
        model.set_params(pyramid=((999, 1),)).save(tmp_path / "vlad")
