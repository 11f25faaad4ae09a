"""What a report says, as numbers: no pixels and no HTML.

C classes, P parts. A class is a number here, its position among the model's labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.contributions import explain_each
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.galleries import PartGallery, part_galleries
from skdpnet.explanations.readout import EstimatorReadout, Readout, read_model
from skdpnet.images.collection import Images
from skdpnet.prototypes.prototree import ProtoTreeClassifier
from skdpnet.prototypes.tree_path import TreePath
from skdpnet.reporting.selection import InTurn

__all__ = ["Contents", "Decision", "ExplainedImage", "Row", "gather"]

# Rows of an image's tables; more boxes on an image could not be distinguished.
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
        Whether the part responds more than in an average training image.
    box : float64 ndarray of shape (4,)
        The region that the part responds to most, in pixels of the upright image.
    """

    part: int
    contribution: float
    present: bool
    box: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Decision:
    """An `Explanation`, cut down to what a page shows of it.

    ``sum of the rows' contributions + rest + bias = score``.

    Attributes
    ----------
    explained, against : int or None
        Classes; `against` is None except for a difference.
    rows_for : list of Row
        Parts whose presence speaks for the class, largest contribution first.
    rows_against : list of Row
        Parts with the most negative contributions; for a difference, parts whose
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
    """A test image with the model's decision about it.

    Attributes
    ----------
    number : int
        Its position in X_test.
    true, predicted : int
        Classes.
    scores : float64 ndarray of shape (C,)
    why : Decision
        Explains the score of the predicted class.
    difference : Decision or None
        Explains why the predicted class and not the true one; None where they are
        the same.
    path : TreePath or None
        The image's way through a tree of prototypes; None where the model is no tree.
    """

    number: int
    true: int
    predicted: int
    scores: np.ndarray = field(repr=False)
    why: Decision
    difference: Decision | None
    path: TreePath | None = field(default=None, repr=False)

    def decisions(self) -> list[Decision]:
        """Return `why`, and `difference` if there is one."""
        return [self.why, *([self.difference] if self.difference else [])]

    def parts(self) -> list[int]:
        """Return the numbers of the parts in the tables and on the path, each once."""
        rows = [
            row
            for decision in self.decisions()
            for row in decision.rows_for + decision.rows_against
        ]
        passed = [] if self.path is None else self.path.prototypes.tolist()
        return list(dict.fromkeys([*(row.part for row in rows), *passed]))


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything that a report says.

    Attributes
    ----------
    labels : list of C labels
    counts : int ndarray of shape (C, C)
        Confusion matrix: rows are true classes, columns predicted ones.
    weights : float64 ndarray of shape (C, P), or None
        None where the model's decision is not linear in the descriptor.
    participation : float64 ndarray of shape (C, P)
        Mean contribution of each part to each class's score over the test images
        of that class; 0 for classes without test images.
    biases : float64 ndarray of shape (C,)
        Mean bias of each class's score over the same images.
    class_parts : list of lists of int
        For each class, the parts whose presence speaks for it on average, largest
        mean contribution first. For a class without test images by weight, where
        there are weights, and no parts where there are none.
    images : list of ExplainedImage
        Those shown: first the wrongly classified ones, then the others, both class
        by class.
    n_wrong : int
        How many images of the whole test set are wrongly classified.
    part_names : object ndarray of shape (P,)
    homes : int ndarray of shape (P,)
        Class that each part was learned for, under which it is listed; −1 for a part
        that classes share.
    galleries : dict of int to PartGallery
        Galleries of all parts named anywhere, by the part's number.
    """

    labels: list[Any]
    counts: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    participation: np.ndarray = field(repr=False)
    biases: np.ndarray = field(repr=False)
    class_parts: list[list[int]] = field(repr=False)
    images: list[ExplainedImage] = field(repr=False)
    n_wrong: int
    part_names: np.ndarray = field(repr=False)
    homes: np.ndarray = field(repr=False)
    galleries: dict[int, PartGallery] = field(repr=False)

    @property
    def use(self) -> np.ndarray:
        """How much each class uses each part, (C, P): weights, or participation."""
        return self.participation if self.weights is None else self.weights


