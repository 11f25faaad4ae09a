"""The stages on feature maps: whitening, responses, training and explanation.

For each stage a function prepares the computations that are compared: those of this
package, and those of plain code (`plain`), on the same random maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.speed import counts, plain
from benchmarks.speed.counts import Work
from benchmarks.speed.sizes import Inputs, Size, make_inputs, to_device
from skdpnet import DPNetClassifier, best_regions, explain
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.dpnet.objective import Objective
from skdpnet.parts.maxima import part_maxima
from skdpnet.training.dataset import MapDataset
from skdpnet.training.net import build_net
from skdpnet.training.score_losses import CrossEntropy
from skdpnet.utils.devices import learning_dtype

__all__ = ["PREPARE", "Comparison", "Way"]

# Number of steps in the epoch that is timed through skorch.
_STEPS = 8
# Few classes: the cost of a fit grows with them, and that of explanations does not.
_EXPLAINED_CLASSES = 10
_LR = 2e-3


class Way(NamedTuple):
    """One way to compute a stage, with this package or with plain code.

    Attributes
    ----------
    run : callable
        It takes no arguments.
    work : Work
        The operations and bytes that it cannot do without.
    dtype : str
        The dtype of its products.
    defined : float or None
        Number of operations in the products of the stage's formulas; None: unknown.
    """

    run: Callable[[], Any]
    work: Work
    dtype: str = "float32"
    defined: float | None = None


class Comparison(NamedTuple):
    """The ways of a stage, and which of them are compared.

    Attributes
    ----------
    ways : dict of str to Way
    pairs : list of (str, str)
        Names of two ways; the time of the first over that of the second is reported.
    notes : dict
        Further results of the stage.
    """

    ways: dict[str, Way]
    pairs: list[tuple[str, str]]
    notes: dict


def prepare_whitening(size: Size, key: dict, device: torch.device) -> Comparison:
    """Prepare the descriptors of all regions, from NumPy arrays to NumPy arrays.

    The plain code starts and ends on the device.
    """
    inputs, grid = make_inputs(size), size.grid
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    work = counts.whitening(size)
    return Comparison(
        {
            "whitening": Way(
                lambda: inputs.whitening(inputs.maps, grid, device=device), work
            ),
            "plain": Way(
                _without_gradients(lambda: plain.describe(raw, boxes, whiten)),
                counts.plain_regions(size),
            ),
        },
        [("plain", "whitening")],
        {},
    )


def prepare_responses(size: Size, key: dict, device: torch.device) -> Comparison:
    """Prepare the maxima of all parts over the regions, without gradients."""
    inputs, beta, grid = make_inputs(size), key["beta"], size.grid
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    regions, parts = to_device([inputs.regions, inputs.parts], device)
    half = learning_dtype("auto", device)

    def package(dtype: torch.dtype | None = None) -> torch.Tensor:
        return part_maxima(regions, parts, beta=beta, dtype=dtype)[0]

    def package_from_maps() -> torch.Tensor:
        described = inputs.whitening.tensor(inputs.maps, grid, device)
        return part_maxima(described, parts, beta=beta)[0]

    def plain_from_maps() -> torch.Tensor:
        return plain.maxima(plain.describe(raw, boxes, whiten), parts, beta)

    work, plain_work = counts.responses(size, beta), counts.plain_maxima(size, beta)
    ways = {
        "parts": Way(package, work),
        "parts from maps": Way(package_from_maps, counts.whitening(size) + work),
        "plain": Way(plain_from_maps, counts.plain_regions(size) + plain_work),
        "plain from regions": Way(
            lambda: plain.maxima(regions, parts, beta), plain_work
        ),
    }
    pairs = [("plain", "parts from maps"), ("plain from regions", "parts")]
    if half is not None:
        name = str(half).removeprefix("torch.")
        ways[f"parts, {name}"] = Way(lambda: package(half), work, name)
        pairs.append(("plain from regions", f"parts, {name}"))
    runs = {name: _without_gradients(way.run) for name, way in ways.items()}
    notes = {
        "largest_difference": {
            name: float((runs[name]() - package()).abs().max())
            for name in (runs if key.get("check") else ())
        }
    }
    return Comparison(
        {name: way._replace(run=runs[name]) for name, way in ways.items()},
        pairs,
        notes,
    )


def prepare_training(size: Size, key: dict, device: torch.device) -> Comparison:
    """Prepare a training step: forward, backward and Adam."""
    inputs, beta = make_inputs(size), key["beta"]
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    regions, parts, labels = to_device(
        [inputs.regions, inputs.parts, inputs.labels], device
    )
    weights = torch.ones(size.images, device=device)
    work = counts.training(size, beta)
    kept_work = counts.plain_maxima(size, beta) + counts.plain_learning(size)
    half = learning_dtype("auto", device)
    name = "float32" if half is None else str(half).removeprefix("torch.")

    def package(dtype: torch.dtype | None, **constraints: float):
        model, objective = _model(size, inputs, beta, device, **constraints)
        model.learning_dtype = dtype
        optimizer = torch.optim.Adam(model.parameters(), lr=_LR)
        return lambda: _step(model, objective, optimizer, [regions], labels, weights)

    def plain_step(maxima: Callable, describe: Callable[[], torch.Tensor]):
        net = plain.PlainNet(parts, size.classes, beta, maxima).to(device)
        optimizer = torch.optim.Adam(net.parameters(), lr=_LR)
        return lambda: plain.step(net, optimizer, describe(), labels)

    defined = counts.defined_training(size, beta)
    ways = {"parts": Way(package(half), work, name, defined)}
    if half is not None:
        ways["parts, float32"] = Way(package(None), work, defined=defined)
    constraints = {"orthogonality": 0.1, "assignment": 0.1, "specificity": 0.1}
    constrained = package(half, **constraints)
    ways["parts, all constraints"] = Way(constrained, work, name, defined)
    plain_ways = {
        "plain": (
            plain_step(plain.maxima, lambda: plain.describe(raw, boxes, whiten)),
            counts.plain_regions(size) + kept_work,
        ),
        "plain from regions": (plain_step(plain.maxima, lambda: regions), kept_work),
        "checkpointed": (
            plain_step(plain.checkpointed_maxima, lambda: regions),
            counts.checkpointed_training(size, beta),
        ),
    }
    for name, (run, way_work) in plain_ways.items():
        ways[name] = Way(run, way_work, defined=defined)
    return Comparison(ways, [(name, "parts") for name in plain_ways], {})


def prepare_skorch(size: Size, key: dict, device: torch.device) -> Comparison:
    """Prepare an epoch through skorch, and the same steps in a bare loop."""
    inputs = make_inputs(size)
    regions = np.concatenate([inputs.regions] * _STEPS)
    labels = np.tile(inputs.labels, _STEPS)
    weights = np.ones(len(labels), np.float32)
    dataset = MapDataset([regions], labels, weights).move_to_gpu(device)
    model, objective = _model(size, inputs, key["beta"], device)
    model.learning_dtype = learning_dtype("auto", device)
    net = build_net(
        model,
        objective,
        # More than are ever run, so that learning rates stay above 0.
        max_epochs=10_000,
        lr=_LR,
        batch_size=size.images,
        decay=True,
        valid=None,
        n_iter_no_change=1,
        callbacks=None,
        net_params=None,
        device=device,
        verbose=0,
        seed=0,
    ).initialize()
    bare_model, bare_objective = _model(size, inputs, key["beta"], device)
    bare_model.learning_dtype = model.learning_dtype
    optimizer = torch.optim.Adam(bare_model.parameters(), lr=_LR)

    def bare() -> None:
        for batch in _batches(len(labels), size.images):
            X, (y, weights) = dataset.__getitems__(batch)
            _step(
                bare_model, bare_objective, optimizer,
                [regions.to(device) for regions in X["maps"]],
                y.to(device), weights.to(device),
            )  # fmt: skip

    work = counts.training(size, key["beta"]).times(_STEPS)
    dtype = str(model.learning_dtype or torch.float32).removeprefix("torch.")
    return Comparison(
        {
            "skorch": Way(lambda: net.partial_fit(dataset, epochs=1), work, dtype),
            "bare loop": Way(bare, work, dtype),
        },
        [("skorch", "bare loop")],
        {"steps": _STEPS},
    )


def prepare_explanation(size: Size, key: dict, device: torch.device) -> Comparison:
    """Prepare the explanation of an image from its map, and its descriptor alone."""
    few = size.replace(images=2 * _EXPLAINED_CLASSES)
    inputs = make_inputs(few)
    model = DPNetClassifier(
        "precomputed",
        n_parts_per_class=max(1, size.parts // _EXPLAINED_CLASSES),
        n_components=size.components,
        region_scales=size.scales,
        foreground=None,
        beta=key["beta"],
        context=False,
        max_epochs=0,
        device=str(device),
        random_state=0,
    ).fit(inputs.maps, np.arange(len(inputs.maps)) % _EXPLAINED_CLASSES)
    X, single = inputs.maps[:1], size.replace(images=1, parts=len(model.parts_))
    raw, boxes, whiten = _plain_inputs(single, inputs, device)
    (parts,) = to_device([model.parts_], device)
    if whiten is not None:
        # The few images may span fewer dimensions than `components`.
        whiten = plain.whitening_of(model.whitenings_[0], 0, device)
        single = single.replace(components=model.parts_.shape[1])

    def plain_maxima():
        return (plain.describe(raw, boxes, whiten) @ parts.T).max(dim=1)

    forward = counts.whitening(single) + counts.responses(single, key["beta"])
    work = counts.whitening(single) + counts.explanation(single)
    ways = {
        "transform": Way(lambda: model.transform(X), forward),
        "best_regions": Way(lambda: best_regions(model, X), work),
        "explain": Way(lambda: explain(model, X), work),
        "explain and heat map": Way(lambda: explain(model, X).heat_map(), work),
        "plain": Way(_without_gradients(plain_maxima), work),
    }
    explained = ("best_regions", "explain", "explain and heat map")
    pairs = [(name, "transform") for name in explained]
    return Comparison(
        ways,
        [*pairs, *(("plain", name) for name in explained)],
        {"classes": _EXPLAINED_CLASSES, "components": model.parts_.shape[1]},
    )


PREPARE: dict[str, Callable[[Size, dict, torch.device], Comparison]] = {
    "whitening": prepare_whitening,
    "responses": prepare_responses,
    "training": prepare_training,
    "skorch": prepare_skorch,
    "explanation": prepare_explanation,
}


def _without_gradients(run: Callable[[], Any]) -> Callable[[], Any]:
    """Return a computation that records no gradients."""
    return torch.inference_mode()(run)


def _plain_inputs(size: Size, inputs: Inputs, device: torch.device):
    """Return maps, boxes and whitening as `plain.describe` takes them."""
    maps = torch.from_numpy(inputs.maps[: size.images]).permute(0, 3, 1, 2)
    return (
        maps.contiguous().to(device),
        plain.boxes_of(size.grid, size.images, device),
        plain.whitening_of(inputs.whitening, size.components, device),
    )


def _model(
    size: Size,
    inputs: Inputs,
    beta: float | None,
    device: torch.device,
    orthogonality: float = 0.0,
    assignment: float = 0.0,
    specificity: float = 0.0,
) -> tuple[PartModel, Objective]:
    """Return the model that a fit with default settings trains, and its objective."""
    model = PartModel.from_arrays([inputs.parts], size.classes, beta, 0.2).to(device)
    model.assignment_temperature = 0.1 if assignment else None
    # With weights of 0, all gradients would be 0.
    V = np.random.default_rng(0).normal(size=(size.classes, size.parts))
    model.set_classifier(V.astype(np.float32), np.zeros(size.classes, np.float32))
    part_classes = torch.arange(size.parts) * size.classes // size.parts
    weights = {
        "orthogonality": orthogonality,
        "assignment": assignment,
        "specificity": specificity,
    }
    objective = Objective(part_classes, weights, 0.0005, CrossEntropy(0.1), "absolute")
    return model.train(), objective


def _step(model, objective, optimizer, maps, labels, weights) -> None:
    optimizer.zero_grad()
    output = model(maps)
    sum(objective.terms(model, output, labels, weights).values()).backward()
    optimizer.step()


def _batches(n: int, batch: int) -> Iterator[list[int]]:
    order = torch.randperm(n).tolist()
    for start in range(0, n, batch):
        yield order[start : start + batch]
