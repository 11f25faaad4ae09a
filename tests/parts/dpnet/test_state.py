"""A trained net comes back from its state, and a forged state is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet import DPNetTransformer
from skdpnet.parts.dpnet.state import check_learned_state, model_from_state, net_state
from tests.parts.dpnet.made_maps import PLAIN, SETTINGS, two_maps


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = two_maps(30)
    return DPNetTransformer(**SETTINGS, **PLAIN, max_epochs=2).fit(X, y), X


def test_the_model_of_a_state_computes_the_same(fitted):
    estimator, X = fitted
    device = torch.device("cpu")
    state = net_state(estimator.net_)
    model = model_from_state(state, device).eval()
    maps = [
        whitening.tensor(X[name], grid, device)
        for whitening, name, grid in zip(
            estimator.whitenings_, X.dtype.names, estimator.grids_, strict=True
        )
    ]
    trained = estimator.net_.module_
    with torch.no_grad():
        assert torch.equal(model(maps).logits, trained(maps).logits)
        assert torch.equal(model.maxima(maps), trained.maxima(maps))
    assert (model.beta, model.dropout.p) == (trained.beta, trained.dropout.p)


def test_the_history_is_plain_values_of_each_epoch(fitted):
    estimator, _ = fitted
    history = net_state(estimator.net_)["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    assert [epoch["train_loss"] for epoch in history] == (
        estimator.history_[:, "train_loss"]
    )
    for epoch in history:
        assert {type(value) for value in epoch.values()} <= {bool, int, float, str}


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("parts_", np.ones((15, 17), np.float32), r"parts_ has shape \(15, 17\)"),
        ("coef_", np.ones((3, 14), np.float32), r"coef_ has shape \(3, 14\)"),
        ("intercept_", np.ones(2, np.float32), r"intercept_ has shape \(2,\)"),
        ("part_maps_", np.zeros(15, int), "part_maps_ leaves a map without parts"),
        ("weight", np.ones((2, 15), np.float32), "the net's weight has shape"),
        ("bias", np.ones(4, np.float32), "the net's bias has shape"),
        ("shift", np.ones(14, np.float32), "the net's shift has shape"),
        ("scale", np.ones(15, int), "the net's scale is not an array of real"),
        (
            "parts",
            [np.ones((6, 14), np.float32), np.ones((9, 17), np.float32)],
            "the net's parts has shape",
        ),
        ("parts", 3, "the net does not have parts for each map"),
        ("beta", -5.0, "the net's beta must be a number above 0"),
        ("beta", 1e39, "the net's beta must be a number above 0"),
        ("beta", float("nan"), "the net's beta must be"),
        ("dropout", 1.0, "the net's dropout must be"),
        ("seed", 2**80, "the net's seed must be"),
        ("seed", "0", "the net's seed must be"),
        ("n_iter_", 3, "the net's history does not hold"),
        ("n_iter_", -1, "the net's number of epochs must be"),
        ("history", [{"a": 1}], "the net's history does not hold"),
        ("history", [1, 2], "the net's history does not hold"),
        ("history", [{1: 1}, {}], "the net's history does not hold"),
    ],
)
def test_attributes_that_do_not_fit_are_named(fitted, name, value, message):
    state = fitted[0]._get_fitted_state()
    check_learned_state(state, 3)
    if name in state:
        changed = {**state, name: value}
    else:
        changed = {**state, "net_": {**state["net_"], name: value}}
    with pytest.raises(ValueError, match=message):
        check_learned_state(changed, 3)
