"""Dropout: what it sets to 0, and that its seed alone decides where."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from skdpnet import DPNetClassifier
from skdpnet.parts.dpnet.dropout import SeededDropout
from tests.parts.dpnet.made_maps import part_maps, quick


def seeded(p=0.3, seed=0) -> SeededDropout:
    dropout = SeededDropout(p)
    dropout.manual_seed(seed)
    return dropout


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_the_share_of_zeros_is_p_and_the_mean_stays(p):
    x = np.random.default_rng(0).uniform(1, 2, (500, 400)).astype(np.float32)
    out = seeded(p)(torch.from_numpy(x)).numpy()
    n_zeros = sum(int(value == 0) for value in out.flat)
    # Five standard deviations of the binomial distribution.
    assert abs(n_zeros - p * x.size) < 5 * (p * (1 - p) * x.size) ** 0.5
    np.testing.assert_allclose(out[out != 0], x[out != 0] / (1 - p), rtol=1e-6)
    # Neither the rows nor the columns are all alike.
    assert len(np.unique(out == 0, axis=0)) == 500
    assert len(np.unique(out == 0, axis=1).T) == 400


def test_gradients_pass_where_numbers_were_kept():
    x = torch.ones(20, 30, requires_grad=True)
    out = seeded(0.5)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_nothing_changes_outside_training_and_without_a_share():
    x = torch.ones(4, 5)
    assert seeded(0.5).eval()(x) is x
    assert seeded(0.0)(x) is x


def test_each_call_draws_anew_and_the_seed_repeats_the_draws():
    x = torch.ones(30, 40)
    dropout, other = seeded(), seeded(seed=1)
    first, second = dropout(x), dropout(x)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other(x))
    dropout.manual_seed(0)
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout(x), second)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_copies_draw_from_the_seed_and_do_not_share_a_generator(copied):
    x = torch.ones(30, 40)
    dropout = seeded(seed=3)
    first, second = dropout(x), dropout(x)
    dropout.manual_seed(3)
    dropout(x)
    twin = copied(dropout)
    assert torch.equal(twin(x), first)
    assert torch.equal(dropout(x), second)


def test_parts_are_dropped_in_training_only(monkeypatch):
    shares = {True: [], False: []}
    original = SeededDropout.forward

    def forward(self, x):
        out = original(self, x)
        shares[self.training].append(float((out == 0).double().mean()))
        return out

    monkeypatch.setattr(SeededDropout, "forward", forward)
    X, y, _ = part_maps(150)
    settings = {"dropout": 0.4, "validation_fraction": 0.3, "max_epochs": 5}
    model = quick(DPNetClassifier, **settings).fit(X, y)
    assert model.net_.module_.dropout.p == 0.4
    assert len(shares[True]) == 10
    assert abs(np.mean(shares[True]) - 0.4) < 0.05
    assert max(shares[False]) < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_has_a_generator_of_its_own():
    x = torch.ones(30, 40, device="cuda")
    before = torch.cuda.get_rng_state()
    dropout = seeded()
    first = dropout(x)
    assert 0.2 < float((first == 0).double().mean()) < 0.4
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.equal(pickle.loads(pickle.dumps(dropout))(x), first)
    assert dropout(x.cpu()).device.type == "cpu"
