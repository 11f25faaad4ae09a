"""What the template needs: the contents as plain lists and dicts, ready to be shown."""

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
from skdpnet.utils.colours import AGAINST, FOR, PARTS, RIGHT, rgb

__all__ = ["Pixels", "template_values"]

# Confusion matrices of more classes are an image, not a table of numbers.
_TABLE_CLASSES = 24
_CONFUSIONS = 30
# Classes listed beside a part of one class, beside a shared part, and with the scores
# of an image.
_OTHER_CLASSES, _SHARING_CLASSES, _BEST_CLASSES = 3, 12, 3
_SHOWN_IN = 8


@dataclass(frozen=True)
class Pixels:
    """What a page shows besides text and numbers.

    Attributes
    ----------
    uris : list of str
        ``data:`` URIs of all bitmaps.
    images : dict of int to (int, (int, int))
        For images of X_test: the bitmap, and the full width and height in pixels.
    crops : dict of int to list of int
        For parts: the bitmaps of their galleries.
    file_names : dict of int to str
        For those images of X_test that are files.
    path_regions : dict of int to list of int
        For images of X_test with a path through a tree: the bitmaps of the image's
        regions at the nodes of the path.
    """

    uris: list[str]
    images: dict[int, tuple[int, tuple[int, int]]]
    crops: dict[int, list[int]]
    file_names: dict[int, str]
    path_regions: dict[int, list[int]]


