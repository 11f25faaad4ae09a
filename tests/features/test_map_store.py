"""Maps are shared by networks that compute the same, as the cache's probes show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.backbones.backbone import Backbone
from skdpnet.backbones.loading import load_backbone
from skdpnet.features.map_store import open_map_store, probe_image
from skdpnet.images.framing import Framing
from skdpnet.storage.array_store import ArrayStore

CPU = torch.device("cpu")
FACTOR = 1.0


@pytest.fixture
def n_passes(monkeypatch) -> list[int]:
    """Collect the numbers of images in each batch, probes included."""
    start, sizes = Backbone.start, []

    def counted(self, pixels, *args, **options):
        sizes.append(len(pixels))
        return start(self, pixels, *args, **options)

    monkeypatch.setattr(Backbone, "start", counted)
    return sizes


class Pooled(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16)


class Scaled(Pooled):
    """A network that calls a function, which uses a global."""

    def forward(self, x):
        return scaled(super().forward(x))


def scaled(x):
    return x * FACTOR


def test_a_change_that_rounding_could_cause_is_none(
    photographs, settings, n_computed, monkeypatch
):
    extractor = FeatureMaps(Scaled(), **settings)
    for factor, n_times in ((1.0, 1), (1 + 1e-5, 1), (1.01, 2), (1.0, 2)):
        monkeypatch.setitem(globals(), "FACTOR", factor)
        extractor.transform(photographs[0][:2])
        assert len(n_computed) == n_times


@pytest.mark.parametrize("name", ["weight", "running_mean", "eps"])
def test_smaller_changes_of_the_state_count(photographs, settings, n_computed, name):
    network = nn.Sequential(nn.Conv2d(3, 3, 16, stride=16), nn.BatchNorm2d(3))
    extractor = FeatureMaps(network, **settings)
    extractor.transform(photographs[0][:2])
    changed = getattr(network[1], name)
    if isinstance(changed, float):
        network[1].eps *= 1 + 1e-6
    else:
        changed.data[0] += 1e-6
    extractor.transform(photographs[0][:2])
    extractor.transform(photographs[0][:2])
    assert n_computed == [2, 2]


def test_how_often_a_network_is_probed(photographs, settings, n_passes):
    paths = photographs[0][:3]
    for backbone, of_first_call, of_later_calls in (
        # To begin a cache, two probes are compared.
        (Pooled(), [1, 1, 3], [1]),
        ("efficientnet_lite0", [1, 1, 3], []),
    ):
        for expected in (of_first_call, of_later_calls, of_later_calls):
            n_passes.clear()
            FeatureMaps(backbone, **settings).transform(paths)
            assert n_passes == expected
    n_passes.clear()
    FeatureMaps(Pooled(), image_size=32).transform(paths)
    assert n_passes == [3], "without a cache there is no probe"


class Random(Pooled):
    def forward(self, x):
        return super().forward(x) + torch.rand(3, 1, 1)


class Counter(Pooled):
    calls = 0

    def forward(self, x):
        Counter.calls += 1
        return super().forward(x) * Counter.calls


@pytest.mark.parametrize("network", [Random(), Counter()])
def test_networks_that_compute_other_maps_each_time_are_refused(
    photographs, settings, network
):
    extractor = FeatureMaps(network, **settings)
    for _ in range(2):
        with pytest.raises(ValueError, match="other maps each time"):
            extractor.transform(photographs[0][:1])
    extractor.set_params(memory=None).transform(photographs[0][:1])


def probe_files(settings, network) -> list:
    """Return the files of the probes of a network."""
    stores = []
    init = ArrayStore.__init__

    def noted(self, folder, identity):
        init(self, folder, identity)
        if "probe" not in identity:
            stores.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArrayStore, "__init__", noted)
        open_store(settings, network)
    return sorted(stores[0]._entries.glob("*/*.safetensors"))


def open_store(settings, network, compute=torch.float32) -> ArrayStore:
    backbone = load_backbone(network, settings["image_size"], CPU)
    framing = Framing(settings["image_size"], "crop")
    return open_map_store(
        settings["memory"], backbone, framing, CPU, compute, torch.float32
    )


@pytest.mark.parametrize("damage", [b"", b"no probe", None])
def test_a_damaged_probe_is_made_again(photographs, settings, n_computed, damage):
    extractor = FeatureMaps(Pooled(), **settings)
    extractor.transform(photographs[0][:1])
    (file,) = probe_files(settings, Pooled())
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]) if damage is None else damage)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        extractor.transform(photographs[0][:1])
    assert file.read_bytes() == raw
    extractor.transform(photographs[0][:1])
    assert n_computed == [1]


def test_processes_that_begin_at_once_end_with_one_cache(settings, monkeypatch):
    """While one is about to write its probe, another writes one that is rounded."""
    write = ArrayStore.write
    both = [Scaled(), Scaled()]

    def other_first(self, key, arrays):
        monkeypatch.setattr(ArrayStore, "write", write)
        monkeypatch.setitem(globals(), "FACTOR", 1 + 1e-6)
        open_store(settings, both[1])
        return write(self, key, arrays)

    monkeypatch.setattr(ArrayStore, "write", other_first)
    first = open_store(settings, both[0])
    assert len(probe_files(settings, both[0])) == 2
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    again = open_store(settings, both[0])
    monkeypatch.setitem(globals(), "FACTOR", 1 + 1e-6)
    assert open_store(settings, both[1])._entries == again._entries == first._entries


def test_precisions_share_probes_but_not_maps(settings):
    entries = {
        open_store(settings, Pooled(), compute)._entries
        for compute in (torch.float32, torch.float16, torch.bfloat16)
    }
    assert len(entries) == 3
    assert len(probe_files(settings, Pooled())) == 1


def test_weights_of_half_precision_are_probed_under_autocast(photographs, settings):
    network = nn.Conv2d(3, 2, 16, stride=16).bfloat16()
    extractor = FeatureMaps(network, **settings).set_params(precision="bfloat16")
    expected = extractor.transform(photographs[0][:1])
    np.testing.assert_array_equal(extractor.transform(photographs[0][:1]), expected)


def test_convolutions_on_gpus_do_not_round_probes(settings):
    """TF32 would give GPUs and CPUs different probes."""
    allowed = []

    class Asking(Pooled):
        def forward(self, x):
            allowed.append(torch.backends.cudnn.allow_tf32)
            return super().forward(x)

    before = torch.backends.cudnn.allow_tf32
    open_store(settings, Asking())
    assert allowed == [False, False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_probe_has_many_colours_at_many_scales():
    image = probe_image(224)
    assert image.shape == (224, 224, 3)
    assert len(np.unique(image)) > 200
    for side in (1, 4, 16, 56):
        n = 224 // side
        means = image.reshape(n, side, n, side, 3).mean((1, 3))
        assert (means.std((0, 1)) > 10).all()
