"""Lines of `recipe.py` -> Markdown tables."""

from __future__ import annotations

import json
import statistics

from benchmarks.accuracy.table import spread

__all__ = ["markdown"]

_FIXED_C = "1"
_NOTE = (
    "Images held out of the training images, mean ± standard deviation over the "
    "splits; Δ: difference from DP-Net's defaults on the same splits. Best C: the one "
    "that is best on average over the splits, in hindsight."
)


def markdown(lines: list[dict]) -> str:
    """Write measurements as tables, one a data set.

    Parameters
    ----------
    lines : list of dict
        As `recipe.py` keeps them.

    Returns
    -------
    str
    """
    tables = []
    for data in dict.fromkeys(line["data"] for line in lines):
        # Settings -> seed -> line.
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
            # Of the defaults from themselves there is no difference to show.
            rows.append(_row(runs, {} if runs is defaults else defaults))
        tables.append("\n".join(rows))
    return "\n\n".join([*tables, _NOTE])


def _row(runs: dict[int, dict], defaults: dict[int, dict]) -> str:
    first = next(iter(runs.values()))
    svm = {C: [line["svm"][C] for line in runs.values()] for C in first["svm"]}
    best = max(svm, key=lambda C: statistics.mean(svm[C]))
    if first["method"] == "parts":
        own = {seed: line["classifier"] for seed, line in runs.items()}
        theirs = {seed: line["classifier"] for seed, line in defaults.items()}
        classifier = [spread(list(own.values())), _difference(own, theirs)]
    else:
        classifier = ["–", ""]
    fixed = {seed: line["svm"][_FIXED_C] for seed, line in runs.items()}
    reference = {seed: line["svm"][_FIXED_C] for seed, line in defaults.items()}
    cells = [
        _name(first["method"], first["changes"]),
        str(len(runs)),
        *classifier,
        spread(svm[_FIXED_C]),
        _difference(fixed, reference),
        f"{spread(svm[best])} (C = {best})",
        f"{statistics.mean(line['fit_seconds'] for line in runs.values()):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _difference(own: dict[int, float], theirs: dict[int, float]) -> str:
    """Write the mean difference over the seeds that both have."""
    pairs = [own[seed] - theirs[seed] for seed in own if seed in theirs]
    return spread(pairs, signed=True) if pairs else ""


def _name(method: str, changes: dict) -> str:
    texts = []
    for name, value in changes.items():
        shown = tuple(value) if isinstance(value, list) else value
        texts.append(f"{name}={shown!r}")
    changed = f"`{', '.join(texts)}`" if texts else "defaults"
    return changed if method == "parts" else f"global descriptor, {changed}"
