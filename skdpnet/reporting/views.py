"""What the template is told: plain lists and dicts, class by class, part by part."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skdpnet.reporting.contents import Contents, Decision, ExplainedImage
from skdpnet.reporting.overlay import View, lay_out
from skdpnet.reporting.thumbnails import cell_image, heat_image

__all__ = ["Pixels", "view"]

# Confusion matrices of more classes are an image, not a table of numbers.
_TABLE_CLASSES = 24
_CONFUSIONS = 30
_OTHER_CLASSES = 3
_SHOWN_IN = 8
# Okabe and Ito's vermilion, blue and bluish green, which colour-blind people can tell
# apart: for, against and right. Wrong is vermilion too.
_FOR, _AGAINST, _RIGHT = "#D55E00", "#0072B2", "#009E73"


@dataclass(frozen=True)
class Pixels:
    """What a page shows besides numbers.

    Attributes
    ----------
    uris : list of str
        ``data:`` addresses of all bitmaps.
    images : dict of int to (int, (int, int))
        Of images of X_test: bitmap, and full width and height in pixels.
    crops : dict of int to list of int
        Of parts: bitmaps of their galleries.
    file_names : dict of int to str
        Of images of X_test that are files.
    """

    uris: list[str]
    images: dict[int, tuple[int, tuple[int, int]]]
    crops: dict[int, list[int]]
    file_names: dict[int, str]


def view(contents: Contents, pixels: Pixels) -> dict[str, Any]:
    """Arrange contents as the template wants them.

    Parameters
    ----------
    contents : Contents
    pixels : Pixels

    Returns
    -------
    dict of str to object
    """
    names = [_name(label) for label in contents.labels]
    images = [_image(contents, pixels, own) for own in contents.images]
    shown_in: dict[int, list[int]] = defaultdict(list)
    of_class: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for own, told in zip(contents.images, images, strict=True):
        for part in own.parts():
            shown_in[part].append(own.number)
        for c in sorted({own.true, own.predicted}):
            of_class[c].append(told)
    return {
        "uris": pixels.uris,
        "names": names,
        "n_parts": contents.coef.shape[1],
        "n_wrong": contents.n_wrong,
        "n_wrong_shown": sum(own.true != own.predicted for own in contents.images),
        "counts": contents.counts,
        "matrix": _matrix_image(contents.counts),
        "table_classes": _TABLE_CLASSES,
        "summary": _summary(contents),
        "confusions": _confusions(contents),
        "classes": [_class(contents, c, of_class[c]) for c in range(len(names))],
        "parts": {
            part: _part(contents, pixels, part, shown_in[part][:_SHOWN_IN])
            for part in contents.galleries
        },
        "images": images,
        "data": _data(contents, names),
    }


def _name(label: Any) -> str:
    return str(label).strip() or "(empty name)"


def _share(part: int, whole: int) -> float | None:
    return int(part) / int(whole) if whole else None


def _summary(contents: Contents) -> dict[str, Any]:
    counts = contents.counts
    n_test = counts.sum(axis=1)
    recalls = counts.diagonal()[n_test > 0] / n_test[n_test > 0]
    return {
        "n_test": int(counts.sum()),
        "n_right": int(counts.trace()),
        "accuracy": _share(counts.trace(), counts.sum()),
        "mean_recall": float(recalls.mean()),
        "n_without": int((n_test == 0).sum()),
    }


def _matrix_image(counts: np.ndarray) -> str:
    """Draw a confusion matrix, one pixel a cell: right in green, wrong in vermilion."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*counts.shape, 4), np.uint8)
    pixels[..., :3] = list(bytes.fromhex(_FOR[1:]))
    pixels[range(len(counts)), range(len(counts)), :3] = list(bytes.fromhex(_RIGHT[1:]))
    # One image of many is to be seen, too.
    pixels[..., 3] = np.where(counts > 0, 255 * (0.35 + 0.65 * share), 0)
    return cell_image(pixels)


def _confusions(contents: Contents) -> dict[str, Any]:
    """List which class is taken for which, most often first."""
    wrong = contents.counts.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argwhere(wrong)
    order = np.argsort(-wrong[tuple(pairs.T)], kind="stable")
    shown: dict[tuple[int, int], list[int]] = {}
    for own in contents.images:
        shown.setdefault((own.true, own.predicted), []).append(own.number)
    rows = [
        {
            "true": int(t),
            "predicted": int(p),
            "n": int(wrong[t, p]),
            "share": _share(wrong[t, p], contents.counts[t].sum()),
            "images": shown.get((int(t), int(p)), [])[:_SHOWN_IN],
        }
        for t, p in pairs[order][:_CONFUSIONS]
    ]
    return {"rows": rows, "n": len(pairs), "shown": shown}


def _class(contents: Contents, c: int, images: list[dict[str, Any]]) -> dict[str, Any]:
    row, column = contents.counts[c], contents.counts[:, c]
    listed = contents.class_parts[c]
    own = [p for p in contents.galleries if contents.homes[p] == c]
    taken_for = [int(p) for p in np.argsort(-row, kind="stable") if p != c and row[p]]
    mistaken = [int(t) for t in np.argsort(-column, kind="stable") if t != c]
    contributions = contents.participation[c]
    total = float(contributions.sum())
    return {
        "n": int(row.sum()),
        "n_predicted": int(column.sum()),
        "n_right": int(row[c]),
        "recall": _share(row[c], row.sum()),
        "precision": _share(row[c], column.sum()),
        "taken_for": [(p, int(row[p])) for p in taken_for],
        "mistaken": [(t, int(column[t])) for t in mistaken if column[t]],
        "parts": _participation(contents, c, listed),
        "others": _participation(contents, c, [p for p in own if p not in listed]),
        "largest": float(np.abs(contributions[listed]).max(initial=0)),
        "rest": total - float(contributions[listed].sum()),
        "n_rest": len(contributions) - len(listed),
        "bias": float(contents.intercept[c]),
        "score": total + float(contents.intercept[c]),
        "images": images,
    }


