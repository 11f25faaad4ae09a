"""Modules of all kinds give the maps that they would give, or are named."""

from __future__ import annotations

import copy
import functools
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from skdpnet import DPNetClassifier, FeatureMaps

IMAGES = np.random.RandomState(0).randint(0, 255, (4, 32, 32, 3), np.uint8)
EXAMPLE = torch.zeros(1, 3, 32, 32)


class Network(nn.Module):
    """A small network whose batch norm and dropout depend on the mode."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 6, 3, stride=8)
            self.norm = nn.BatchNorm2d(6)
            self.norm.running_mean.uniform_()
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, 2)

    def features(self, x):
        return self.drop(torch.relu(self.norm(self.conv(x))))

    def scaled(self, x, factor):
        return factor * self.features(x)

    def forward(self, x):
        return self.features(x)


def maps_of(network, **params) -> np.ndarray:
    return FeatureMaps(network, image_size=32, **params).fit_transform(IMAGES)


@pytest.fixture(scope="module")
def expected():
    return maps_of(Network())


class Converting(nn.Module):
    """A module that takes float32 images, and computes in another precision."""

    def __init__(self, dtype):
        super().__init__()
        self.network, self.dtype = Network().to(dtype), dtype

    def forward(self, x):
        return self.network(x.to(self.dtype))


def mixed() -> nn.Module:
    network = Network()
    network.conv.half()
    return network


def exported() -> nn.Module:
    images = torch.zeros(4, 3, 32, 32)
    return torch.export.export(Network().eval(), (images,)).module()


KINDS = {
    "half": lambda: Network().half(),
    "bfloat16": lambda: Network().bfloat16(),
    "double": lambda: Network().double(),
    "mixed": mixed,
    "converts to double": lambda: Converting(torch.double),
    "converts to half": lambda: Converting(torch.half),
    "script": lambda: torch.jit.script(Network()),
    "script of half": lambda: torch.jit.script(Network().half()),
    "frozen script": lambda: torch.jit.freeze(torch.jit.script(Network().eval())),
    "trace": lambda: torch.jit.trace(Network().eval(), EXAMPLE),
    "trace of double": lambda: torch.jit.trace(
        Network().double().eval(), EXAMPLE.double()
    ),
    "symbolic trace": lambda: torch.fx.symbolic_trace(Network()),
    "exported": exported,
    "compiled": lambda: torch.compile(Network(), backend="eager"),
    "compiled half": lambda: torch.compile(Network().half(), backend="eager"),
    "DataParallel": lambda: nn.DataParallel(Network()),
    "without gradients": lambda: Network().requires_grad_(False),
    "method": lambda: Network().features,
    "half method": lambda: Network().half().features,
    "partial method": lambda: functools.partial(Network().scaled, factor=1.0),
    "partial module": lambda: functools.partial(Network()),
    "dict": lambda: nn.Sequential(Network(), Named()),
}


class Named(nn.Module):
    def forward(self, x):
        return {"maps": x}


@pytest.mark.parametrize(
    "kind, precision",
    [
        *((kind, "float32") for kind in KINDS),
        *((kind, "bfloat16") for kind in KINDS if not kind.startswith("converts")),
    ],
)
def test_modules_of_all_kinds_give_their_maps(kind, precision, expected):
    with warnings.catch_warnings():
        # Versions of torch deprecate TorchScript and ways of export.
        warnings.simplefilter("ignore")
        got = maps_of(KINDS[kind](), precision=precision)
    # As far apart as bfloat16, in which some of them have their weights.
    np.testing.assert_allclose(
        got.astype(np.float32), expected, atol=0.03 * np.abs(expected).max()
    )


@pytest.mark.parametrize("kind", ["script", "half", "method", "partial method"])
def test_they_are_cached_and_fitted_as_other_modules(kind, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = KINDS[kind]()
    first = maps_of(network, memory=tmp_path)
    n_files = len([path for path in tmp_path.rglob("*") if path.is_file()])
    np.testing.assert_array_equal(maps_of(network, memory=tmp_path), first)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == n_files
    settings = {"max_epochs": 1, "n_parts_per_class": 2, "random_state": 0}
    model = DPNetClassifier(network, image_size=32, **settings)
    model.fit(IMAGES, ["a", "b"] * 2)
    assert set(model.predict(IMAGES)) <= {"a", "b"}


def test_methods_of_a_module_have_maps_of_their_own_in_the_cache(tmp_path):
    network = Network()
    one = maps_of(network.features, memory=tmp_path)
    double = functools.partial(network.scaled, factor=2.0)
    np.testing.assert_allclose(maps_of(double, memory=tmp_path), 2 * one, rtol=1e-6)


def old_weight_norm(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(network.conv)


def pruned(network):
    prune.l1_unstructured(network.conv, "weight", 0.5)


REPARAMETRISED = {
    "weight_norm": old_weight_norm,
    "spectral_norm": lambda network: nn.utils.spectral_norm(network.conv),
    "new weight_norm": lambda network: parametrizations.weight_norm(network.conv),
    "new spectral_norm": lambda network: parametrizations.spectral_norm(network.conv),
    "pruned": pruned,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.double])
@pytest.mark.parametrize("kind", REPARAMETRISED)
def test_weights_that_are_computed_from_others(kind, dtype):
    network = Network()
    REPARAMETRISED[kind](network)
    network.eval().to(dtype)
    with torch.no_grad():
        pixels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        own = network(((pixels - mean) / deviation).to(dtype))
    got = maps_of(network, precision="float32")
    np.testing.assert_allclose(got, own.permute(0, 2, 3, 1), rtol=1e-3, atol=1e-4)


def test_activations_that_a_module_keeps_do_not_matter(expected):
    network = Network().eval()
    network.kept, network.last = [], {}

    def keep(module, args, output):
        module.kept.append(output)
        module.last["conv"] = output

    network.register_forward_hook(keep)
    network(EXAMPLE)
    assert not network.kept[0].is_leaf
    np.testing.assert_array_equal(maps_of(network), expected)


@pytest.mark.parametrize("attribute", ["forward", "features"])
def test_a_module_in_training_mode_is_neither_used_so_nor_changed(attribute, expected):
    network = Network().train()
    before = copy.deepcopy(network.state_dict())
    network_or_method = network if attribute == "forward" else network.features
    np.testing.assert_array_equal(maps_of(network_or_method), expected)
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def _functions(network):
    """Functions that call a network, found in their closure, names or attributes."""

    def default(x, net=network):
        return net(x)

    class Calling:
        def __init__(self):
            self.net = network

        def __call__(self, x):
            return self.net(x)

    return [
        lambda x: network(x),
        default,
        functools.partial(lambda net, x: net(x), network),
        Calling(),
    ]


@pytest.mark.parametrize("which", range(4))
def test_a_function_that_calls_a_module_in_training_mode_is_refused(which, expected):
    network = Network().train()
    function = _functions(network)[which]
    with pytest.raises(ValueError, match=r"Network in training mode.*eval\(\)"):
        maps_of(function)
    network.eval()
    np.testing.assert_array_equal(maps_of(function), expected)


class Uncopyable(Network):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize(
    "network, message",
    [
        (Network().to("meta"), r"'Network' .*'conv\.weight'.*meta.*to_empty"),
        (
            nn.Sequential(nn.LazyConv2d(4, 3, stride=8)),
            r"'Sequential' .*'0\.weight'.*Call the network once",
        ),
        (Uncopyable(), r"'Uncopyable' cannot be copied.*lock.*pass a function"),
        (Network().to("meta").features, r"'Network\.features' .*meta"),
        (nn.Conv2d(1, 4, 3, stride=8), r"'Conv2d' fails on .*3×32×32.*1 channels"),
        (nn.Conv2d(3, 4, 64), "'Conv2d' fails on .*image_size"),
        (nn.ModuleList([Network()]), "'ModuleList' fails on "),
        (nn.Conv2d, "'Conv2d' fails on "),
        (Failing(AssertionError()), "'Failing' fails on .*AssertionError"),
        (Failing(KeyError("x")), "'Failing' fails on .*KeyError: 'x'"),
        (Failing(ValueError("odd")), "'Failing' fails on .*ValueError: odd"),
        (Network().state_dict(), "module or a callable, got an object of type Ordered"),
    ],
    ids=str,
)
def test_a_module_that_cannot_work_is_named_with_the_cure(network, message):
    with pytest.raises(ValueError, match=message):
        maps_of(network)


def test_a_lack_of_memory_is_told_as_it_is():
    for error in (MemoryError("all"), torch.OutOfMemoryError("all")):
        with pytest.raises(type(error)):
            maps_of(Failing(error))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("script", [torch.jit.script, lambda n: _traced(n)])
def test_frozen_weights_of_another_precision_are_named(dtype, script):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.freeze(script(Network().to(dtype).eval()))
    with pytest.raises(ValueError, match=rf"'\w+' is a frozen.*{dtype}.*float\(\)"):
        maps_of(network)


def _traced(network):
    return torch.jit.trace(network, EXAMPLE.to(network.conv.weight.dtype))


def test_modules_made_in_inference_mode_give_their_maps(expected):
    with torch.inference_mode():
        network = Network().eval()
    np.testing.assert_array_equal(maps_of(network), expected)
