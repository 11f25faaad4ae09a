"""The stages on feature maps: whitening, responses, training, explanation.

Each `prepare` makes the computations that are compared, ours and the plain ones, on
the same made maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.speed import counts, plain
from benchmarks.speed.counts import Work
from benchmarks.speed.sizes import Inputs, Size, make_inputs, on_device
from skdpnet import DPNetClassifier, best_regions, explain
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.maxima import part_maxima
from skdpnet.training.dataset import MapDataset
from skdpnet.training.net import Objective, build_net
from skdpnet.utils.devices import learning_dtype

__all__ = ["PREPARE", "Prepared", "Way"]

# Steps of an epoch that is timed through skorch.
_STEPS = 8
# Explanations cost the same whatever the classes, and a fit with few costs little.
_EXPLAINED_CLASSES = 10
_LR, _CLASSIFIER_LR = 2e-3, 0.1


class Way(NamedTuple):
    """One way to do a stage.

    Attributes
    ----------
    run : callable
        Without arguments.
    work : Work
        What it cannot do without.
    dtype : str
        Of its products.
    defined : float or None
        Products of the stage as its formulas have them; None: not told apart.
    """

    run: Callable[[], Any]
    work: Work
    dtype: str = "float32"
    defined: float | None = None


class Prepared(NamedTuple):
    """The ways of a stage, and what is compared.

    Attributes
    ----------
    ways : dict of str to Way
    pairs : list of (str, str)
        Names of a way and of the one that it is compared with: how many times as long
        the first takes is reported.
    notes : dict
        What else there is to know.
    """

    ways: dict[str, Way]
    pairs: list[tuple[str, str]]
    notes: dict


def prepare_whitening(size: Size, key: dict, device: torch.device) -> Prepared:
    """Whitening of maps: cells and norms of regions against all regions' descriptors.

    It works on arrays, on the processor.
    """
    inputs, grid = make_inputs(size), size.grid
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    work = counts.whitening(size)
    return Prepared(
        {
            "whitening": Way(lambda: inputs.whitening(inputs.maps, grid), work),
            "plain": Way(
                _quiet(lambda: plain.describe(raw, boxes, whiten)),
                counts.plain_regions(size),
            ),
        },
        [("plain", "whitening")],
        {},
    )


def prepare_responses(size: Size, key: dict, device: torch.device) -> Prepared:
    """Maxima of all parts over the regions, without gradients."""
    inputs, beta, grid = make_inputs(size), key["beta"], size.grid
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    cells, lengths, norms = on_device(inputs.whitened, device)
    offset, parts = on_device([inputs.whitening.offset, inputs.parts], device)
    half, on_gpu = learning_dtype("auto", device), device.type == "cuda"

    def ours(dtype: torch.dtype | None = None) -> torch.Tensor:
        inputs = cells, lengths, norms, offset, parts, grid
        return part_maxima(*inputs, beta=beta, dtype=dtype, kernels=on_gpu)[0]

    def from_maps():
        own = on_device(inputs.whitening(inputs.maps, grid), device)
        return part_maxima(*own, offset, parts, grid, beta=beta, kernels=on_gpu)[0]

    def plainly():
        return plain.maxima(plain.describe(raw, boxes, whiten), parts, beta)

    def mildly():
        regions = plain.average(cells, lengths, offset, grid)
        return plain.maxima(regions, parts, beta)

    work, given = counts.responses(size, beta), counts.plain_maxima(size, beta)
    ways = {
        "parts": Way(ours, work),
        "parts from maps": Way(from_maps, counts.whitening(size) + work),
        "plain": Way(plainly, counts.plain_regions(size) + given),
        "plain from cells": Way(mildly, counts.plain_regions(_of_cells(size)) + given),
    }
    pairs = [
        ("plain", "parts from maps"), ("plain", "parts"), ("plain from cells", "parts"),
    ]  # fmt: skip
    if half is not None:
        name = str(half).removeprefix("torch.")
        ways[f"parts, {name}"] = Way(lambda: ours(half), work, name)
        pairs.append(("plain from cells", f"parts, {name}"))
    found = {name: _quiet(way.run) for name, way in ways.items()}
    notes = {
        "largest_difference": {
            name: float((found[name]() - ours()).abs().max())
            for name in (found if key.get("check") else ())
        }
    }
    return Prepared(
        {name: way._replace(run=found[name]) for name, way in ways.items()},
        pairs,
        notes,
    )


def prepare_training(size: Size, key: dict, device: torch.device) -> Prepared:
    """Take a training step: forward, backward, Adam."""
    inputs, beta = make_inputs(size), key["beta"]
    raw, boxes, whiten = _plain_inputs(size, inputs, device)
    fields = on_device(inputs.whitened, device)
    offset, parts = on_device([inputs.whitening.offset, inputs.parts], device)
    (labels,) = on_device([inputs.labels], device)
    weights = torch.ones(size.images, device=device)
    work = counts.training(size, beta)
    given = counts.plain_maxima(size, beta) + counts.plain_learning(size)
    half = learning_dtype("auto", device)
    name = "float32" if half is None else str(half).removeprefix("torch.")

    def ours(dtype: torch.dtype | None, **constraints: float):
        model, objective = _model(size, inputs, beta, device, **constraints)
        model.learning_dtype = dtype
        optimizer = torch.optim.Adam(_rates(model))
        return lambda: _step(model, objective, optimizer, [fields], labels, weights)

    def plain_step(describe: Callable[[], torch.Tensor]):
        net = plain.PlainNet(parts, size.classes, beta).to(device)
        optimizer = torch.optim.Adam(_rates(net))
        return lambda: plain.step(net, optimizer, describe(), labels)

    defined = counts.defined_training(size, beta)
    ways = {"parts": Way(ours(half), work, name, defined)}
    if half is not None:
        ways["parts, float32"] = Way(ours(None), work, defined=defined)
    constraints = {"orthogonality": 0.1, "assignment": 0.1, "specificity": 0.1}
    ways["parts, all constraints"] = Way(ours(half, **constraints), work, name, defined)
    kept: list[torch.Tensor] = []

    def describe() -> torch.Tensor:
        return plain.describe(raw, boxes, whiten)

    def describe_once() -> torch.Tensor:
        if not kept:
            kept.append(describe())
        return kept[0]

    def average() -> torch.Tensor:
        return plain.average(*fields[:2], offset, size.grid)

    for own, regions, before in (
        ("plain", describe, counts.plain_regions(size)),
        ("plain, regions kept", describe_once, Work()),
        ("plain from cells", average, counts.plain_regions(_of_cells(size))),
    ):
        ways[own] = Way(plain_step(regions), before + given, defined=defined)
    plains = [own for own in ways if own.startswith("plain")]
    return Prepared(ways, [(own, "parts") for own in plains], {})


def prepare_skorch(size: Size, key: dict, device: torch.device) -> Prepared:
    """One epoch through skorch, against the same steps in a bare loop."""
    inputs = make_inputs(size)
    several = [np.concatenate([own] * _STEPS) for own in inputs.whitened]
    labels = np.tile(inputs.labels, _STEPS)
    dataset = MapDataset(
        [type(inputs.whitened)(*several)], labels, np.ones(len(labels), np.float32)
    ).settle(device)
    model, objective = _model(size, inputs, key["beta"], device)
    model.learning_dtype = learning_dtype("auto", device)
    net = build_net(
        model,
        objective,
        # Enough that the learning rates do not come to their end.
        max_epochs=10_000,
        lr=_LR,
        classifier_lr=_CLASSIFIER_LR,
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
    optimizer = torch.optim.Adam(_rates(bare_model))

    def bare() -> None:
        for batch in _batches(len(labels), size.images):
            given, (own, weights) = dataset.__getitems__(batch)
            maps = [[field.to(device) for field in one] for one in given["maps"]]
            _step(
                bare_model, bare_objective, optimizer, maps,
                own.to(device), weights.to(device),
            )  # fmt: skip

    work = counts.training(size, key["beta"]).times(_STEPS)
    dtype = str(model.learning_dtype or torch.float32).removeprefix("torch.")
    return Prepared(
        {
            "skorch": Way(lambda: net.partial_fit(dataset, epochs=1), work, dtype),
            "bare loop": Way(bare, work, dtype),
        },
        [("skorch", "bare loop")],
        {"steps": _STEPS},
    )


def prepare_explanation(size: Size, key: dict, device: torch.device) -> Prepared:
    """Explain one image, given its map, against the descriptor alone."""
    few = size.but(images=2 * _EXPLAINED_CLASSES)
    inputs = make_inputs(few)
    model = DPNetClassifier(
        "precomputed",
        n_parts_per_class=size.parts // _EXPLAINED_CLASSES,
        n_components=size.components,
        region_scales=size.scales,
        beta=key["beta"],
        max_epochs=0,
        device=str(device),
        random_state=0,
    ).fit(inputs.maps, np.arange(len(inputs.maps)) % _EXPLAINED_CLASSES)
    X, one = inputs.maps[:1], size.but(images=1, classes=_EXPLAINED_CLASSES)
    raw, boxes, whiten = _plain_inputs(one, inputs, device)
    (parts,) = on_device([model.parts_], device)
    if whiten is not None:
        # Fewer directions than asked for, where the few images span no more.
        whiten = plain.whitening_of(model.whitenings_[0], 0, device)
        one = one.but(components=model.parts_.shape[1])

    def plainly():
        return (plain.describe(raw, boxes, whiten) @ parts.T).max(dim=1)

    forward = counts.whitening(one) + counts.responses(one, key["beta"])
    work = counts.whitening(one) + counts.explanation(one)
    ways = {
        "transform": Way(lambda: model.transform(X), forward),
        "best_regions": Way(lambda: best_regions(model, X), work),
        "explain": Way(lambda: explain(model, X), work),
        "explain and heat map": Way(lambda: explain(model, X).heat_map(), work),
        "plain": Way(_quiet(plainly), work),
    }
    ours = ("best_regions", "explain", "explain and heat map")
    return Prepared(
        ways,
        [*((own, "transform") for own in ours), *(("plain", own) for own in ours)],
        {"classes": _EXPLAINED_CLASSES, "components": model.parts_.shape[1]},
    )


PREPARE: dict[str, Callable[[Size, dict, torch.device], Prepared]] = {
    "whitening": prepare_whitening,
    "responses": prepare_responses,
    "training": prepare_training,
    "skorch": prepare_skorch,
    "explanation": prepare_explanation,
}


def _quiet(run: Callable[[], Any]) -> Callable[[], Any]:
    """Compute without gradients."""
    return torch.inference_mode()(run)


def _plain_inputs(size: Size, inputs: Inputs, device: torch.device):
    """Return maps as networks give them, boxes and whitening, for the plain way."""
    maps = torch.from_numpy(inputs.maps[: size.images]).permute(0, 3, 1, 2)
    return (
        maps.contiguous().to(device),
        plain.boxes_of(size.grid, size.images, device),
        plain.whitening_of(inputs.whitening, size.components, device),
    )


def _of_cells(size: Size) -> Size:
    """Return the size of maps that are whitened already."""
    return size.but(depth=size.channels, components=None)


def _model(
    size: Size,
    inputs: Inputs,
    beta: float | None,
    device: torch.device,
    orthogonality: float = 0.0,
    assignment: float = 0.0,
    specificity: float = 0.0,
) -> tuple[PartModel, Objective]:
    """Make what a fit with the defaults trains, and its objective."""
    model = PartModel.from_arrays(
        [inputs.parts], [inputs.whitening.offset], [size.grid], size.classes, beta, 0.2
    ).to(device)
    model.assignment_temperature = 0.1 if assignment else None
    model.kernels = True
    owner = torch.arange(size.parts) * size.classes // size.parts
    objective = Objective(
        owner, 0.0005, 0.1, orthogonality, assignment, specificity, "absolute"
    )
    return model.train(), objective


def _rates(net: torch.nn.Module) -> list[dict]:
    classifier = list(net.classifier.parameters())
    others = [
        own for name, own in net.named_parameters() if not name.startswith("classifier")
    ]
    return [
        {"params": classifier, "lr": _CLASSIFIER_LR},
        {"params": others, "lr": _LR},
    ]


def _step(model, objective, optimizer, maps, labels, weights) -> None:
    optimizer.zero_grad()
    output = model(maps)
    sum(objective.terms(model, output, labels, weights).values()).backward()
    optimizer.step()


def _batches(n: int, batch: int) -> Iterator[list[int]]:
    order = torch.randperm(n).tolist()
    for start in range(0, n, batch):
        yield order[start : start + batch]
