"""Maxima, assignment penalty and gradient from NumPy's region descriptors."""

import torch

from tests.parts.by_loops import descriptors


def maxima_by_formula(maps, parts, mean, beta, temperature, weights):
    """Results in float64.

    Returns
    -------
    maxima : tensor of shape (n, P)
    penalty : scalar tensor
    gradient : tensor of shape (P, K)
        That of ``sum(weights * maxima) + 3 * penalty``, by autograd.
    """
    u = torch.tensor(parts, requires_grad=True)
    s = torch.tensor(descriptors(maps, mean)) @ u.T
    if beta is None:
        maxima = s.max(dim=1).values
    else:
        maxima = (beta * s).exp().mean(dim=1).log() / beta
    penalty = torch.zeros((), dtype=torch.float64)
    if temperature is not None:
        share = (s / temperature).exp()
        share = share / share.sum(dim=-1, keepdim=True)
        penalty = -(share * share.log()).sum(dim=-1).mean()
    ((maxima * weights).sum() + 3 * penalty).backward()
    return maxima.detach(), penalty.detach(), u.grad
