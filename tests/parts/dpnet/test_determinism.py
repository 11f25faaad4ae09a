"""One seed gives one model, whatever else draws random numbers in the process."""

from __future__ import annotations

import copy
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer
from tests.parts.dpnet.made_maps import quick

BOTH = pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])
HELD_OUT = pytest.mark.parametrize("validation_fraction", [None, 0.3])


def classifier(**params) -> DPNetClassifier:
    return quick(DPNetClassifier, **{"dropout": 0.2, "max_epochs": 3, **params})


def global_states() -> list:
    """The states of the generators of torch, NumPy and Python."""
    words = np.random.get_state()
    states = [torch.get_rng_state().tolist(), words[1].tolist(), *words[2:]]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state().tolist())
    return [*states, random.getstate()]


def assert_same_model(first, second):
    for name in ("parts_", "coef_", "intercept_"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@HELD_OUT
def test_fits_in_concurrent_threads_are_the_fit_alone(train, validation_fraction):
    settings = {"validation_fraction": validation_fraction}
    alone = classifier(**settings).fit(*train[:2])
    without = classifier(**settings, dropout=0.0).fit(*train[:2])
    assert np.abs(alone.parts_ - without.parts_).max() > 1e-4
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(classifier(**settings, random_state=seed).fit, *train[:2])
            for seed in (0, 0, 1, 0, 0)
        ]
        models = [job.result() for job in jobs]
    other = models.pop(2)
    assert np.abs(alone.parts_ - other.parts_).max() > 1e-4
    for model in models:
        assert_same_model(model, alone)


@BOTH
@HELD_OUT
def test_fits_leave_the_global_generators_alone(cls, train, validation_fraction):
    model = quick(
        cls, max_epochs=2, dropout=0.5, validation_fraction=validation_fraction
    )
    before = global_states()
    model.fit(*train[:2])
    assert global_states() == before
    model.partial_fit(*train[:2])
    assert global_states() == before
    quick(cls, dropout=0.5).partial_fit(*train[:2])
    assert global_states() == before


@HELD_OUT
def test_fits_do_not_depend_on_the_global_generators(train, validation_fraction):
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        model = classifier(validation_fraction=validation_fraction).fit(*train[:2])
        models.append(model.partial_fit(*train[:2]))
    assert_same_model(*models)


def test_fitting_on_the_cpu_seeds_no_global_generator(train, monkeypatch):
    def refuse(*args):
        raise AssertionError("a global generator was seeded")

    for module, name in (
        (torch, "manual_seed"),
        (torch.random, "manual_seed"),
        (torch.cuda, "manual_seed_all"),
        (torch.xpu, "manual_seed_all"),
        (torch.mps, "manual_seed"),
    ):
        monkeypatch.setattr(module, name, refuse)
    classifier(device="cpu").fit(*train[:2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fitting_does_not_change_the_generator_of_the_gpu(train, device):
    before = global_states()
    first, second = (
        classifier(device=device, dropout=0.5).fit(*train[:2]) for _ in range(2)
    )
    assert global_states() == before
    np.testing.assert_allclose(first.parts_, second.parts_, atol=1e-4)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
@HELD_OUT
def test_a_copy_goes_on_as_the_model_does(train, copied, validation_fraction):
    X, y, _ = train
    model = classifier(validation_fraction=validation_fraction).fit(X, y)
    for _ in range(2):
        model.partial_fit(X[:90], y[:90])
        twin = copied(model)
        model.partial_fit(X[90:], y[90:])
        assert_same_model(twin.partial_fit(X[90:], y[90:]), model)


def test_loaded_models_go_on_alike(train, tmp_path):
    X, y, _ = train
    classifier().fit(X, y).save(tmp_path / "model")
    first, second = (
        skdpnet.load(tmp_path / "model", device="cpu").partial_fit(X, y)
        for _ in range(2)
    )
    assert_same_model(first, second)


class Dtypes(TorchDispatchMode):
    """Collects the dtypes of the results of torch's operators."""

    def __init__(self):
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        tensors = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        self.seen |= {tensor.dtype for tensor in tensors}
        return result


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_float32_uses_no_smaller_numbers_whatever_the_processor_has(
    train, monkeypatch, penalty
):
    capabilities = {"avx512_bf16": True, "amx_bf16": True}
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: capabilities, raising=False
    )

    def dtypes(precision):
        with Dtypes() as dtypes:
            classifier(
                max_epochs=1, precision=precision, assignment_weight=penalty
            ).fit(*train[:2])
        return dtypes.seen

    small = {torch.bfloat16, torch.float16}
    assert torch.float32 in dtypes("float32")
    assert not dtypes("float32") & small
    assert torch.bfloat16 in dtypes("auto")
