"""Feature maps of whole images: on one canvas, and each framing by itself."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.backbones.loading import load_backbone
from skdpnet.images.collection import as_images
from skdpnet.images.framing import CENTER, FRAMINGS, USUAL_SIZE, Framing
from skdpnet.images.geometry import preprocess
from skdpnet.storage.array_store import ArrayStore

CPU = torch.device("cpu")
PHOTOGRAPH = Image.fromarray(skimage.data.coffee())
# Widths and heights, and the rows and columns of their maps at stride 32 of 96 pixels:
# the canvas has 128 pixels.
SHAPES = {
    (200, 200): (3, 3),
    (300, 200): (3, 4),
    (180, 400): (4, 3),
    (900, 200): (3, 4),
}
SETTINGS = {"image_size": 96, "precision": "float32", "framing": "aspect"}


class Pooled(nn.Module):
    """Means over patches of 16 and 32 pixels."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16), nn.functional.avg_pool2d(x, 32)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Photographs of all shapes, so mixed that each batch has several."""
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for i, size in enumerate([*SHAPES, *reversed(SHAPES), *SHAPES]):
        image = PHOTOGRAPH.crop((10 * i, 5 * i, 400, 300)).resize(size)
        paths.append(str(folder / f"{i}.png"))
        image.save(paths[-1])
    return paths


def shape_of(path):
    return SHAPES[as_images([path]).load(0).size]


@pytest.mark.parametrize("memory", [False, True])
def test_maps_lie_in_the_corner_of_a_canvas_of_zeros(images, memory, tmp_path):
    extractor = FeatureMaps(
        strides=(16, 32),
        batch_size=5,
        memory=tmp_path / "maps" if memory else None,
        **SETTINGS,
    )
    maps = extractor.fit_transform(images)
    assert maps["map0"].shape[1:3] == (8, 8) and maps["map1"].shape[1:3] == (4, 4)
    backbone = load_backbone("efficientnet_lite0", 96, CPU, (16, 32))
    framing = Framing(96, "aspect")
    for i, path in enumerate(images):
        pixels = preprocess(as_images([path]).load(0), framing)[None]
        alone = backbone.feature_maps(pixels, CPU, torch.float32)
        for name, factor, expected in zip(("map0", "map1"), (2, 1), alone, strict=True):
            rows, columns = (factor * n for n in shape_of(path))
            assert expected.shape[1:3] == (rows, columns)
            on_canvas = maps[name][i]
            np.testing.assert_allclose(
                on_canvas[:rows, :columns], expected[0], atol=1e-4
            )
            assert not on_canvas[rows:].any() and not on_canvas[:, columns:].any()
    if memory:
        np.testing.assert_array_equal(extractor.transform(images[::-1]), maps[::-1])


@pytest.mark.parametrize("memory", [None, "maps"])
@pytest.mark.parametrize("framing", ["aspect", "crop"])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_tensors_are_those_of_the_arrays(images, memory, framing, batch_size, tmp_path):
    folder = None if memory is None else tmp_path / memory
    extractor = FeatureMaps(
        image_size=64, framing=framing, strides=(16, 32), batch_size=batch_size
    )
    expected = list(extractor.iter_maps(images))
    found = list(extractor.set_params(memory=folder).iter_tensors(images))
    assert len(found) == len(expected)
    for tensors, arrays in zip(found, expected, strict=True):
        for tensor, array in zip(tensors, arrays, strict=True):
            assert isinstance(tensor, torch.Tensor)
            # A batch of another size may be rounded otherwise.
            np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-2, atol=1e-2)


def test_the_cache_holds_no_canvas_and_each_image_once(images, n_computed, tmp_path):
    extractor = FeatureMaps(Pooled(), memory=tmp_path / "maps", **SETTINGS)
    extractor.transform(images)
    extractor.transform(images)
    assert sum(n_computed) == len(images)
    n_cells = sum(5 * np.prod(shape_of(path)) for path in images)
    stored = sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
    # Three channels of float32, and a header in each file.
    assert 12 * n_cells < stored < 12 * n_cells + 400 * (len(images) + 2)


