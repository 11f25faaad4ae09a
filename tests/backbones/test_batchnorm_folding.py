"""Folding batch norms keeps the maps, and leaves layers that cannot be folded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet.backbones.batchnorm_folding import fold_batch_norms
from skdpnet.backbones.loading import load_backbone


def _n_norms(network: nn.Module) -> int:
    """Return the number of batch norms in a network."""
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def _norm(n: int) -> nn.BatchNorm2d:
    """Return a norm of n channels that changes its input."""
    random = np.random.default_rng(n)
    norm = nn.BatchNorm2d(n)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        values = torch.as_tensor(random.uniform(0.5, 2, n), dtype=torch.float32)
        tensor.data.copy_(values)
    return norm


class Net(nn.Module):
    """Layers that are used as the function `forward_of` says."""

    def __init__(self, forward_of, conv=None, norm=None):
        super().__init__()
        torch.manual_seed(0)
        self.forward_of = forward_of
        self.conv = nn.Conv2d(3, 4, 3) if conv is None else conv
        self.norm = _norm(4) if norm is None else norm
        self.again = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.forward_of(self, x)


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised in each call."""

    def forward(self, x):
        weight = self.weight / self.weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


@pytest.fixture
def image():
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_norm_becomes_weights_and_bias_by_the_formula(image):
    network = Net(lambda net, x: net.norm(net.conv(x))).eval()
    folded = fold_batch_norms(network, 16)
    assert _n_norms(folded) == 0
    norm, conv = network.norm, network.conv
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = conv.weight.double() * scale[:, None, None, None]
    bias = (conv.bias.double() - norm.running_mean) * scale + norm.bias
    torch.testing.assert_close(folded.conv.weight.double(), weight, rtol=1e-6, atol=0)
    torch.testing.assert_close(folded.conv.bias.double(), bias, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        expected = nn.functional.conv2d(image.double(), weight, bias)
        torch.testing.assert_close(
            folded(image).double(), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    "forward_of",
    [
        pytest.param(lambda n, x: n.norm(y := n.conv(x)) + y, id="output used again"),
        pytest.param(lambda n, x: n.norm(n.again(n.again(n.conv(x)))), id="conv twice"),
        pytest.param(lambda n, x: n.norm(n.again(n.norm(n.conv(x)))), id="norm twice"),
        pytest.param(lambda n, x: n.norm(n.conv(x).relu()), id="another layer between"),
        pytest.param(lambda n, x: (n.norm(y := n.conv(x)), y), id="output returned"),
    ],
)
def test_layers_that_cannot_be_folded_stay(image, forward_of):
    network = Net(forward_of).eval()
    folded = fold_batch_norms(network, 16)
    assert _n_norms(folded) == 1
    with torch.no_grad():
        torch.testing.assert_close(folded(image), network(image))


def test_convolutions_that_change_their_weights_are_left_alone():
    network = Net(lambda net, x: net.norm(net.conv(x)), conv=Standardised(3, 4, 3))
    assert fold_batch_norms(network.eval(), 16) is network


def test_an_activation_inside_a_norm_stays(image):
    from timm.layers import BatchNormAct2d

    norm = BatchNormAct2d(4, act_layer=nn.ReLU6)
    norm.load_state_dict(_norm(4).state_dict())
    network = Net(lambda net, x: net.again(net.norm(net.conv(x))), norm=norm).eval()
    folded = fold_batch_norms(network, 16)
    assert _n_norms(folded) == 0
    with torch.no_grad():
        torch.testing.assert_close(folded(image), network(image))
        negative = network.norm(network.conv(image) - 100)
    assert (negative == 0).all(), "without its activation this would be negative"


def test_the_original_network_is_not_changed(image):
    network = Net(lambda net, x: net.norm(net.conv(x))).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    fold_batch_norms(network, 16)
    assert torch.equal(torch.get_rng_state(), random)
    assert _n_norms(network) == 1
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    assert not network.conv._forward_hooks and not network.norm._forward_pre_hooks


@pytest.mark.parametrize(
    ("name", "n_left"),
    [("efficientnet_lite0", 0), ("efficientnet_lite2", 0), ("resnet50", 0)],
)
def test_no_norm_is_left_in_named_networks(monkeypatch, name, n_left):
    from torchvision import models

    get_model = models.get_model
    monkeypatch.setattr(models, "get_model", lambda n, weights: get_model(n))
    network = load_backbone(name, 64, torch.device("cpu"), (8, 16, 32)).network
    # timm's head has a norm, which comes after the last map and is never used.
    unused = 1 if name.startswith("efficientnet") else 0
    assert _n_norms(network) == n_left + unused
    load_backbone.__globals__["_load_named"].cache_clear()
