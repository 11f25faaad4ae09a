"""What a report says, as numbers: no pixels and no HTML.

C classes, P parts; classes are numbers into the model's list of labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skdpnet.explanations.contributions import explain_each
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.galleries import PartGallery, part_galleries
from skdpnet.explanations.readout import LinearReadout
from skdpnet.reporting.selection import InTurn

__all__ = ["Contents", "Decision", "ExplainedImage", "Row", "gather"]

# Rows of an image's tables; more boxes on one image could not be told apart.
_ROWS_FOR, _ROWS_AGAINST = 5, 3
_ROWS_DIFFERENCE = 3


@dataclass(frozen=True, eq=False)
class Row:
    """One part in the explanation of an image.

    Attributes
    ----------
    part : int
    contribution : float
    present : bool
        Whether it responds more than in an average training image.
    box : float64 ndarray of shape (4,)
        Its best region, in pixels of the upright image.
    """

    part: int
    contribution: float
    present: bool
    box: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Decision:
    """An `Explanation` cut down to what a page shows of it.

    ``sum of the rows' contributions + rest + bias = score``.

    Attributes
    ----------
    explained, against : int or None
        Classes; `against` is None but for a difference.
    rows_for : list of Row
        Parts whose presence speaks for the class, largest contribution first.
    rows_against : list of Row
        Parts with the most negative contributions; of a difference, parts whose
        presence speaks for the other class.
    rest : float
        What the `n_rest` other parts contribute together.
    n_rest : int
    bias, score : float
    heat_map : float64 ndarray of shape (H, W)
    heat_map_box : float64 ndarray of shape (4,)
    """

    explained: int
    against: int | None
    rows_for: list[Row]
    rows_against: list[Row]
    rest: float
    n_rest: int
    bias: float
    score: float
    heat_map: np.ndarray = field(repr=False)
    heat_map_box: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """An image of the test set.

    Attributes
    ----------
    number : int
        Its place in X_test.
    true, predicted : int
    scores : float64 ndarray of shape (C,)
    why : Decision
        About the score of the predicted class.
    difference : Decision or None
        Why the predicted and not the true class; None where they are the same.
    """

    number: int
    true: int
    predicted: int
    scores: np.ndarray = field(repr=False)
    why: Decision
    difference: Decision | None

    def parts(self) -> list[int]:
        """List the parts that the tables name, each once."""
        decisions = [self.why, *([self.difference] if self.difference else [])]
        rows = [row for own in decisions for row in own.rows_for + own.rows_against]
        return list(dict.fromkeys(row.part for row in rows))


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a report says.

    Attributes
    ----------
    labels : list
        Of the C classes.
    counts : int ndarray of shape (C, C)
        Confusion matrix: rows are true classes, columns predicted ones.
    coef : float64 ndarray of shape (C, P)
    intercept : float64 ndarray of shape (C,)
    participation : float64 ndarray of shape (C, P)
        Mean contribution of each part to each class's score over the test images
        of that class; 0 for classes without any.
    class_parts : list of lists of int
        Of each class, the parts whose presence speaks for it on average, largest
        mean contribution first; for a class without test images by weight.
    images : list of ExplainedImage
        Those shown: wrong ones first, then class by class.
    n_wrong : int
        How many images of the whole test set are wrong.
    part_names : object ndarray of shape (P,)
    homes : int ndarray of shape (P,)
        Class that each part is listed under: the one it was learned for.
    galleries : dict of int to PartGallery
        Of all parts named anywhere, by number.
    """

    labels: list[Any]
    counts: np.ndarray = field(repr=False)
    coef: np.ndarray = field(repr=False)
    intercept: np.ndarray = field(repr=False)
    participation: np.ndarray = field(repr=False)
    class_parts: list[list[int]] = field(repr=False)
    images: list[ExplainedImage] = field(repr=False)
    n_wrong: int
    part_names: np.ndarray = field(repr=False)
    homes: np.ndarray = field(repr=False)
    galleries: dict[int, PartGallery] = field(repr=False)