def gather(
    estimator,
    train: Images,
    test: Images,
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
    train, test : Images
    truth : int ndarray of shape (n,)
        True classes of the test images.
    n_parts : int
        Number of parts listed for each class.
    n_crops : int
        Number of regions in each part's gallery.
    n_wrong : int
        Number of wrongly classified images kept, in turn from the classes.
    n_right : int
        Number of rightly classified images kept of each class.
    verbose : int
        1 or more: progress bars.

    Returns
    -------
    Contents
    """
    parts, readout = read_model(estimator)
    tree = _deciding_tree(parts, readout)
    n_classes, n_all_parts = len(readout.classes), len(parts.part_maps_)
    counts = np.zeros((n_classes, n_classes), np.int64)
    contributions = np.zeros((n_classes, n_all_parts))
    biases = np.zeros(n_classes)
    wrong = InTurn(n_wrong)
    right = InTurn(n_right * n_classes, each=n_right)
    explanations = tqdm(
        explain_each(estimator, test, apply_exif=True),
        desc="explaining X_test",
        total=len(truth),
        unit="image",
        disable=not verbose,
    )
    for i, why in enumerate(explanations):
        true, predicted = int(truth[i]), int(why.scores.argmax())
        counts[true, predicted] += 1
        descriptors = why.descriptor[None]
        contributions[true] += readout.contributions(descriptors, true)[0]
        biases[true] += readout.biases(descriptors, true)[0]
        chosen = right if true == predicted else wrong
        place = chosen.place(true, i)
        if place is not None:
            path = None if tree is None else tree.explained_path(why)
            chosen.keep(place, _image(i, true, predicted, why, path))
    n_images = counts.sum(axis=1)
    participation = contributions / np.maximum(n_images, 1)[:, None]
    weights = _weights(readout)
    class_parts = [
        _parts_for(
            None if weights is None else weights[c],
            participation[c] if n_images[c] else None,
        )[:n_parts]
        for c in range(n_classes)
    ]
    images = [
        image
        for chosen in (wrong, right)
        for image in sorted(chosen.kept(), key=lambda image: (image.true, image.number))
    ]
    lists_of_parts = [*class_parts, *(image.parts() for image in images)]
    shown = sorted({part for numbers in lists_of_parts for part in numbers})
    galleries = part_galleries(
        parts, np.array(shown, np.intp), train, n_crops, apply_exif=True
    )
    return Contents(
        labels=readout.classes.tolist(),
        counts=counts,
        weights=weights,
        participation=participation,
        biases=biases / np.maximum(n_images, 1),
        class_parts=class_parts,
        images=images,
        n_wrong=wrong.n_seen,
        part_names=parts.get_part_names(),
        homes=_homes(
            parts,
            readout.classes.tolist(),
            participation if weights is None else weights,
        ),
        galleries=dict(zip(shown, galleries, strict=True)),
    )


def _deciding_tree(
    parts: PartEstimator, readout: Readout
) -> ProtoTreeClassifier | None:
    """Return the tree whose paths are the decisions, if the model is one."""
    decides = isinstance(readout, EstimatorReadout) and readout.estimator is parts
    return parts if decides and isinstance(parts, ProtoTreeClassifier) else None


def _weights(readout: Readout) -> np.ndarray | None:
    """Return the weights of all parts for all classes, (C, P), if there are any."""
    weights = [readout.weights(c) for c in range(len(readout.classes))]
    rows = [row for row in weights if row is not None]
    return np.stack(rows) if len(rows) == len(weights) else None


def _parts_for(
    weights: np.ndarray | None, participation: np.ndarray | None
) -> list[int]:
    """List the parts whose presence speaks for a class, the strongest first.

    Parameters
    ----------
    weights : ndarray of shape (P,) or None
        None where the decision has no weights.
    participation : ndarray of shape (P,) or None
        None where no image shows how much the parts contribute.
    """
    strength = weights if participation is None else participation
    if strength is None:
        return []
    order = np.argsort(-strength, kind="stable")
    speaks_for = strength[order] > 0
    if weights is not None:
        speaks_for &= weights[order] > 0
    return order[speaks_for].tolist()


def _homes(parts: PartEstimator, labels: list, use: np.ndarray) -> np.ndarray:
    """Return the class that each part was learned for; −1 for shared parts."""
    numbers = {label: c for c, label in enumerate(labels)}
    learned_for = parts.classes_.tolist()
    # The classifier of a Pipeline may have been fitted with other labels than the
    # parts, which are then listed under the class that uses them most.
    main_users = use.argmax(axis=0).tolist()
    return np.array(
        [
            -1 if c < 0 else numbers.get(learned_for[c], main_users[p])
            for p, c in enumerate(parts.part_classes_.tolist())
        ]
    )


def _image(
    number: int, true: int, predicted: int, why: Explanation, path: TreePath | None
) -> ExplainedImage:
    difference = None
    if true != predicted:
        lead = why.difference(why.classes.tolist()[true])
        order = np.argsort(lead.contributions, kind="stable")
        speaks_against = lead.contributions[order] < 0
        if lead.weights is not None:
            speaks_against &= lead.weights[order] < 0
        rows_for = lead.top_parts(_ROWS_DIFFERENCE)
        rows_against = order[speaks_against][:_ROWS_DIFFERENCE]
        difference = _decision(lead, predicted, true, rows_for, rows_against)
    rows_for = why.top_parts(_ROWS_FOR)
    order = np.argsort(why.contributions, kind="stable")
    rows_against = order[why.contributions[order] < 0][:_ROWS_AGAINST]
    return ExplainedImage(
        number=number,
        true=true,
        predicted=predicted,
        # A copy, so that an image does not keep the scores of its whole batch.
        scores=why.scores.copy(),
        why=_decision(why, predicted, None, rows_for, rows_against),
        difference=difference,
        path=path,
    )


def _decision(
    why: Explanation,
    explained: int,
    against: int | None,
    rows_for: np.ndarray,
    rows_against: np.ndarray,
) -> Decision:
    def rows(parts: Iterable[int]) -> list[Row]:
        # Copies, so that a box does not keep the arrays of the whole explanation.
        return [
            Row(
                part=int(p),
                contribution=float(why.contributions[p]),
                present=bool(why.present[p]),
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
