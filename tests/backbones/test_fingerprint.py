"""Fingerprints change with all that changes the maps, and agree between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.backbones.fingerprint import fingerprint
from skdpnet.backbones.loading import load_backbone

CPU = torch.device("cpu")
FACTOR = 1.0


def scaled(x):
    return x * FACTOR


class Pooled(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16)


class Private(Pooled):
    def __init__(self, factor):
        super().__init__()
        self._factor = factor

    def forward(self, x):
        return super().forward(x) * self._factor


class Buffered(Pooled):
    def __init__(self, factor):
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor), persistent=False)

    def forward(self, x):
        return super().forward(x) * self.factor


class Plain(Private):
    """A tensor that is neither parameter nor buffer."""

    def __init__(self, factor):
        super().__init__(torch.full((3, 1, 1), factor))


class Named(Pooled):
    """A network that calls a function, which uses a global."""

    def forward(self, x):
        return scaled(super().forward(x))


LOCK = threading.Lock()


class Locked(Private):
    """A network whose code uses a lock, and skdpnet."""

    def __init__(self, factor):
        super().__init__(factor)
        load_backbone(self, 32, CPU)

    def forward(self, x):
        with LOCK:
            return super().forward(x)


def hooked(factor):
    network = Pooled()
    network.register_forward_hook(lambda module, inputs, maps: maps * factor)
    return network


def helped(factor):
    if factor == 1:

        class Net(Private):
            def forward(self, x):
                return self.body(x)

            def body(self, x):
                return nn.functional.avg_pool2d(x, 16)

    else:

        class Net(Private):
            def forward(self, x):
                return self.body(x)

            def body(self, x):
                return nn.functional.avg_pool2d(x, 16) * 2

    return Net(1)


def defaulted(factor):
    class Net(nn.Module):
        def forward(self, x, by=factor):
            return nn.functional.avg_pool2d(x, 16) * by

    return Net()


def closed(factor):
    class Net(nn.Module):
        @torch.no_grad()
        def forward(self, x):
            return nn.functional.avg_pool2d(x, 16) * factor

    return Net()


def attributed(factor):
    class Net(Private):
        _factor = factor

        def __init__(self):
            nn.Module.__init__(self)

    return Net()


def derived(factor):
    """Return a network with a layer that has a property."""

    class Layer(nn.Module):
        @property
        def factor(self):
            return factor

        def forward(self, x):
            return x * self.factor

    return nn.Sequential(Pooled(), Layer())


def parametrised(factor):
    network = nn.Conv2d(3, 3, 16, stride=16, bias=False)
    nn.init.constant_(network.weight, factor)
    torch.nn.utils.parametrize.register_parametrization(network, "weight", nn.ReLU())
    return network


@pytest.mark.parametrize(
    "make",
    [
        Private,
        Buffered,
        Plain,
        hooked,
        helped,
        defaulted,
        closed,
        attributed,
        derived,
        parametrised,
    ],
)
def test_networks_that_compute_different_maps_do_not_share_them(
    photographs, tmp_path, make
):
    settings = {"image_size": 32, "memory": tmp_path, "precision": "float32"}
    paths = photographs[0][:2]
    single, double = (
        FeatureMaps(make(factor), **settings).fit_transform(paths)
        for factor in (1.0, 2.0)
    )
    np.testing.assert_allclose(double, 2 * single, rtol=1e-6)
    network = make(1.0)
    prints = [load_backbone(network, 32, CPU).fingerprint for _ in range(2)]
    assert prints[0] == prints[1] != ""


def test_a_global_that_a_function_uses_counts(monkeypatch):
    before = fingerprint(Named())
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert fingerprint(Named()) != before
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    assert fingerprint(Named()) == before


class Everything(nn.Module):
    """State that could differ between processes: addresses, hashes, identities."""

    def __init__(self):
        super().__init__()
        self.words = {"alpha", "beta", "gamma", "delta", "epsilon"}
        self.tensor = torch.arange(3.0)
        self.functions = [torch.relu, scaled, lambda x: x]
        self.array = np.arange(4)
        self.this = [self]
        self.register_forward_hook(lambda module, inputs, maps: maps)

    def forward(self, x, mode="alpha"):
        return x if mode in {"alpha", "beta", "gamma"} else -x


def test_all_processes_compute_the_same():
    script = """
import torch
from skdpnet.backbones.loading import load_backbone
from skdpnet.backbones.fingerprint import fingerprint
from tests.backbones.test_fingerprint import Everything
print(fingerprint(Everything()), *(
    load_backbone(backbone, 64, torch.device("cpu")).fingerprint
    for backbone in ("efficientnet_lite0", Everything())
))
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    (prints,) = outputs
    assert [len(digits) for digits in prints.split()] == [32] * 3


def test_a_call_does_not_change_it():
    network = Everything()
    before = fingerprint(network)
    with torch.no_grad():
        network(torch.zeros(1, 3, 4, 4))
    assert fingerprint(network) == before


def test_feature_extractors_of_torchvision_differ():
    from torchvision.models import squeezenet1_1
    from torchvision.models.feature_extraction import create_feature_extractor

    network = squeezenet1_1().eval()
    prints = [
        fingerprint(create_feature_extractor(network, [name]))
        for name in ("features.11", "features.12", "features.12")
    ]
    assert prints[0] != prints[1] == prints[2] != ""


def test_networks_that_cannot_be_read_have_none():
    network = Pooled()
    network.lock = threading.Lock()
    assert fingerprint(network) == ""
    assert fingerprint(nn.Sequential(network)) == ""


def test_globals_that_cannot_be_read_are_left_out():
    first, same, other = (fingerprint(Locked(factor)) for factor in (1.0, 1.0, 2.0))
    assert first and first == same != other
