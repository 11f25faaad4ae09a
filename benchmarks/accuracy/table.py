"""Markdown tables of the results of `global_vs_parts`.

    python -m benchmarks.accuracy.table benchmarks/results/*_efficientnet_lite0_*.json

prints the tables that the documentation shows.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import pixels_of

__all__ = ["caption", "markdown", "percent", "spread"]


def caption(result: dict) -> str:
    """Return one line that describes the data, the backbone and the seeds.

    Parameters
    ----------
    result : dict
        Content of a results file.

    Returns
    -------
    str
    """
    data = result["data"]
    seeds = ", ".join(map(str, result["seeds"]))
    return (
        f"{data['name']}: {data['n_train']} training and {data['n_test']} test "
        f"images of {data['n_classes']} classes ({data['split']}), "
        f"{pixels_of(result)}; backbone {result['backbone']}, frozen, weights "
        f"{result['weights']}; seeds {seeds}."
    )


def percent(method: dict) -> str:
    """Return the accuracy in %, as mean ± standard deviation over the seeds.

    Parameters
    ----------
    method : dict
        An element of ``"methods"`` of a results file.

    Returns
    -------
    str
    """
    mean = f"{100 * method['accuracy_mean']:.1f}"
    if method["accuracy_std"] is None:
        return mean
    return f"{mean} ± {100 * method['accuracy_std']:.1f}"


def spread(shares: Sequence[float], *, signed: bool = False) -> str:
    """Return fractions in %, as mean ± standard deviation where there are several.

    Parameters
    ----------
    shares : sequence of float
        Fractions, at least one.
    signed : bool, default=False
        Whether a positive mean has a plus sign, as differences should.

    Returns
    -------
    str
    """
    mean = format(100 * statistics.mean(shares), "+z.1f" if signed else ".1f")
    if len(shares) == 1:
        return mean
    return f"{mean} ± {100 * statistics.stdev(shares):.1f}"


def markdown(result: dict) -> str:
    """Return results as a Markdown table under a caption.

    Parameters
    ----------
    result : dict
        Content of a results file.

    Returns
    -------
    str
    """
    lines = [
        caption(result),
        "",
        "| method | accuracy, % | fit from cached maps, s |",
        "| --- | --- | --- |",
    ]
    for method in result["methods"]:
        seconds = f"{method['fit_seconds_mean']:.1f}"
        lines.append(f"| {method['name']} | {percent(method)} | {seconds} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables of the files named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.table",
        description="Print results of global_vs_parts as Markdown tables.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="JSON")
    files = parser.parse_args().results
    tables = [markdown(json.loads(file.read_text(encoding="utf-8"))) for file in files]
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
