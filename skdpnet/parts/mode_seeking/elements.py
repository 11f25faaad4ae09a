"""Elements that are trained on one part of the images after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.parts.mode_seeking.objective import ascend, bias_of
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = [
    "TINY",
    "Detections",
    "Search",
    "biases_over_all",
    "folds_of",
    "seek_modes",
]

# Published: elements start at twice the descriptor of their seed.
_START_LENGTH = 2.0
# Regions of a class, and of other classes, on which an element is trained: those to
# which it responds most. Far fewer are above its bias.
_N_POSITIVE = 256
_N_NEGATIVE = 512
# Regions of other classes from which a bias is computed in the end. A bias is lower
# than it should be only if more are above it.
_N_ABOVE = 4_096
# Steps of the ascent in each round.
_N_STEPS = 10
# Bytes of responses, and of an element's regions, that are in memory at once.
_PIECE_BYTES = 64 * 2**20
# A shorter element is zero but for rounding.
TINY = 1e-12
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Search:
    """How modes are sought.

    Parameters
    ----------
    beta : float > 0
        What the negative regions have above an element's bias together.
    penalty : float > 0
        The weight of an element's squared length, for each image of its class.
    n_rounds : int > 1
        Number of folds of the images.
    """

    beta: float
    penalty: float
    n_rounds: int


class Detections(NamedTuple):
    """The best region of each image for each of E elements, before they train on it.

    Attributes
    ----------
    elements : float32 ndarray of shape (E, K)
        After the last round.
    biases : float32 ndarray of shape (E,)
    scores : float32 ndarray of shape (E, n)
        The cosine of the best region, because the length of an element changes from
        fold to fold; −∞ for images of the fold that an element begins with, which it
        is not tested on.
    regions : int ndarray of shape (E, n)
        The number of that region.
    """

    elements: np.ndarray
    biases: np.ndarray
    scores: np.ndarray
    regions: np.ndarray


def folds_of(
    labels: np.ndarray, n_folds: int, random_state: np.random.RandomState
) -> np.ndarray:
    """Share the images of each class out at random.

    Parameters
    ----------
    labels : int ndarray of shape (n,)
    n_folds : int
    random_state : RandomState

    Returns
    -------
    int ndarray of shape (n,)
        The fold of each image. Folds have as many images of a class, but for one.
    """
    folds = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = random_state.permutation(np.flatnonzero(labels == label))
        folds[of_class] = np.arange(len(of_class)) % n_folds
    return folds


def seek_modes(
    regions: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    seeds: np.ndarray,
    search: Search,
) -> Detections:
    """Train elements from their seeds.

    An element begins with the fold that holds its seed, and goes on to the next ones in
    turn. It first looks for its best regions in the images of the fold, which it has
    not been trained on, and is then trained on the best of all regions seen so far.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Region descriptors of length 1, or 0; may be memory-mapped.
    labels, folds : int ndarrays of shape (n,)
    seeds : int ndarray of shape (E, 2)
        Image and region that each element starts from.
    search : Search

    Returns
    -------
    Detections
    """
    n_images, n_elements = len(regions), len(seeds)
    out = Detections(
        _START_LENGTH * regions[seeds[:, 0], seeds[:, 1]],
        np.zeros(n_elements, np.float32),
        np.full((n_elements, n_images), -np.inf, np.float32),
        np.zeros((n_elements, n_images), np.int32),
    )
    first_folds, classes = folds[seeds[:, 0]], labels[seeds[:, 0]]
    for first in np.unique(first_folds):
        groups = [
            _Group(np.flatnonzero((first_folds == first) & (classes == c)), c)
            for c in np.unique(classes[first_folds == first])
        ]
        for done in range(search.n_rounds):
            images = np.flatnonzero(folds == (first + done) % search.n_rounds)
            _scan(regions, labels, images, groups, out, tests=done > 0)
            for group in groups:
                _train(regions, group, out, search)
    return out


def biases_over_all(
    regions: np.ndarray,
    labels: np.ndarray,
    elements: np.ndarray,
    classes: np.ndarray,
    beta: float,
) -> np.ndarray:
    """Compute the biases of elements from the regions of all images.

    While an element is trained it turns, and some regions of images that it has seen
    before come above the bias that it then has.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
    labels : int ndarray of shape (n,)
    elements : float32 ndarray of shape (P, K)
    classes : int ndarray of shape (P,)
        The class of each element.
    beta : float > 0

    Returns
    -------
    float32 ndarray of shape (P,)
    """
    n_regions, depth = regions.shape[1:]
    own = {c: np.flatnonzero(classes == c) for c in np.unique(classes)}
    best = {c: _Best(len(rows), _N_ABOVE) for c, rows in own.items()}
    for images in slices_within(
        len(labels), 4 * n_regions * (depth + 2 * len(elements)), _PIECE_BYTES
    ):
        numbers = np.arange(images.start, images.stop)
        scores = _responses(torch.from_numpy(elements), regions, numbers)
        for c, rows in own.items():
            others = labels[numbers] != c
            best[c].add(scores[rows][:, others], numbers[others])
    biases = np.empty(len(elements), np.float32)
    for c, rows in own.items():
        biases[rows] = bias_of(best[c].scores, beta).numpy()
    return biases


class _Best:
    """The regions with the largest responses that each of E elements has met.

    Attributes
    ----------
    scores : tensor of shape (E, m)
        The responses; m is at most `n_most`.
    numbers : int tensor of shape (E, m)
        Each region's number: that of its image, times R, plus its own in the image.
    """

    def __init__(self, n_elements: int, n_most: int):
        self.n_most = n_most
        self.scores = torch.empty((n_elements, 0))
        self.numbers = torch.empty((n_elements, 0), dtype=torch.int64)

    def add(self, scores: torch.Tensor, images: np.ndarray) -> None:
        """Add regions (E, n', R) of some images."""
        n_regions = scores.shape[2]
        of_images = scores.flatten(1)
        values, places = of_images.topk(min(self.n_most, of_images.shape[1]), dim=1)
        firsts = torch.from_numpy(images * n_regions)
        numbers = firsts[places // n_regions] + places % n_regions
        joined = torch.cat([self.scores, values], dim=1)
        kept = joined.topk(min(self.n_most, joined.shape[1]), dim=1)
        self.scores = kept.values
        self.numbers = torch.cat([self.numbers, numbers], dim=1).gather(1, kept.indices)


class _Group:
    """Elements of one class that begin with the same fold, and so see the same images.

    Attributes
    ----------
    rows : int ndarray of shape (E,)
        The numbers of the elements.
    label : int
    n_seen : int
        Number of images of the class that they have seen.
    positive, negative : _Best
        Regions of the class and of other classes.
    """

    def __init__(self, rows: np.ndarray, label: int):
        self.rows = rows
        self.label = label
        self.n_seen = 0
        self.positive = _Best(len(rows), _N_POSITIVE)
        self.negative = _Best(len(rows), _N_NEGATIVE)


def _scan(
    regions: np.ndarray,
    labels: np.ndarray,
    images: np.ndarray,
    groups: list[_Group],
    out: Detections,
    *,
    tests: bool,
) -> None:
    """Find the best regions of some images for the elements of some groups."""
    n_regions, depth = regions.shape[1:]
    rows = np.concatenate([group.rows for group in groups])
    elements = torch.from_numpy(out.elements[rows])
    lengths = elements.norm(dim=1, keepdim=True).clamp(min=TINY)
    bytes_per_image = 4 * n_regions * (depth + 2 * len(rows))
    for some in slices_within(len(images), bytes_per_image, _PIECE_BYTES):
        numbers = images[some]
        scores = _responses(elements, regions, numbers)
        if tests:
            maxima = scores.max(dim=2)
            out.scores[np.ix_(rows, numbers)] = (maxima.values / lengths).numpy()
            out.regions[np.ix_(rows, numbers)] = maxima.indices.numpy()
        start = 0
        for group in groups:
            of_group = scores[start : start + len(group.rows)]
            start += len(group.rows)
            in_class = labels[numbers] == group.label
            group.n_seen += int(in_class.sum())
            group.positive.add(of_group[:, in_class], numbers[in_class])
            group.negative.add(of_group[:, ~in_class], numbers[~in_class])


def _responses(
    elements: torch.Tensor, regions: np.ndarray, images: np.ndarray
) -> torch.Tensor:
    """Return the responses (E, n', R) of elements to the regions of some images."""
    some = as_tensor(regions[images], _CPU)
    return (elements @ some.flatten(0, 1).T).unflatten(1, some.shape[:2])


def _train(regions: np.ndarray, group: _Group, out: Detections, search: Search) -> None:
    """Train the elements of a group on the best regions that they have met."""
    if group.negative.numbers.shape[1] == 0:
        return  # The first folds of a small data set may hold one class alone.
    n_regions, depth = regions.shape[1:]
    n_kept = group.positive.numbers.shape[1] + group.negative.numbers.shape[1]
    for some in slices_within(len(group.rows), 4 * n_kept * depth, _PIECE_BYTES):
        rows = group.rows[some]
        positives, negatives = (
            as_tensor(regions[np.divmod(best.numbers[some].numpy(), n_regions)], _CPU)
            for best in (group.positive, group.negative)
        )
        found = ascend(
            torch.from_numpy(out.elements[rows]),
            positives,
            negatives,
            beta=search.beta,
            penalty=search.penalty * group.n_seen,
            n_steps=_N_STEPS,
        )
        out.elements[rows] = found.elements.numpy()
        out.biases[rows] = found.biases.numpy()
        elements = found.elements[:, :, None]
        group.positive.scores[some] = (positives @ elements)[:, :, 0]
        group.negative.scores[some] = (negatives @ elements)[:, :, 0]
