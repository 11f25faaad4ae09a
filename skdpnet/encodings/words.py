"""What encodings by visual words compute: assignments, and codes of neighbours."""

from __future__ import annotations

import torch

from skdpnet.encodings.pyramid import WHOLE_IMAGE, Levels, pyramid_cells

__all__ = ["linear_codes", "nearest_words", "pool_largest", "word_counts"]

# Diagonal of the matrix of a descriptor that is equal to all its neighbours.
_TINY = 1e-12


def nearest_words(
    descriptors: torch.Tensor, words: torch.Tensor, n_neighbors: int = 1
) -> torch.Tensor:
    """Find the words that are nearest to each descriptor.

    Parameters
    ----------
    descriptors : tensor of shape (…, D)
    words : tensor of shape (K, D)
    n_neighbors : int, default=1
        k; all words where there are fewer.

    Returns
    -------
    int tensor of shape (…, k)
        The numbers of the words, the nearest first.
    """
    closeness = descriptors @ words.T - words.square().sum(1) / 2
    if n_neighbors == 1:
        # A third of the time of `topk`.
        return closeness.argmax(-1, keepdim=True)
    return closeness.topk(min(n_neighbors, len(words)), dim=-1).indices


def word_counts(
    numbers: torch.Tensor,
    valid: torch.Tensor,
    n_words: int,
    levels: Levels = WHOLE_IMAGE,
) -> torch.Tensor:
    """Count the words in each cell of a spatial pyramid.

    Parameters
    ----------
    numbers : int tensor of shape (n, H, W, M)
        The words of M descriptors at each place of n images.
    valid : bool tensor of shape (n, H, W, M)
        The descriptors that count.
    n_words : int
    levels : sequence of (rows, columns), default=((1, 1),)

    Returns
    -------
    float32 tensor of shape (n, n_cells, n_words)

    Examples
    --------
    >>> import torch
    >>> from skdpnet.encodings.words import word_counts
    >>> numbers = torch.tensor([0, 1, 1, 1]).view(1, 2, 2, 1)
    >>> word_counts(numbers, numbers >= 0, 2, ((1, 1), (2, 1)))[0]
    tensor([[1., 3.],
            [1., 1.],
            [0., 2.]])
    """
    counts = []
    for rows, columns in pyramid_cells(levels, *numbers.shape[1:3]):
        in_cell = numbers[:, rows, columns].flatten(1)
        weights = valid[:, rows, columns].flatten(1).float()
        out = weights.new_zeros(len(numbers), n_words)
        counts.append(out.scatter_add_(1, in_cell, weights))
    return torch.stack(counts, dim=1)


def linear_codes(
    descriptors: torch.Tensor,
    words: torch.Tensor,
    numbers: torch.Tensor,
    regularisation: float,
) -> torch.Tensor:
    """Write each descriptor as a combination of words near it, with weights of sum 1.

    The weights c minimise ``|x - Σ_j c_j w_j|² + λ |c|²`` under ``Σ_j c_j = 1``, where
    λ is `regularisation` times the trace of ``G = z zᵀ``, ``z_j = w_j - x``. They are
    the solution of ``(G + λ I) c = 1``, divided by its sum.

    Parameters
    ----------
    descriptors : tensor of shape (…, D)
    words : tensor of shape (K, D)
    numbers : int tensor of shape (…, k)
        The words that each descriptor is written in.
    regularisation : float > 0

    Returns
    -------
    tensor of shape (…, k)
    """
    offsets = words[numbers] - descriptors[..., None, :]
    gram = offsets @ offsets.mT
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    trace = diagonal.sum(-1, keepdim=True)
    # Equal weights where a descriptor is each of its neighbours.
    diagonal += torch.where(trace > 0, regularisation * trace, _TINY)
    ones = gram.new_ones(*numbers.shape, 1)
    factor, _ = torch.linalg.cholesky_ex(gram)
    weights = torch.cholesky_solve(ones, factor)[..., 0]
    return weights / weights.sum(-1, keepdim=True)


def pool_largest(
    codes: torch.Tensor,
    numbers: torch.Tensor,
    valid: torch.Tensor,
    n_words: int,
    levels: Levels = WHOLE_IMAGE,
) -> torch.Tensor:
    """Keep the largest code of each word in each cell of a spatial pyramid.

    Parameters
    ----------
    codes : tensor of shape (n, H, W, M, k)
    numbers : int tensor of shape (n, H, W, M, k)
        The words of the codes.
    valid : bool tensor of shape (n, H, W, M)
        The descriptors that count.
    n_words : int
    levels : sequence of (rows, columns), default=((1, 1),)

    Returns
    -------
    tensor of shape (n, n_cells, n_words)
        0 for words without a positive code.
    """
    counted = torch.where(valid[..., None], codes, 0)
    pooled = []
    for rows, columns in pyramid_cells(levels, *numbers.shape[1:3]):
        in_cell = numbers[:, rows, columns].flatten(1)
        out = codes.new_zeros(len(codes), n_words)
        own = counted[:, rows, columns].flatten(1)
        pooled.append(out.scatter_reduce_(1, in_cell, own, "amax"))
    return torch.stack(pooled, dim=1)
