"""One measurement: times of all ways of a stage, then the peak memory of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from benchmarks.speed import image_stages, map_stages
from benchmarks.speed.fit import measure_fit
from benchmarks.speed.machine import describe, dtypes, products, rates, references
from benchmarks.speed.map_stages import Comparison
from benchmarks.speed.sizes import Size
from benchmarks.speed.timing import (
    MeasurementError,
    in_fresh_process,
    median_ratio,
    peak_bytes,
    time_in_turn,
)

__all__ = ["measure", "measure_machine"]

# Number of images of a first run, which loads libraries.
_FEW = 2
# Ways with this prefix need the most memory, and are left out where it is too much.
_PLAIN = "plain"


def measure(key: dict, local: dict, repeats: int, memory: bool) -> dict:
    """Measure a stage at one size, in new processes.

    Parameters
    ----------
    key : dict
        ``stage``, ``device``, and what the stage's function in `PREPARE` needs.
    local : dict
        Folders on this machine, which are not part of the key.
    repeats : int
        Number of rounds.
    memory : bool
        Whether peak memory is measured too, in another new process for each way.

    Returns
    -------
    dict
        ``key`` and ``repeats``; for a fit the entries of `measure_fit`; for other
        stages ``rates``, ``ways``, ``ratios`` and ``notes``. Ways that need more memory
        than there is have an ``error`` in place of times.
    """
    row = {"key": key, "repeats": repeats}
    settings = {**key, **local}
    if key["stage"] == "fit":
        return {**row, **in_fresh_process(measure_fit, settings, repeats)}
    try:
        times = in_fresh_process(_times, settings, repeats, False)
    except MeasurementError as failure:
        # The plain ways get the error; the others are measured without them.
        times = in_fresh_process(_times, settings, repeats, True)
        for way in times["ways"].values():
            if "seconds" not in way:
                way["error"] = str(failure)
    for name, way in times["ways"].items():
        if memory and "seconds" in way:
            try:
                way["peak_bytes"] = in_fresh_process(_peak, settings, name)
            except MeasurementError as failure:
                way["peak_error"] = str(failure)
    return {**row, **times}


def measure_machine(device: str, repeats: int, names: list[str]) -> dict:
    """Measure the rates of the machine, in a new process.

    Parameters
    ----------
    device : str
    repeats : int
        Number of rounds.
    names : list of str
        Names of the sizes whose products are measured.

    Returns
    -------
    dict
        ``rates`` and ``products``.
    """
    return in_fresh_process(_machine, device, repeats, names)


def describe_machine(device: str) -> dict:
    """Describe the machine, as a new process like those that measure sees it."""
    return in_fresh_process(_describe, device)


def _describe(device: str) -> dict:
    return describe(torch.device(device))


def _machine(device: str, repeats: int, names: list[str]) -> dict:
    target = torch.device(device)
    computations = references(dtypes(target), target)
    runs = {name: reference.run for name, reference in computations.items()}
    seconds = time_in_turn(runs, repeats, target)
    return {
        "rates": rates(computations, seconds),
        "products": products(target, repeats, names),
    }


def _prepare(key: dict) -> Comparison:
    device, stage = torch.device(key["device"]), key.get("of", key["stage"])
    if stage in image_stages.PREPARE:
        comparison = image_stages.PREPARE[stage](key, device)
    else:
        comparison = map_stages.PREPARE[stage](Size.from_key(key), key, device)
    if "ways" not in key:
        return comparison
    ways = {name: comparison.ways[name] for name in key["ways"]}
    pairs = [pair for pair in comparison.pairs if ways.keys() >= {*pair}]
    return Comparison(ways, pairs, comparison.notes)


def _times(key: dict, repeats: int, without_plain: bool) -> dict:
    device = torch.device(key["device"])
    comparison = _prepare(key)
    # Networks may be measured in a dtype whose products are not fast on this device.
    names = {"float32", *(way.dtype for way in comparison.ways.values())}
    computations = references(sorted(names), device)
    runs: dict[str, Callable] = {
        name: way.run
        for name, way in comparison.ways.items()
        if not (without_plain and name.startswith(_PLAIN))
    }
    rate_runs = {f"rate: {name}": ref.run for name, ref in computations.items()}
    seconds = time_in_turn({**rate_runs, **runs}, repeats, device)
    machine_rates = rates(
        computations, {name: seconds[f"rate: {name}"] for name in computations}
    )
    ways = {}
    for name, way in comparison.ways.items():
        row = {"dtype": way.dtype, "work": way.work._asdict()}
        row["floor"] = way.work.floor(machine_rates, way.dtype)
        row["in_turn"] = way.work.in_turn(machine_rates, way.dtype)
        if name in seconds:
            median = statistics.median(seconds[name])
            row |= {"seconds": seconds[name], "median": median}
            row["rate"] = way.work.products / median
            if way.defined is not None:
                row["defined_rate"] = way.defined / median
        ways[name] = row
    ratios = {
        f"{a} / {b}": median_ratio(seconds[a], seconds[b])
        for a, b in comparison.pairs
        if a in seconds and b in seconds
    }
    notes = dict(comparison.notes)
    if key.get("of", key["stage"]) == "responses":
        few = _prepare({**key, "images": _FEW, "check": True})
        notes |= few.notes
    return {"rates": machine_rates, "ways": ways, "ratios": ratios, "notes": notes}


def _peak(key: dict, name: str) -> int | None:
    # A first run, so that the peak has no memory that libraries allocate only once.
    few = min(_FEW, key.get("images", _FEW))
    _prepare({**key, "images": few}).ways[name].run()
    comparison = _prepare(key)
    return peak_bytes(comparison.ways[name].run, torch.device(key["device"]))
