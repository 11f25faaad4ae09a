"""The two tables of the DP-Net paper, with measured accuracies beside its own.

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

# Accuracy in %, of the global descriptor and of the parts.
GLOBAL_PARTS = {
    (MIT67, "vgg19"): (76.2, 76.9),
    (MIT67, "resnet50"): (78.1, 79.7),
    (BIRDS, "vgg19"): (66.4, 76.1),
    (BIRDS, "resnet50"): (81.5, 84.9),
    (IMAGENET, "vgg19"): (61.0, 69.0),
    (IMAGENET, "resnet50"): (70.8, 74.6),
}
# The constraints' names are those of `suites.constraints`.
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
    """Write the table of global descriptor against parts.

    Parameters
    ----------
    lines : list of dict
        Measurements, with ``data``, ``backbone``, ``method``, ``changes`` and
        ``accuracy``.
    names : sequence of str
        Stand-ins for the paper's data.

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
        own = [one for one in lines if one["data"] == data
               and one["backbone"] == backbone and not one["changes"]]  # fmt: skip
        expected = GLOBAL_PARTS.get((data, backbone))
        paper = [_ABSENT] * 2 if expected is None else [f"{x:.1f}" for x in expected]
        cells = [
            _label(data, names),
            backbone,
            paper[0],
            _measured(own, GLOBAL),
            paper[1],
            _measured(own, DPNET),
            _measured(own, DPNET_SVM),
        ]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table)


def constraint_table(
    lines: list[dict],
    names: Sequence[str],
    backbone: str,
    settings: dict[str, dict],
) -> str:
    """Write the table of the eight choices among the constraints.

    Parameters
    ----------
    lines : list of dict
        As in `global_table`.
    names : sequence of str
        Stand-ins for the paper's data.
    backbone : str
        The one measured with; the paper's is `CONSTRAINED`, whichever this is.
    settings : dict of str to dict
        Name of a choice -> the settings that are changed.

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
    for choice, changes in settings.items():
        cells = [choice]
        for data in columns:
            own = [one for one in lines if one["data"] == data
                   and one["backbone"] == backbone
                   and one["changes"] == changes]  # fmt: skip
            if data in CONSTRAINTS:
                cells.append(f"{CONSTRAINTS[data][choice]:.1f}")
            cells += [_measured(own, DPNET), _measured(own, DPNET_SVM)]
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join(table)


def _label(data: str, stand_ins: Sequence[str]) -> str:
    return f"{data} (stand-in)" if data in stand_ins else data


def _measured(lines: list[dict], method: str) -> str:
    accuracies = [line["accuracy"] for line in lines if line["method"] == method]
    return spread(accuracies) if accuracies else _ABSENT
