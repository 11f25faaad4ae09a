"""Markdown tables of the measurements of `recipe`."""

from __future__ import annotations

import json
import statistics

from benchmarks.accuracy.table import spread

__all__ = ["markdown"]

_FIXED_C = "1"
_NOTE = (
    "Accuracy on held-out training images, mean ± standard deviation over the splits; "
    "Δ: difference from DP-Net's defaults on the same splits. Best C: the C with the "
    "best mean over the splits, chosen in hindsight."
)


def markdown(lines: list[dict]) -> str:
    """Return measurements as Markdown tables, one for each data set.

    Parameters
    ----------
    lines : list of dict
        The lines of the output file of `recipe`.

    Returns
    -------
    str
    """
    tables = []
    for data in dict.fromkeys(line["data"] for line in lines):
        # Lines by settings and seed.
        groups: dict[tuple[str, str], dict[int, dict]] = {}
        for line in lines:
            if line["data"] == data:
                key = line["method"], json.dumps(line["changes"], sort_keys=True)
                groups.setdefault(key, {})[line["seed"]] = line
        defaults = groups.get(("parts", "{}"), {})
        rows = [
            data,
            "",
            "| settings | splits | DPNetClassifier, % | Δ | parts + SVM, C = 1, % | Δ "
            "| best C, % | fit, s |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for runs in groups.values():
            # The difference of the defaults from themselves is not shown.
            rows.append(_row(runs, {} if runs is defaults else defaults))
        tables.append("\n".join(rows))
    return "\n\n".join([*tables, _NOTE])


def _row(runs: dict[int, dict], defaults: dict[int, dict]) -> str:
    first = next(iter(runs.values()))
    svm = {C: [line["svm"][C] for line in runs.values()] for C in first["svm"]}
    best = max(svm, key=lambda C: statistics.mean(svm[C]))
    if first["method"] == "parts":
        changed = {seed: line["classifier"] for seed, line in runs.items()}
        reference = {seed: line["classifier"] for seed, line in defaults.items()}
        classifier = [spread(list(changed.values())), _difference(changed, reference)]
    else:
        classifier = ["–", ""]
    changed = {seed: line["svm"][_FIXED_C] for seed, line in runs.items()}
    reference = {seed: line["svm"][_FIXED_C] for seed, line in defaults.items()}
    cells = [
        _name(first["method"], first["changes"]),
        str(len(runs)),
        *classifier,
        spread(svm[_FIXED_C]),
        _difference(changed, reference),
        f"{spread(svm[best])} (C = {best})",
        f"{statistics.mean(line['fit_seconds'] for line in runs.values()):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _difference(changed: dict[int, float], reference: dict[int, float]) -> str:
    """Return the mean difference over the seeds that both have, as text."""
    pairs = [changed[seed] - reference[seed] for seed in changed if seed in reference]
    return spread(pairs, signed=True) if pairs else ""


def _name(method: str, changes: dict) -> str:
    texts = []
    for name, value in changes.items():
        shown = tuple(value) if isinstance(value, list) else value
        texts.append(f"{name}={shown!r}")
    changed = f"`{', '.join(texts)}`" if texts else "defaults"
    return changed if method == "parts" else f"global descriptor, {changed}"
