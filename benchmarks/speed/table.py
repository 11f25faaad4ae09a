"""Markdown tables of the measurements of speed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["exponent", "markdown"]

_MIB = 2**20
_TITLES = {
    "reading": "Reading and decoding",
    "backbone": "Images to descriptors",
    "whitening": "Whitening of maps",
    "responses": "Part responses with maxima",
    "training": "Training step",
    "skorch": "An epoch through skorch",
    "explanation": "Explaining one image, given its maps",
}
_DEFINED = "as defined, %"
_NOTE = (
    "Seconds are medians over rounds, in each of which all ways were timed in turn; "
    "ratios are medians of the ratios of each round. Operations: the time of the "
    "products that a way cannot do without, at the measured rate of a square product "
    "of the same type, as a share of the time taken. As defined: the same for the "
    "products of the formulas, S = X Uᵀ over all regions and its gradient, whatever a "
    "way saves or repeats. Floor: the time of the products that a way cannot do "
    "without, or of its bytes at the rate of a copy where this is longer, as a share "
    "of the time taken. In turn: the same for products, additions and exponentials one "
    "after the other, the last two at their rates in cache. Peak: memory beyond the "
    "inputs, in a new process."
)


def markdown(result: dict) -> str:
    """Return measurements as Markdown tables, one for each stage.

    Parameters
    ----------
    result : dict
        Content of a results file.

    Returns
    -------
    str
    """
    blocks = [_caption(result["environment"])]
    busy = [row["others_busy"] for row in result["rows"] if "others_busy" in row]
    if busy:
        blocks[0] += (
            " Just before the measurements, other processes kept the processor busy "
            f"for {statistics.median(busy):.0f} % of the time, at most {max(busy):.0f} "
            "%."
        )
    if "machine" in result:
        blocks += ["### Machine", _machine(result["machine"])]
    for stage, title in _TITLES.items():
        rows = [row for row in result["rows"] if row["key"]["stage"] == stage]
        if rows:
            blocks += [f"### {title}", _ways(rows), _ratios(rows)]
    fits = [row for row in result["rows"] if row["key"]["stage"] == "fit"]
    if fits:
        blocks += ["### A fit with the defaults, from cached maps", _fits(fits)]
    grown = [row for row in result["rows"] if row["key"]["stage"] == "growth"]
    if grown:
        blocks += ["### Growth", _growth(grown)]
    return "\n\n".join([*blocks, _NOTE])


def exponent(amounts: Sequence[float], values: Sequence[float]) -> float:
    """Fit the exponent e of values ∝ amounts^e by least squares of logarithms.

    Parameters
    ----------
    amounts, values : sequences of positive floats

    Returns
    -------
    float
    """
    return float(np.polyfit(np.log(amounts), np.log(values), 1)[0])


def _caption(environment: dict) -> str:
    versions = environment["versions"]
    device = environment["gpu"] if environment["device"] != "cpu" else "the processor"
    half = "with" if environment["multiplies_bfloat16"] else "without"
    return (
        f"{environment['processor']}, {environment['cpus']} cores, "
        f"{environment['torch_threads']} threads, {environment['memory_gib']} GiB; "
        f"measured on {device}, {half} fast products of bfloat16; torch "
        f"{versions['torch']}, scikit-learn {versions['scikit-learn']}, skorch "
        f"{versions['skorch']}, Python {environment['python']}."
    )


def _machine(machine: dict) -> str:
    rates = machine["rates"]
    measured = [
        f"copy {rates['copy'] / 1e9:.1f} GB/s",
        *(
            f"{name} {rates[name] / 1e9:.2f} · 10⁹ numbers/s"
            for name in ("additions", "exponentials")
            if name in rates
        ),
    ]
    rows = [
        [
            product["product"],
            " × ".join(map(str, product["shape"])),
            product["dtype"],
            f"{product['rate'] / 1e9:.0f}",
        ]
        for product in machine["products"]
    ]
    head = ["product", "m × k × n", "type", "10⁹ operations/s"]
    return f"{'; '.join(measured)}.\n\n{_table(head, 1, rows)}"


def _ways(rows: list[dict]) -> str:
    head = [
        "size", "way", "seconds", "images/s", "operations, %", "floor, %",
        "in turn, %", "peak, MiB",
    ]  # fmt: skip
    lines = [line for row in rows for line in _lines(row)]
    if rows[0]["key"]["stage"] == "training":
        head.insert(4, _DEFINED)
        shares = [share for row in rows for share in _defined(row)]
        for line, share in zip(lines, shares, strict=True):
            line.insert(4, share)
    return _table(head, 2, lines)


def _defined(row: dict) -> Iterator[str]:
    for way in row["ways"].values():
        rate = way.get("defined_rate")
        full = row["rates"][way["dtype"]]
        yield "" if rate is None else f"{100 * rate / full:.0f}"


def _lines(row: dict) -> Iterator[list[str]]:
    for name, way in row["ways"].items():
        start = [_label(row["key"]), name]
        if "seconds" not in way:
            yield [*start, way["error"], *[""] * 5]
            continue
        median, full = way["median"], row["rates"][way["dtype"]]
        in_turn = way["in_turn"]
        images = 1 if "one" in name.split() else _images(row)
        yield [
            start[0],
            f"{name} ({way['dtype']})",
            f"{median:.3g}",
            f"{images / median:.3g}",
            f"{100 * way['rate'] / full:.0f}",
            f"{100 * way['floor'] / median:.0f}",
            "" if in_turn is None else f"{100 * in_turn / median:.0f}",
            _mib(way.get("peak_bytes")),
        ]


def _images(row: dict) -> int:
    if row["key"]["stage"] == "explanation":
        return 1
    return row["key"]["images"] * row["notes"].get("steps", 1)


def _ratios(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        for name, value in row["ratios"].items():
            slow, fast = (row["ways"][way] for way in name.split(" / "))
            peaks = slow.get("peak_bytes"), fast.get("peak_bytes")
            memory = f"{peaks[0] / peaks[1]:.2f}" if all(peaks) else ""
            lines.append([_label(row["key"]), name, f"{value:.2f}", memory])
    return _table(["size", "ratio", "time", "peak memory"], 2, lines)


def _fits(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        start = "from the cache" if row["key"]["shared"] else "computed"
        lines.append(
            [
                f"{row['images']} images; initial state {start}",
                f"{row['median']:.2f}",
                "100",
            ]
        )
        for name, seconds in row["stages"].items():
            lines.append([name, f"{seconds:.2f}", f"{100 * row['share'][name]:.0f}"])
        lines.append(["peak memory, MiB", _mib(row["peak_bytes"]), ""])
    return _table(["stage", "seconds", "share, %"], 1, lines)


def _growth(rows: list[dict]) -> str:
    lines = []
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["key"]["of"], row["key"]["axis"]), []).append(row)
    for (stage, axis), group in groups.items():
        for name in group[0]["key"]["ways"]:
            timed = [row for row in group if "seconds" in row["ways"][name]]
            if len(timed) < 2:
                continue
            amounts = [_amount(row["key"]) for row in timed]
            seconds = [row["ways"][name]["median"] for row in timed]
            peaks = [row["ways"][name].get("peak_bytes") for row in timed]
            lines.append(
                [
                    stage,
                    axis,
                    name,
                    ", ".join(map(str, amounts)),
                    ", ".join(f"{s:.3g}" for s in seconds),
                    f"{exponent(amounts, seconds):.2f}",
                    ", ".join(map(_mib, peaks)),
                    f"{exponent(amounts, peaks):.2f}" if all(peaks) else "",
                ]
            )
    head = [
        "stage", "grows", "way", "from … to", "seconds", "exponent", "peak, MiB",
        "exponent",
    ]  # fmt: skip
    return _table(head, 4, lines)


def _amount(key: dict) -> int:
    """Return the number of images, parts or regions, whichever grows."""
    if key["axis"] != "regions":
        return key[key["axis"]]
    sides = {max(1, round(s * min(key["height"], key["width"]))) for s in key["scales"]}
    return sum((key["height"] - s + 1) * (key["width"] - s + 1) for s in sides)


def _label(key: dict) -> str:
    if "size" not in key:
        names = [key.get("backbone", key["data"]), key.get("precision", "")]
        return ", ".join(filter(None, names))
    beta = "hard" if key["beta"] is None else f"β {key['beta']:g}"
    depth = f"K {key['components'] or key['depth']}"
    whitened = "" if key["components"] else ", no whitening"
    return f"{key['size']}, {depth}{whitened}, {beta}"


def _mib(n_bytes: float | None) -> str:
    return "" if n_bytes is None else f"{n_bytes / _MIB:.0f}"


def _table(head: list[str], n_left: int, rows: list[list[str]]) -> str:
    lines = [head, [*["---"] * n_left, *["---:"] * (len(head) - n_left)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
