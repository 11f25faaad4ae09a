"""Fingerprints change with weights and settings, and agree between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet.backbones.fingerprint import fingerprint


class Network(nn.Module):
    """Attributes of many types, some of which could differ between processes."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        for parameter in self.layer.parameters():
            nn.init.ones_(parameter)
        self.register_buffer("mean", torch.arange(3.0), persistent=False)
        self.tensor = torch.arange(3.0)
        self.array = np.arange(4)
        self.threshold = 0.5
        self.config = {"sides": [8, 16], "scale": np.float32(2)}
        self.hidden = [nn.BatchNorm1d(2).half()]
        self.words = {"alpha", "beta", "gamma", "delta", "epsilon"}
        self.functions = [torch.relu, lambda x: x]
        self.this = [self]
        self.config["config"] = self.config
        self.register_forward_hook(lambda module, inputs, maps: maps)
        # Cannot be pickled.
        self.lock = threading.Lock()

    def forward(self, x):
        return x


CHANGES = {
    "parameter": lambda n: n.layer.weight.data.mul_(1 + 1e-6),
    "buffer": lambda n: n.mean.add_(1),
    "tensor": lambda n: n.tensor.mul_(2),
    "shape": lambda n: n.tensor.resize_(3, 1),
    "array": lambda n: n.array.fill(1),
    "number": lambda n: setattr(n, "threshold", 0.6),
    "type": lambda n: setattr(n, "threshold", "0.5"),
    "item of a list": lambda n: n.config["sides"].append(32),
    "array's number": lambda n: n.config.update(scale=np.float32(3)),
    "key": lambda n: n.config.update(stride=n.config.pop("scale")),
    "module in a list": lambda n: n.hidden[0].running_mean.add_(1),
    "attribute of a layer": lambda n: setattr(n.hidden[0], "eps", 1e-3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_weights_or_settings_changes_it(change):
    network = Network()
    before = fingerprint(network)
    CHANGES[change](network)
    assert fingerprint(network) != before != ""


def test_networks_made_alike_have_the_same():
    assert fingerprint(Network()) == fingerprint(Network())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated")
def test_tensors_of_torchscript_count():
    network = torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))
    prints = {fingerprint(network)}
    for tensor in network.state_dict().values():
        assert fingerprint(network) in prints
        tensor.add_(1)
        prints.add(fingerprint(network))
    assert len(prints) == 1 + len(network.state_dict())
    assert "" not in prints


def test_all_processes_compute_the_same():
    script = """
import torch
from skdpnet.backbones.loading import load_backbone
from skdpnet.backbones.fingerprint import fingerprint
from tests.backbones.test_fingerprint import Network
named = load_backbone("efficientnet_lite0", 64, torch.device("cpu"))
print(fingerprint(Network()), named.fingerprint)
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
    assert [len(digits) for digits in prints.split()] == [32] * 2


def test_feature_extractors_of_torchvision_differ():
    from torchvision.models import squeezenet1_1
    from torchvision.models.feature_extraction import create_feature_extractor

    network = squeezenet1_1().eval()
    prints = [
        fingerprint(create_feature_extractor(network, [name]))
        for name in ("features.11", "features.12", "features.12")
    ]
    assert prints[0] != prints[1] == prints[2] != ""


def test_networks_with_tensors_that_cannot_be_read_have_none():
    network = Network()
    network.tensor = network.tensor.to_sparse()
    assert fingerprint(network) == ""
    assert fingerprint(nn.LazyLinear(3)) == ""