def test_framings_share_no_maps(images, n_computed, tmp_path):
    settings = {**SETTINGS, "memory": tmp_path / "maps"}
    maps = {}
    for _ in range(2):
        for name in [name for name in FRAMINGS if name != CENTER]:
            extractor = FeatureMaps(nn.AvgPool2d(32), **{**settings, "framing": name})
            maps[name] = extractor.transform(images[:2])
    assert n_computed == [2] * 4
    assert maps["aspect"].shape == (2, 4, 4, 3)
    for name in ("squash", "pad"):
        assert maps[name].shape == maps["crop"].shape == (2, 3, 3, 3)
        # The first image is square, the second is not.
        np.testing.assert_array_equal(maps[name][0], maps["crop"][0])
        assert np.abs(maps[name][1] - maps["crop"][1]).max() > 0.1


def test_the_keys_of_crops_are_those_of_caches_before_there_were_framings(
    images, tmp_path, monkeypatch
):
    identities = []
    init = ArrayStore.__init__

    def noted(self, folder, identity):
        identities.append(identity)
        init(self, folder, identity)

    monkeypatch.setattr(ArrayStore, "__init__", noted)
    for name in ("crop", "pad"):
        FeatureMaps(
            nn.AvgPool2d(32), image_size=96, framing=name, memory=tmp_path
        ).transform(images[:1])
    known = {"backbone", "normalisation", "image_size", "preprocessing"}
    assert set(identities[0]) == known
    assert set(identities[1]) == known | {"compute", "dtype", "probe"}
    assert set(identities[2]) == known | {"framing"}


@pytest.mark.parametrize(
    ("backbone", "size"), [(nn.AvgPool2d(1), 64), ("efficientnet_lite0", 64)]
)
def test_a_network_sees_zero_where_images_are_padded(backbone, size):
    framing = FeatureMaps(backbone, image_size=size, framing="pad").input_framing()
    loaded = load_backbone(backbone, size, CPU)
    assert framing.image_size == loaded.image_size == size
    assert framing.fill == tuple(round(255 * mean) for mean in loaded.mean)
    if not isinstance(backbone, str):
        maps = FeatureMaps(backbone, image_size=size, framing="pad").transform(
            [PHOTOGRAPH.resize((200, 100))]
        )
        assert np.abs(maps[0, [*range(16), *range(48, 64)]]).max() < 0.01
        assert np.abs(maps[0, 16:48]).mean() > 0.3


def test_the_size_of_images_that_nothing_names():
    network = nn.AvgPool2d(32)
    assert FeatureMaps(network).input_framing().image_size == USUAL_SIZE
    assert load_backbone(network, None, CPU).image_size == USUAL_SIZE


class OnePosition(Pooled):
    """A network with an embedding for each position of one size."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(3, 3, 3))

    def forward(self, x):
        return super().forward(x)[1] + self.embedding


class Margins(Pooled):
    """A network that loses a margin, so that maps grow by less than images."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x[..., 8:-8, 8:-8], 16)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (OnePosition(), 'framing="aspect" needs a network.*96×128.*Use framing="crop"'),
        (Margins(), 'framing="aspect" needs maps whose sides.*5×5 cells for 96×96'),
    ],
)
def test_networks_of_one_shape_are_refused(images, network, message, memory, tmp_path):
    extractor = FeatureMaps(network, memory=tmp_path if memory else None, **SETTINGS)
    with pytest.raises(ValueError, match=message):
        extractor.transform(images[:3])
    extractor.set_params(framing="squash").transform(images[:3])


def test_vision_transformers_of_one_shape_are_refused(images):
    import timm

    from skdpnet.backbones.stages import cut_timm

    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=96)
    extractor = FeatureMaps(cut_timm(model, None, 96), **SETTINGS)
    with pytest.raises(ValueError, match='framing="aspect" needs a network'):
        extractor.transform(images[:3])
    extractor.set_params(framing="pad").transform(images[:2])


def test_settings_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match="multiple of 32.*got 100. Use 96 or 128"):
        FeatureMaps(Pooled(), **{**SETTINGS, "image_size": 100}).transform(images)
    with pytest.raises(ValueError, match="framing must be one of.*got 'wide'"):
        FeatureMaps(Pooled(), framing="wide").transform(images)
