"""The tables of the orders that papers of part learners report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.learner_orders_methods import ORDERS
from benchmarks.accuracy.table import spread
from benchmarks.records import has_line, read_lines

__all__ = ["markdown", "order_table"]

# What lines may have besides accuracy, as shares.
_SHARES = {
    "purity": "purity, %",
    "chance": "by chance, %",
    "negative": "negative weights, %",
    "own": "own parts, %",
    "background": "beside objects, %",
}


def markdown(files: Sequence[Path]) -> str:
    """Return a table for each order and file.

    Parameters
    ----------
    files : sequence of Path
        Named ``learner_orders_<data>.jsonl``.

    Returns
    -------
    str
    """
    tables = []
    of_files = {
        path.stem.removeprefix("learner_orders_"): read_lines(path) for path in files
    }
    for name, order in ORDERS.items():
        for data, lines in of_files.items():
            if has_line(lines, {"order": name}):
                head = f"{name}, {data}. Reported: {order.claim}."
                tables.append(f"{head}\n\n{order_table(name, lines)}")
    return "\n\n".join(tables)


def order_table(name: str, lines: list[dict]) -> str:
    """Return the variants of an order as a Markdown table.

    Parameters
    ----------
    name : str
        Key of `ORDERS`.
    lines : list of dict
        Of one set of images.

    Returns
    -------
    str
        Means and standard deviations over the seeds. Times are medians.
    """
    of_order = [line for line in lines if line["order"] == name]
    shares = {
        key: head for key, head in _SHARES.items() if any(key in x for x in of_order)
    }
    with_parts = any("parts" in line for line in of_order)
    heads = ["variant", "accuracy, %", *["parts"] * with_parts, *shares.values()]
    heads += ["chosen", "fit, CPU s", "seeds"]
    rows = [
        "| " + " | ".join(heads) + " |",
        "| --- |" + " ---: |" * (len(heads) - 1),
    ]
    for variant in ORDERS[name].variants:
        runs = [line for line in of_order if line["variant"] == variant]
        if not runs:
            continue
        cells = [variant, spread([run["accuracy"] for run in runs])]
        if with_parts:
            counts = [run["parts"] for run in runs if "parts" in run]
            cells.append(f"{statistics.median(counts):,.0f}" if counts else "–")
        for key in shares:
            values = [run[key] for run in runs if key in run]
            cells.append(spread(values) if values else "–")
        chosen = runs[0]["tuning"]["choice"]
        cells.append(", ".join(f"{k}={v}" for k, v in chosen.items()) or "–")
        seconds = statistics.median(run["fit_cpu_seconds"] for run in runs)
        cells += [f"{seconds:.0f}", str(len(runs))]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)
