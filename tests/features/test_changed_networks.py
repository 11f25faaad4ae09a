"""Cached maps are those that the network computes now, whatever changed it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet import FeatureMaps

# Networks that compute maps which are multiplied by a factor.


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


class Opaque:
    """Cannot be pickled."""

    def __init__(self, factor):
        self.factor = factor

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError("cannot pickle")


class Unpickled(Pooled):
    def __init__(self, factor):
        super().__init__()
        self.state = Opaque(factor)

    def forward(self, x):
        return super().forward(x) * self.state.factor


def hooked(factor):
    network = Pooled()
    network.register_forward_hook(lambda module, inputs, maps: maps * factor)
    return network


def helped(factor):
    if factor == 1:

        class Net(Pooled):
            def forward(self, x):
                return self.body(x)

            def body(self, x):
                return nn.functional.avg_pool2d(x, 16)

    else:

        class Net(Pooled):
            def forward(self, x):
                return self.body(x)

            def body(self, x):
                return nn.functional.avg_pool2d(x, 16) * 2

    return Net()


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


MAKERS = [Private, Buffered, Unpickled, hooked, helped, defaulted, closed]
MAKERS += [attributed, derived, parametrised]


@pytest.mark.parametrize("make", MAKERS)
def test_networks_that_compute_different_maps_do_not_share_them(
    photographs, settings, n_computed, make
):
    paths = photographs[0][:2]
    single, double, again = (
        FeatureMaps(make(factor), **settings).fit_transform(paths)
        for factor in (1.0, 2.0, 1.0)
    )
    np.testing.assert_allclose(double, 2 * single, rtol=1e-6)
    np.testing.assert_array_equal(again, single)
    assert n_computed == [2, 2]


# Modules of a network whose factor is in a place that its state does not show.
NETWORK = """
import threading
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16) * factor()
"""
IN_A_DICT = """
STATE = {"lock": threading.Lock(), "scale": 1.0}

def factor():
    with STATE["lock"]:
        return STATE["scale"]

def change(scale):
    STATE["scale"] = scale
"""
IN_AN_OBJECT = """
class State:
    def __init__(self):
        self.lock, self.scale = threading.Lock(), 1.0

STATE = State()

def factor():
    with STATE.lock:
        return STATE.scale

def change(scale):
    STATE.scale = scale
"""
IN_A_MODULE = """
import skdpnet_test_outer

def factor():
    return skdpnet_test_outer.factor()

def change(scale):
    skdpnet_test_outer.skdpnet_test_inner.SCALE = scale
"""
OUTER = """
import skdpnet_test_inner

def factor():
    return skdpnet_test_inner.SCALE
"""
INNER = "SCALE = 1.0\n"


@pytest.fixture(
    params=[IN_A_DICT, IN_AN_OBJECT, IN_A_MODULE], ids=["dict", "object", "module"]
)
def source(request, tmp_path, monkeypatch):
    """Write modules that define a network; return their folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "skdpnet_test_network.py").write_text(NETWORK + request.param)
    (folder / "skdpnet_test_outer.py").write_text(OUTER)
    (folder / "skdpnet_test_inner.py").write_text(INNER)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith("skdpnet_test_")]:
        del sys.modules[name]


def test_a_value_that_changes_at_run_time(photographs, settings, n_computed, source):
    network = importlib.import_module("skdpnet_test_network")
    extractor = FeatureMaps(network.Net(), **settings)
    single = extractor.transform(photographs[0][:2])
    network.change(2.0)
    np.testing.assert_array_equal(extractor.transform(photographs[0][:2]), 2 * single)
    network.change(1.0)
    np.testing.assert_array_equal(extractor.transform(photographs[0][:2]), single)
    assert n_computed == [2, 2]


def test_a_value_that_is_edited_on_disk(photographs, settings, source, tmp_path):
    script = f"""
import sys
import numpy as np
sys.path.insert(0, {str(source)!r})
from skdpnet import FeatureMaps
from skdpnet_test_network import Net
extractor = FeatureMaps(Net(), **{ {**settings, "memory": str(settings["memory"])} })
np.save(sys.argv[1], extractor.transform({photographs[0][:1]!r}))
"""
    maps = []
    for name in ("before.npy", "after.npy"):
        arguments = [sys.executable, "-B", "-c", script, str(tmp_path / name)]
        subprocess.run(arguments, check=True)
        maps.append(np.load(tmp_path / name))
        for file in source.glob("*.py"):
            file.write_text(file.read_text().replace("1.0", "2.0"))
    np.testing.assert_array_equal(maps[1], 2 * maps[0])