def gather(
    estimator,
    readout: LinearReadout,
    X_train,
    X_test,
    truth: np.ndarray,
    *,
    n_parts: int,
    n_crops: int,
    n_wrong: int,
    n_right: int,
    verbose: int,
) -> Contents:
    """Compute what a report says, in one pass over either set of images.

    Parameters
    ----------
    estimator : fitted classifier
        As `skdpnet.explain` takes it.
    readout : LinearReadout
        Of the same.
    X_train, X_test : images
    truth : int ndarray of shape (n,)
        Classes of the images in X_test.
    n_parts : int
        Parts listed of each class.
    n_crops : int
        Regions in each part's gallery.
    n_wrong : int
        Wrong images kept, in turn from the classes.
    n_right : int
        Right images kept of each class.
    verbose : int
        1 or more: progress bars.

    Returns
    -------
    Contents
    """
    n_classes, n_all_parts = readout.coef.shape
    counts = np.zeros((n_classes, n_classes), np.int64)
    sums = np.zeros((n_classes, n_all_parts))
    wrong = InTurn(n_wrong)
    right = InTurn(n_right * n_classes, each=n_right)
    bar = tqdm(
        explain_each(estimator, X_test, apply_exif=True),
        desc="explaining X_test",
        total=len(truth),
        unit="image",
        disable=not verbose,
    )
    for i, why in enumerate(bar):
        true, predicted = int(truth[i]), int(why.scores.argmax())
        counts[true, predicted] += 1
        sums[true] += why.descriptor
        chosen = right if true == predicted else wrong
        place = chosen.place(true, i)
        if place is not None:
            chosen.keep(place, _image(i, true, predicted, why))
    n_test = counts.sum(axis=1)
    participation = readout.coef * sums / np.maximum(n_test, 1)[:, None]
    class_parts = [
        _speaking_for(readout.coef[c], participation[c], n_test[c] > 0)[:n_parts]
        for c in range(n_classes)
    ]
    images = [
        image
        for chosen in (wrong, right)
        for image in sorted(chosen.kept(), key=lambda own: (own.true, own.number))
    ]
    named = [*class_parts, *(image.parts() for image in images)]
    parts = sorted({part for own in named for part in own})
    galleries = part_galleries(estimator, parts, X_train, n_crops, apply_exif=True)
    return Contents(
        labels=readout.classes.tolist(),
        counts=counts,
        coef=readout.coef,
        intercept=readout.intercept,
        participation=participation,
        class_parts=class_parts,
        images=images,
        n_wrong=wrong.n_seen,
        part_names=readout.parts.get_feature_names_out(),
        homes=_homes(readout),
        galleries=dict(zip(parts, galleries, strict=True)),
    )


def _speaking_for(
    weights: np.ndarray, participation: np.ndarray, known: bool
) -> list[int]:
    """Parts of a class by mean contribution, those alone that speak by presence."""
    size = participation if known else weights
    order = np.argsort(-size, kind="stable")
    return order[(weights[order] > 0) & (size[order] > 0)].tolist()


def _homes(readout: LinearReadout) -> np.ndarray:
    """Class of each part, as a number into the classifier's labels."""
    numbers = {label: c for c, label in enumerate(readout.classes.tolist())}
    strongest = readout.coef.argmax(axis=0)
    learned = readout.parts.classes_[readout.parts.part_classes_].tolist()
    # The classifier of a Pipeline may have been fitted with other labels.
    pairs = zip(learned, strongest.tolist(), strict=True)
    return np.array([numbers.get(label, other) for label, other in pairs])


def _image(number: int, true: int, predicted: int, why: Explanation) -> ExplainedImage:
    difference = None
    if true != predicted:
        told = why.difference(why.classes.tolist()[true])
        rows_for = told.top_parts(_ROWS_DIFFERENCE)
        order = np.argsort(told.contributions, kind="stable")
        other = (told.weights[order] < 0) & (told.contributions[order] < 0)
        rows_against = order[other][:_ROWS_DIFFERENCE]
        difference = _decision(told, predicted, true, rows_for, rows_against)
    rows_for = why.top_parts(_ROWS_FOR)
    order = np.argsort(why.contributions, kind="stable")
    rows_against = order[why.contributions[order] < 0][:_ROWS_AGAINST]
    return ExplainedImage(
        number=number,
        true=true,
        predicted=predicted,
        scores=why.scores.copy(),
        why=_decision(why, predicted, None, rows_for, rows_against),
        difference=difference,
    )


def _decision(
    why: Explanation,
    explained: int,
    against: int | None,
    rows_for: np.ndarray,
    rows_against: np.ndarray,
) -> Decision:
    def rows(parts: Iterable[int]) -> list[Row]:
        # Copies, lest a box keep the arrays of the whole explanation.
        return [
            Row(
                part=int(p),
                contribution=float(why.contributions[p]),
                present=bool(why.descriptor[p] > 0),
                box=why.boxes[p].copy(),
            )
            for p in parts
        ]

    others = np.ones(len(why.contributions), bool)
    others[rows_for] = others[rows_against] = False
    return Decision(
        explained=explained,
        against=against,
        rows_for=rows(rows_for),
        rows_against=rows(rows_against),
        rest=float(why.contributions[others].sum()),
        n_rest=int(others.sum()),
        bias=why.bias,
        score=why.score,
        heat_map=why.heat_map(),
        heat_map_box=why.heat_map_box.copy(),
    )