def template_values(contents: Contents, pixels: Pixels) -> dict[str, Any]:
    """Arrange contents as the template needs them.

    Parameters
    ----------
    contents : Contents
    pixels : Pixels

    Returns
    -------
    dict of str to object
    """
    names = [_name(label) for label in contents.labels]
    images = [_image(contents, pixels, image) for image in contents.images]
    images_of_part: dict[int, list[int]] = defaultdict(list)
    images_of_class: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for image, values in zip(contents.images, images, strict=True):
        for part in image.parts():
            images_of_part[part].append(image.number)
        for c in sorted({image.true, image.predicted}):
            images_of_class[c].append(values)
    return {
        "uris": pixels.uris,
        "colours": {"for": FOR, "against": AGAINST, "right": RIGHT, "parts": PARTS},
        "names": names,
        "linear": contents.weights is not None,
        "has_paths": any(image.path is not None for image in contents.images),
        "n_parts": len(contents.part_names),
        "n_wrong": contents.n_wrong,
        "n_wrong_shown": sum(
            image.true != image.predicted for image in contents.images
        ),
        "counts": contents.counts,
        "matrix": _matrix_image(contents.counts),
        "table_classes": _TABLE_CLASSES,
        "summary": _summary(contents),
        "confusions": _confusions(contents),
        "classes": [_class(contents, c, images_of_class[c]) for c in range(len(names))],
        "parts": {
            part: _part(contents, pixels, part, images_of_part[part][:_SHOWN_IN])
            for part in contents.galleries
        },
        "shared_parts": [p for p in contents.galleries if contents.homes[p] < 0],
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
    diagonal = range(len(counts))
    pixels = np.zeros((*counts.shape, 4), np.uint8)
    pixels[..., :3] = rgb(FOR)
    pixels[diagonal, diagonal, :3] = rgb(RIGHT)
    # Even one image of many must be visible.
    pixels[..., 3] = np.where(counts > 0, 255 * (0.35 + 0.65 * share), 0)
    return cell_image(pixels)


def _confusions(contents: Contents) -> dict[str, Any]:
    """List which class is taken for which, most often first."""
    wrong = contents.counts.copy()
    np.fill_diagonal(wrong, 0)
    pairs = np.argwhere(wrong)
    order = np.argsort(-wrong[tuple(pairs.T)], kind="stable")
    shown: dict[tuple[int, int], list[int]] = {}
    for image in contents.images:
        shown.setdefault((image.true, image.predicted), []).append(image.number)
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
    others = [
        p for p in contents.galleries if contents.homes[p] == c and p not in listed
    ]
    taken_for = [int(p) for p in np.argsort(-row, kind="stable") if p != c and row[p]]
    mistaken = [int(t) for t in np.argsort(-column, kind="stable") if t != c]
    contributions = contents.participation[c]
    total, bias = float(contributions.sum()), float(contents.biases[c])
    return {
        "n": int(row.sum()),
        "n_predicted": int(column.sum()),
        "n_right": int(row[c]),
        "recall": _share(row[c], row.sum()),
        "precision": _share(row[c], column.sum()),
        "taken_for": [(p, int(row[p])) for p in taken_for],
        "mistaken": [(t, int(column[t])) for t in mistaken if column[t]],
        "parts": _participation(contents, c, listed),
        "others": _participation(contents, c, others),
        "largest": float(np.abs(contributions[listed + others]).max(initial=0)),
        "rest": total - float(contributions[listed].sum()),
        "n_rest": len(contributions) - len(listed),
        "bias": bias,
        "score": total + bias,
        "images": images,
    }


def _participation(
    contents: Contents, c: int, parts: Sequence[int]
) -> list[dict[str, Any]]:
    weights = contents.weights
    return [
        {
            "part": p,
            "weight": None if weights is None else float(weights[c, p]),
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
    use = contents.use[:, p]
    users = [
        int(c) for c in np.argsort(-use, kind="stable") if c != home and use[c] > 0
    ]
    most = _SHARING_CLASSES if home < 0 else _OTHER_CLASSES
    return {
        "stem": stem,
        "ending": dash + ending,
        "home": home if home >= 0 else None,
        "crops": [
            {"bitmap": bitmap, "image": int(i), "response": float(response)}
            for bitmap, i, response in zip(
                pixels.crops[p], gallery.images, gallery.responses, strict=True
            )
        ],
        # The classes, apart from its home, that the part speaks for.
        "users": [(c, float(use[c])) for c in users[:most]],
        "n_more_users": max(0, len(users) - most),
        "all_users": users,
        "images": images,
    }


def _image(contents: Contents, pixels: Pixels, image: ExplainedImage) -> dict[str, Any]:
    bitmap, size = pixels.images[image.number]
    view = View.of(size)
    best = np.argsort(-image.scores, kind="stable")[:_BEST_CLASSES].tolist()
    return {
        "number": image.number,
        "file": pixels.file_names.get(image.number),
        "true": image.true,
        "predicted": image.predicted,
        "bitmap": bitmap,
        "view": view,
        "scores": [
            (c, float(image.scores[c]))
            for c in best + ([] if image.true in best else [image.true])
        ],
        "decisions": [_decision(decision, view) for decision in image.decisions()],
        "path": _path(contents, pixels, image),
    }


def _path(
    contents: Contents, pixels: Pixels, image: ExplainedImage
) -> dict[str, Any] | None:
    """Arrange an image's way through a tree: a question and an answer at each node."""
    path = image.path
    if path is None:
        return None
    leaf = int(path.distribution.argmax())
    return {
        "steps": [
            {"part": part, "region": region, "presence": presence, "found": found}
            for part, region, presence, found in zip(
                path.prototypes.tolist(),
                pixels.path_regions[image.number],
                path.presences.tolist(),
                path.went_right.tolist(),
                strict=True,
            )
        ],
        "probability": path.probability,
        "leaf": leaf,
        "share": float(path.distribution[leaf]),
    }


def _decision(decision: Decision, view: View) -> dict[str, Any]:
    """Arrange a decision's rows and boxes.

    The boxes of the parts that speak for the class have numbers, those of the parts
    that speak for the other class, in a difference, letters.
    """
    marked = [(str(i + 1), "for", row) for i, row in enumerate(decision.rows_for)]
    unmarked = [("", "against", row) for row in decision.rows_against]
    if decision.against is not None:
        unmarked = []
        marked += [
            (chr(ord("A") + i), "against", row)
            for i, row in enumerate(decision.rows_against)
        ]
    frames = lay_out(
        view, [row.box for _, _, row in marked], [mark for mark, _, _ in marked]
    )
    rows = decision.rows_for + decision.rows_against
    hottest = float(np.abs(decision.heat_map).max()) or 1.0
    left, top, right, bottom = decision.heat_map_box * view.scale
    return {
        "explained": decision.explained,
        "against": decision.against,
        "rows": [
            {"mark": mark, "side": side, "row": row, "rank": rank % len(PARTS)}
            for rank, (mark, side, row) in enumerate(marked + unmarked)
        ],
        "frames": [
            {"frame": frame, "side": side, "part": row.part, "rank": rank % len(PARTS)}
            for rank, (frame, (_, side, row)) in enumerate(
                zip(frames, marked, strict=True)
            )
        ],
        "largest": max((abs(row.contribution) for row in rows), default=0.0),
        "rest": decision.rest,
        "n_rest": decision.n_rest,
        "bias": decision.bias,
        "score": decision.score,
        "heat": {
            "x": left,
            "y": top,
            "width": right - left,
            "height": bottom - top,
            "for": heat_image(decision.heat_map / hottest, FOR),
            "against": heat_image(-decision.heat_map / hottest, AGAINST),
        },
    }


def _data(contents: Contents, names: list[str]) -> dict[str, Any]:
    """Collect what the script needs to compare any two classes."""
    parts = list(contents.galleries)
    entries = np.argwhere(contents.counts)
    weights = contents.weights
    return {
        "names": names,
        "decimals": _decimals(contents),
        "confusions": [
            [int(t), int(p), int(contents.counts[t, p])] for t, p in entries
        ],
        "parts": parts,
        "classParts": contents.class_parts,
        "weights": None if weights is None else _packed(weights[:, parts]),
        "participation": _packed(contents.participation[:, parts]),
    }


def _decimals(contents: Contents) -> int:
    """Return the decimals that give the largest contribution shown three digits."""
    shown = [
        row.contribution for image in contents.images for row in image.why.rows_for
    ]
    largest = max([*shown, float(contents.participation.max(initial=0))])
    return 2 if largest <= 0 else int(np.clip(2 - np.floor(np.log10(largest)), 1, 8))


def _packed(values: np.ndarray) -> dict[str, Any]:
    """Pack numbers as 16-bit steps, which take far fewer characters than decimals."""
    step = (float(np.abs(values).max(initial=0)) or 1.0) / np.iinfo(np.int16).max
    steps = np.round(values / step).astype("<i2")
    return {"step": step, "steps": base64.b64encode(steps.tobytes()).decode()}
