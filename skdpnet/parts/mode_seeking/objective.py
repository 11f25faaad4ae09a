"""The objective of discriminative mode seeking, its gradient and its ascent.

Symbols, for one element, which is a part that is being learned:

w (K,)
    The element. Its response to a region of descriptor x is ``w·x``.
b
    Its bias, the height at which it cuts the responses off.
β, λ
    What the negative regions may have above the bias together; the weight of ``|w|²``.

The objective is ``Σ_positive max(w·x - b, 0) - λ |w|²`` under the constraint
``Σ_negative max(w·x - b, 0) = β``. The constraint determines b, so that the objective
is a function of w alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Ascent", "Evaluation", "ascend", "bias_of", "evaluate"]

# A descriptor's length may differ from 1 by rounding, also that of half precision.
_MOST_EXCESS = 1e-3
_MOST_HALVINGS = 8
# Of the last gradient in the running mean. With 1, the toys of the tests end at 96 % of
# the objective that SLSQP finds; with 1/4, at 99.9 %.
_SHARE_OF_LATEST = 0.25
_N_ORDERED = 64


class Evaluation(NamedTuple):
    """The objective of E elements.

    Attributes
    ----------
    values : tensor of shape (E,)
    gradients : tensor of shape (E, K)
        Derivatives of the values by the elements.
    biases : tensor of shape (E,)
    """

    values: torch.Tensor
    gradients: torch.Tensor
    biases: torch.Tensor


class Ascent(NamedTuple):
    """Where E elements have come to.

    Attributes
    ----------
    elements : tensor of shape (E, K)
    biases : tensor of shape (E,)
    history : tensor of shape (E, n_steps + 1)
        The objective at the start and after each step; it never falls.
    """

    elements: torch.Tensor
    biases: torch.Tensor
    history: torch.Tensor


def bias_of(scores: torch.Tensor, beta: float) -> torch.Tensor:
    """Return the bias above which the scores have β together.

    ``Σ max(s - b, 0)`` falls with b, so that one b solves ``Σ max(s - b, 0) = β``. If k
    scores are above it, it is ``b = (sum of the k largest - β) / k``, as in the
    projection onto a simplex.

    Parameters
    ----------
    scores : tensor of shape (..., N)
        Responses to N > 0 negative regions.
    beta : float > 0

    Returns
    -------
    tensor of shape (...)

    Examples
    --------
    >>> import torch
    >>> from skdpnet.parts.mode_seeking.objective import bias_of
    >>> bias_of(torch.tensor([0.0, 3.0, 2.0]), beta=2.0)
    tensor(1.5000)
    """
    # So few scores are above their bias that the rest need no order.
    ordered = scores.topk(min(_N_ORDERED, scores.shape[-1])).values
    biases, n_above = _bias_of_ordered(ordered, beta)
    if (n_above == ordered.shape[-1]).any():
        ordered = scores.sort(dim=-1, descending=True).values
        biases, _ = _bias_of_ordered(ordered, beta)
    return biases


def _bias_of_ordered(
    ordered: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the biases, and how many of the descending scores are above them."""
    counts = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device)
    biases = (ordered.cumsum(dim=-1) - beta) / counts
    # The largest score is always above its own bias, but for rounding.
    n_above = (ordered > biases).sum(dim=-1, keepdim=True).clamp(min=1)
    return biases.gather(-1, n_above - 1).squeeze(-1), n_above


def evaluate(
    elements: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    beta: float,
    penalty: float,
) -> Evaluation:
    """Compute the objective of some elements and its gradient.

    Parameters
    ----------
    elements : tensor of shape (E, K)
        w.
    positives, negatives : tensors of shape (E, n, K), or (n, K) for all elements
        Region descriptors of length 1, or 0.
    beta : float > 0
        β.
    penalty : float > 0
        λ.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If there are no negative regions, or if descriptors have other lengths, with
        which the width of an element would mean nothing.
    """
    _check(positives, negatives)
    scores = _scores(elements, positives), _scores(elements, negatives)
    values, biases = _values(elements, *scores, beta, penalty)
    gradients = _ascending(*scores, biases, positives, negatives)
    return Evaluation(values, gradients - 2 * penalty * elements, biases)


