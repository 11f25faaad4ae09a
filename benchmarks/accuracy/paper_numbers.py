"""The two tables of the DP-Net paper, with measured accuracies beside the paper's.

R. Sicre, H. Zhang, J. Dejasmin, C. Daaloul, S. Ayache, T. Artières, "DP-Net: Learning
Discriminative Parts for image recognition", ICIP 2023, arXiv 2404.15037.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.methods import DPNET, DPNET_SVM, GLOBAL
from benchmarks.accuracy.table import spread

__all__ = [
    "BIRDS", "CONSTRAINED", "CONSTRAINTS", "GLOBAL_PARTS", "IMAGENET", "MIT67",
    "constraint_table", "global_table",
]  # fmt: skip

MIT67, BIRDS, IMAGENET = "MIT-67", "Birds", "ImageNet"

# Accuracies of the global descriptor and of the parts, in %.
GLOBAL_PARTS = {
    (MIT67, "vgg19"): (76.2, 76.9),
    (MIT67, "resnet50"): (78.1, 79.7),
    (BIRDS, "vgg19"): (66.4, 76.1),
    (BIRDS, "resnet50"): (81.5, 84.9),
    (IMAGENET, "vgg19"): (61.0, 69.0),
    (IMAGENET, "resnet50"): (70.8, 74.6),
}
# The backbone and the accuracies in % of the table of constraints, whose subsets are
# named as in `suites.constraints`.
CONSTRAINED = "resnet50"
CONSTRAINTS = {
    BIRDS: {
        "without": 84.9, "⊥": 84.6, "A": 84.6, "CS": 84.5, "⊥ + A": 85.1,
        "CS + ⊥": 84.4, "CS + A": 84.3, "all": 85.0,
    },
    MIT67: {
        "without": 79.7, "⊥": 79.1, "A": 80.3, "CS": 79.5, "⊥ + A": 80.3,
        "CS + ⊥": 78.8, "CS + A": 79.9, "all": 80.5,
    },
}  # fmt: skip

_ABSENT = "–"


def global_table(lines: list[dict], names: Sequence[str]) -> str:
    """Return the table of global descriptors against parts, in Markdown.

    Parameters
    ----------
    lines : list of dict
        Measurements with ``data``, ``backbone``, ``method``, ``changes`` and
        ``accuracy``.
    names : sequence of str
        Names of data sets that stand in for the paper's.

    Returns
    -------
    str
    """
    rows = list(GLOBAL_PARTS)
    for line in lines:
        row = line["data"], line["backbone"]
        if row not in rows:
            rows.append(row)
    order = [MIT67, BIRDS, IMAGENET, *names]
    rows.sort(key=lambda row: order.index(row[0]))
    table = [
        "| data | backbone | global: paper | measured | parts: paper | end to end "
        "| + SVM |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for data, backbone in rows:
        measured = [line for line in lines if line["data"] == data
                    and line["backbone"] == backbone
                    and not line["changes"]]  # fmt: skip
        expected = GLOBAL_PARTS.get((data, backbone))
        paper = [_ABSENT] * 2 if expected is None else [f"{x:.1f}" for x in expected]
        cells = [
            _label(data, names),
            backbone,
            paper[0],
            _accuracy(measured, GLOBAL),
            paper[1],
            _accuracy(measured, DPNET),
            _accuracy(measured, DPNET_SVM),
        ]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table)


def constraint_table(
    lines: list[dict],
    names: Sequence[str],
    backbone: str,
    settings: dict[str, dict],
) -> str:
    """Return the table of the eight subsets of the constraints, in Markdown.

    Parameters
    ----------
    lines : list of dict
        As in `global_table`.
    names : sequence of str
        Names of data sets that stand in for the paper's.
    backbone : str
        The backbone of the measurements; that of the paper is `CONSTRAINED`.
    settings : dict of str to dict
        Changed settings by the name of a subset.

    Returns
    -------
    str
    """
    columns = [*CONSTRAINTS, *names]
    heads = ["constraints"]
    for data in columns:
        paper = [f"{data}: paper"] if data in CONSTRAINTS else []
        heads += [*paper, f"{_label(data, names)}: end to end", "+ SVM"]
    table = [f"| {' | '.join(heads)} |", "| ---" + " | ---:" * (len(heads) - 1) + " |"]
    for subset, changes in settings.items():
        cells = [subset]
        for data in columns:
            measured = [line for line in lines if line["data"] == data
                        and line["backbone"] == backbone
                        and line["changes"] == changes]  # fmt: skip
            if data in CONSTRAINTS:
                cells.append(f"{CONSTRAINTS[data][subset]:.1f}")
            cells += [_accuracy(measured, DPNET), _accuracy(measured, DPNET_SVM)]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table)


def _label(data: str, stand_ins: Sequence[str]) -> str:
    return f"{data} (stand-in)" if data in stand_ins else data


def _accuracy(lines: list[dict], method: str) -> str:
    accuracies = [line["accuracy"] for line in lines if line["method"] == method]
    return spread(accuracies) if accuracies else _ABSENT
