"""What all encodings of local descriptors share: samples, files, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skdpnet
from skdpnet import LLC, VLAD, BagOfWords, FisherVector
from skdpnet.backbones import DenseSIFT
from skdpnet.base import map_estimator
from skdpnet.encodings import local_encoder
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read, write
from tests.encodings.made_maps import PYRAMID, made_maps, several

ENCODERS = [
    BagOfWords,
    LLC,
    VLAD,
    FisherVector,
    lambda backbone, **params: BagOfWords(backbone, feature_map="chi2", **params),
]
SMALL = {"n_words": 4, "random_state": 0}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_loaded_computes_the_same(tmp_path, encoder):
    X = several(made_maps(), made_maps(seed=1), made_maps(height=4))
    model = encoder("precomputed", **SMALL, pyramid=[[1, 1], [2, 1]]).fit(X)
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params() == clone(loaded).get_params()
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert len(loaded.get_feature_names_out()) == model.transform(X).shape[1]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_pieces_of_any_size_give_the_same(encoder, monkeypatch):
    X = several(made_maps(30), made_maps(30, seed=1))
    settings = {**SMALL, "n_samples": 100, "pyramid": PYRAMID}
    expected = encoder("precomputed", **settings).fit_transform(X)
    monkeypatch.setattr(map_estimator, "_IMAGES_AT_ONCE", 7)
    monkeypatch.setattr(local_encoder, "_PIECE_BYTES", 1)
    got = encoder("precomputed", **settings).fit_transform(X)
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_image_without_descriptors_is_zero_and_finite(encoder):
    maps = made_maps()
    model = encoder("precomputed", **SMALL, pyramid=PYRAMID).fit(maps)
    maps[2] = 0
    maps[3, 3:] = 0  # cells without descriptors
    got = model.transform(maps)
    assert np.isfinite(got).all() and not got[2].any() and got[3].any()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_fewer_descriptors_than_words(encoder):
    one = made_maps(1, 2, 2)
    got = encoder("precomputed", n_words=50, random_state=0).fit_transform(one)
    assert len(got) == 1 and np.isfinite(got).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_images_that_are_constant_or_smaller_than_a_window(encoder):
    images = [np.full((40, 60, 3), 128, np.uint8)] * 3
    sift = DenseSIFT(bin_sizes=[4], step=8)
    with pytest.raises(ValueError, match="show no contrast"):
        encoder(sift, **SMALL, image_size=32).fit(images)
    random = np.random.default_rng(0)
    tiny = [random.integers(0, 255, (5, 3, 3), np.uint8) for _ in range(3)]
    got = encoder(sift, **SMALL, image_size=32).fit_transform(tiny)
    assert np.isfinite(got).all()
    with pytest.raises(ValueError, match="raise image_size, or lower step"):
        encoder(DenseSIFT(step=40), **SMALL, image_size=32).fit(tiny)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (made_maps()[:0], "0 sample|no image|at least one|minimum of 1"),
        (np.full_like(made_maps(), np.nan), "NaN"),
        (np.zeros((3, 4, 4, 8)), "all local descriptors of X are zero"),
        (made_maps()[:, 0, 0], "regions and features have no place"),
        (made_maps(height=1), "only 1×5"),
    ],
)
def test_data_that_cannot_be_encoded(encoder, X, message):
    with pytest.raises(ValueError, match=message):
        encoder("precomputed", **SMALL, pyramid=PYRAMID).fit(X)


@pytest.mark.parametrize(
    ("encoder", "parameter", "value"),
    [
        (BagOfWords, "feature_map", "hellinger"),
        (BagOfWords, "level_weights", None),
        (BagOfWords, "n_words", 1.5),
        (LLC, "n_neighbors", 0),
        (LLC, "regularisation", 0),
        (LLC, "pyramid", ((1, 1, 1),)),
        (FisherVector, "power", 2),
        (FisherVector, "n_components", 0),
        (FisherVector, "n_samples", -1),
    ],
)
def test_parameters_out_of_range(encoder, parameter, value):
    model = encoder("precomputed").set_params(**{parameter: value})
    with pytest.raises(ValueError, match=f"{parameter} must be"):
        model.fit(made_maps())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, _: t.update({"variances_.0": 0 * t["variances_.0"]}), "variances_"),
        (lambda t, _: t.update({"weights_.0": 2 * t["weights_.0"]}), "no shares"),
        (lambda t, _: t.update({"weights_.0": np.ones(3, "f4") / 3}), "weights_"),
        (lambda t, _: t.update({"means_.0": 1e9 * t["means_.0"]}), "means_"),
        (lambda _, fitted: fitted.update(means_=[]), "means_ does not hold 1 vocab"),
        (lambda _, fitted: fitted.update(_n_features_out=7), "_n_features_out"),
    ],
)
def test_mixtures_in_files_that_are_none(tmp_path, change, message):
    FisherVector("precomputed", **SMALL).fit(made_maps()).save(tmp_path / "model")
    metadata, tensors = read(tmp_path / "model")
    fitted = json.loads(metadata["fitted"])
    change(tensors, fitted)
    for key in ("format", "format_version", "checksum"):
        del metadata[key]
    write(tmp_path / "model", {**metadata, "fitted": json.dumps(fitted)}, tensors)
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(tmp_path / "model")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encodings_on_the_device_are_those_of_the_cpu(encoder):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    maps = made_maps()
    model = encoder("precomputed", **SMALL, pyramid=PYRAMID, device="cpu").fit(maps)
    expected = model.transform(maps)
    got = model.set_params(device="cuda").transform(maps)
    np.testing.assert_allclose(got, expected, atol=1e-3)