def ascend(
    elements: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    beta: float,
    penalty: float,
    n_steps: int,
) -> Ascent:
    """Climb the objective from some elements.

    While the regions above the bias stay the same, the objective is largest at the
    difference of their sums (the negative ones times n₊/n₋) over 2 λ. Each step goes
    towards that point, and is halved until the objective grows; an element whose
    objective does not grow stays. The difference is a running mean over the steps, with
    that of the last point tried: where the objective has an edge, because a negative
    region comes above the bias, single gradients point across the edge in turns.

    Parameters
    ----------
    elements : tensor of shape (E, K)
        Where to start.
    positives, negatives, beta, penalty
        As in `evaluate`.
    n_steps : int

    Returns
    -------
    Ascent

    Raises
    ------
    ValueError
        As `evaluate`.
    """
    _check(positives, negatives)
    of_positives = _scores(elements, positives)
    of_negatives = _scores(elements, negatives)
    values, biases = _values(elements, of_positives, of_negatives, beta, penalty)
    history = [values]
    ascending = _ascending(of_positives, of_negatives, biases, positives, negatives)
    for _ in range(n_steps):
        direction = ascending / (2 * penalty) - elements
        # Responses are linear, so that shorter steps need no further products.
        moved_positives = _scores(direction, positives)
        moved_negatives = _scores(direction, negatives)
        tried, new_values, new_biases = map(
            torch.empty_like, (elements, values, biases)
        )
        tried_positives, tried_negatives = map(
            torch.empty_like, (of_positives, of_negatives)
        )
        rows, length = torch.arange(len(elements), device=elements.device), 1.0
        for _ in range(_MOST_HALVINGS):
            # Few elements need more than the first trials.
            for new, old, moved in (
                (tried_positives, of_positives, moved_positives),
                (tried_negatives, of_negatives, moved_negatives),
                (tried, elements, direction),
            ):
                new[rows] = old[rows] + length * moved[rows]
            new_values[rows], new_biases[rows] = _values(
                tried[rows], tried_positives[rows], tried_negatives[rows], beta, penalty
            )
            rows = rows[new_values[rows] <= values[rows]]
            if len(rows) == 0:
                break
            length /= 2
        grows = new_values > values
        latest = _ascending(
            tried_positives, tried_negatives, new_biases, positives, negatives
        )
        ascending = ascending + _SHARE_OF_LATEST * (latest - ascending)
        moves = grows[:, None]
        elements = torch.where(moves, tried, elements)
        of_positives = torch.where(moves, tried_positives, of_positives)
        of_negatives = torch.where(moves, tried_negatives, of_negatives)
        values = torch.where(grows, new_values, values)
        biases = torch.where(grows, new_biases, biases)
        history.append(values)
    return Ascent(elements, biases, torch.stack(history, dim=1))


def _check(positives: torch.Tensor, negatives: torch.Tensor) -> None:
    if negatives.shape[-2] == 0:
        raise ValueError(
            "there are no negative regions, without which elements have no bias."
        )
    for name, regions in (("positive", positives), ("negative", negatives)):
        lengths = regions.norm(dim=-1)
        wrong = ((lengths - 1).abs() > _MOST_EXCESS) & (lengths > 0)
        if wrong.any():
            number = int(wrong.nonzero()[0, -1])
            raise ValueError(
                f"{name} region {number} has length {float(lengths[wrong][0]):.3g}, "
                "not 1: divide descriptors by their lengths."
            )


def _scores(elements: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Return the responses (E, n) of elements."""
    if regions.ndim == 2:
        return elements @ regions.T
    return torch.bmm(regions, elements[:, :, None])[:, :, 0]


def _sums(weights: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Return the weighted sums (E, K) of regions."""
    if regions.ndim == 2:
        return weights @ regions
    return torch.bmm(weights[:, None], regions)[:, 0]


def _values(
    elements: torch.Tensor,
    of_positives: torch.Tensor,
    of_negatives: torch.Tensor,
    beta: float,
    penalty: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return objectives and biases (E,) from the responses to the regions."""
    biases = bias_of(of_negatives, beta)
    above = (of_positives - biases[:, None]).clamp(min=0)
    return above.sum(dim=1) - penalty * (elements**2).sum(dim=1), biases


def _ascending(
    of_positives: torch.Tensor,
    of_negatives: torch.Tensor,
    biases: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
) -> torch.Tensor:
    """Return the gradients (E, K) of the positive regions' sum above the bias.

    It is ``n₊ (mean of the positive - mean of the negative regions above the bias)``.
    """
    positive = (of_positives > biases[:, None]).to(of_positives.dtype)
    negative = (of_negatives > biases[:, None]).to(of_positives.dtype)
    shares = negative / negative.sum(dim=1, keepdim=True).clamp(min=1)
    n_positive = positive.sum(dim=1, keepdim=True)
    return _sums(positive, positives) - n_positive * _sums(shares, negatives)