def _participation(
    contents: Contents, c: int, parts: Sequence[int]
) -> list[dict[str, Any]]:
    return [
        {
            "part": p,
            "weight": float(contents.coef[c, p]),
            "contribution": float(contents.participation[c, p]),
            "at_home": bool(contents.homes[p] == c),
        }
        for p in parts
    ]


def _part(
    contents: Contents, pixels: Pixels, p: int, images: list[int]
) -> dict[str, Any]:
    # A long name is broken before its number, if anywhere.
    stem, dash, ending = _name(contents.part_names[p]).rpartition("_")
    gallery, home = contents.galleries[p], int(contents.homes[p])
    weights = contents.coef[:, p]
    also = [int(c) for c in np.argsort(-weights, kind="stable") if c != home]
    return {
        "stem": stem,
        "ending": dash + ending,
        "home": home,
        "crops": [
            {"bitmap": bitmap, "image": int(i), "response": float(response)}
            for bitmap, i, response in zip(
                pixels.crops[p], gallery.images, gallery.responses, strict=True
            )
        ],
        "also": [
            (c, float(weights[c])) for c in also[:_OTHER_CLASSES] if weights[c] > 0
        ],
        "images": images,
    }


def _image(contents: Contents, pixels: Pixels, own: ExplainedImage) -> dict[str, Any]:
    bitmap, size = pixels.images[own.number]
    view = View.of(size)
    best = np.argsort(-own.scores, kind="stable")[:_OTHER_CLASSES].tolist()
    decisions = [own.why, *([own.difference] if own.difference else [])]
    return {
        "number": own.number,
        "file": pixels.file_names.get(own.number),
        "true": own.true,
        "predicted": own.predicted,
        "bitmap": bitmap,
        "view": view,
        "scores": [
            (c, float(own.scores[c]))
            for c in best + ([] if own.true in best else [own.true])
        ],
        "decisions": [_decision(told, view) for told in decisions],
    }


def _decision(told: Decision, view: View) -> dict[str, Any]:
    """Arrange a decision's rows and boxes; those of the other class have letters."""
    marked = [(str(i + 1), "for", row) for i, row in enumerate(told.rows_for)]
    unmarked = [("", "against", row) for row in told.rows_against]
    if told.against is not None:
        unmarked = []
        marked += [
            (chr(ord("A") + i), "against", row)
            for i, row in enumerate(told.rows_against)
        ]
    boxes = [row.box for _, _, row in marked]
    frames = lay_out(view, boxes, [mark for mark, _, _ in marked])
    rows = told.rows_for + told.rows_against
    hottest = float(np.abs(told.heat_map).max()) or 1.0
    left, top, right, bottom = told.heat_map_box * view.scale
    return {
        "explained": told.explained,
        "against": told.against,
        "rows": [
            {"mark": mark, "side": side, "row": row}
            for mark, side, row in marked + unmarked
        ],
        "frames": [
            {"frame": frame, "side": side, "part": row.part, "rank": rank % 6}
            for rank, (frame, (_, side, row)) in enumerate(
                zip(frames, marked, strict=True)
            )
        ],
        "largest": max((abs(row.contribution) for row in rows), default=0.0),
        "rest": told.rest,
        "n_rest": told.n_rest,
        "bias": told.bias,
        "score": told.score,
        "heat": {
            "x": left,
            "y": top,
            "width": right - left,
            "height": bottom - top,
            "for": heat_image(told.heat_map / hottest, _FOR),
            "against": heat_image(-told.heat_map / hottest, _AGAINST),
        },
    }


def _data(contents: Contents, names: list[str]) -> dict[str, Any]:
    """Collect what the script needs to compare any two classes."""
    parts = list(contents.galleries)
    entries = np.argwhere(contents.counts)
    return {
        "names": names,
        "decimals": _decimals(contents),
        "confusions": [
            [int(t), int(p), int(contents.counts[t, p])] for t, p in entries
        ],
        "parts": parts,
        "classParts": contents.class_parts,
        "weights": _packed(contents.coef[:, parts]),
        "participation": _packed(contents.participation[:, parts]),
    }


def _decimals(contents: Contents) -> int:
    """Decimals that give the largest contribution shown three digits."""
    shown = [row.contribution for own in contents.images for row in own.why.rows_for]
    largest = max([*shown, float(contents.participation.max(initial=0))])
    return 2 if largest <= 0 else int(np.clip(2 - np.floor(np.log10(largest)), 1, 8))


def _packed(values: np.ndarray) -> dict[str, Any]:
    """Pack numbers as 16-bit steps: the text of all of them would be far longer."""
    step = (float(np.abs(values).max(initial=0)) or 1.0) / np.iinfo(np.int16).max
    steps = np.round(values / step).astype("<i2")
    return {"step": step, "steps": base64.b64encode(steps.tobytes()).decode()}
