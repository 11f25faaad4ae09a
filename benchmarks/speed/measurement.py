"""One measurement from its key: times side by side, then each way's peak memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from benchmarks.speed import image_stages as speed_images
from benchmarks.speed import map_stages as speed_maps
from benchmarks.speed.fit import measure_fit
from benchmarks.speed.machine import describe, products, rates, references
from benchmarks.speed.map_stages import Prepared
from benchmarks.speed.sizes import Size
from benchmarks.speed.timing import (
    Failed,
    alternate,
    in_fresh_process,
    peak_bytes,
    ratio,
)

__all__ = ["measure", "measure_machine"]

# Images of the run that loads libraries before peak memory is measured.
_FEW = 2
# What a size takes in memory is the plain way's, where that is too much.
_PLAIN = "plain"


def measure(key: dict, local: dict, repeats: int, memory: bool) -> dict:
    """Measure a stage at one size, in processes of its own.

    Parameters
    ----------
    key : dict
        The stage, what else `prepare` wants, and ``device``.
    local : dict
        Folders of this machine.
    repeats : int
        Rounds.
    memory : bool
        Whether peak memory is measured too, in one more process a way.

    Returns
    -------
    dict
        ``key``; ``repeats``; of a fit what `measure_fit` gives; else ``rates``,
        ``ways``, ``ratios`` and ``notes``. Ways that take more memory than there is
        have an ``error`` in place of times.
    """
    row = {"key": key, "repeats": repeats}
    given = {**key, **local}
    if key["stage"] == "fit":
        return {**row, **in_fresh_process(measure_fit, given, repeats)}
    try:
        found = in_fresh_process(_times, given, repeats, False)
    except Failed as failure:
        # Rows say what cannot be done; what can is measured without it.
        found = in_fresh_process(_times, given, repeats, True)
        for way in found["ways"].values():
            if "seconds" not in way:
                way["error"] = str(failure)
    for name, way in found["ways"].items():
        if memory and "seconds" in way:
            try:
                way["peak_bytes"] = in_fresh_process(_peak, given, name)
            except Failed as failure:
                way["peak_error"] = str(failure)
    return {**row, **found}


def measure_machine(device: str, repeats: int, names: list[str]) -> dict:
    """Measure what the machine can do, in a process of its own.

    Parameters
    ----------
    device : str
    repeats : int
    names : list of str
        Sizes whose products are measured.

    Returns
    -------
    dict
        ``rates`` and ``products``.
    """
    return in_fresh_process(_machine, device, repeats, names)


def describe_machine(device: str) -> dict:
    """Tell which machine this is, from a process like those that measure."""
    return in_fresh_process(_describe, device)


def _describe(device: str) -> dict:
    return describe(torch.device(device))


def _machine(device: str, repeats: int, names: list[str]) -> dict:
    place = torch.device(device)
    known = references(place)
    seconds = alternate({k: one.run for k, one in known.items()}, repeats, place)
    return {"rates": rates(known, seconds), "products": products(place, repeats, names)}


def _prepare(key: dict) -> Prepared:
    device, stage = torch.device(key["device"]), key.get("of", key["stage"])
    if stage in speed_images.PREPARE:
        prepared = speed_images.PREPARE[stage](key, device)
    else:
        prepared = speed_maps.PREPARE[stage](Size.of(key), key, device)
    if "ways" not in key:
        return prepared
    ways = {name: prepared.ways[name] for name in key["ways"]}
    pairs = [pair for pair in prepared.pairs if ways.keys() >= {*pair}]
    return Prepared(ways, pairs, prepared.notes)


def _times(key: dict, repeats: int, without_plain: bool) -> dict:
    device = torch.device(key["device"])
    prepared = _prepare(key)
    known = references(device)
    runs: dict[str, Callable] = {
        name: way.run
        for name, way in prepared.ways.items()
        if not (without_plain and name.startswith(_PLAIN))
    }
    asked = {f"rate: {name}": one.run for name, one in known.items()}
    seconds = alternate({**asked, **runs}, repeats, device)
    found = rates(known, {name: seconds[f"rate: {name}"] for name in known})
    ways = {}
    for name, way in prepared.ways.items():
        own = {"dtype": way.dtype, "work": way.work._asdict()}
        own["floor"] = way.work.floor(found, way.dtype)
        own["in_turn"] = way.work.in_turn(found, way.dtype)
        if name in seconds:
            median = statistics.median(seconds[name])
            own |= {"seconds": seconds[name], "median": median}
            own["rate"] = way.work.products / median
            if way.defined is not None:
                own["defined_rate"] = way.defined / median
        ways[name] = own
    ratios = {
        f"{a} / {b}": ratio(seconds[a], seconds[b])
        for a, b in prepared.pairs
        if a in seconds and b in seconds
    }
    notes = dict(prepared.notes)
    if key.get("of", key["stage"]) == "responses":
        few = _prepare({**key, "images": _FEW, "check": True})
        notes |= few.notes
    return {"rates": found, "ways": ways, "ratios": ratios, "notes": notes}


def _peak(key: dict, name: str) -> int | None:
    # What a library takes once, for itself, is nobody's peak.
    few = min(_FEW, key.get("images", _FEW))
    _prepare({**key, "images": few}).ways[name].run()
    prepared = _prepare(key)
    return peak_bytes(prepared.ways[name].run, torch.device(key["device"]))
