"""The training of the graph network."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skdpnet.parts.layout_graph.model import GraphObjective, LayoutGraphModel
from skdpnet.parts.layout_graph.nodes import Nodes
from skdpnet.training.dataset import MapDataset
from skdpnet.training.fit_tasks import epochs_as_tasks
from skdpnet.training.net import build_net

__all__ = ["train"]


def train(
    estimator: BaseEstimator,
    model: LayoutGraphModel,
    nodes: Nodes,
    labels: np.ndarray,
    weights: np.ndarray,
    device: torch.device,
    seed: int,
) -> list[dict[str, float]]:
    """Train the network.

    Parameters
    ----------
    estimator : LayoutGraphClassifier
        Its parameters `max_epochs`, `lr`, `batch_size` and `verbose` are used.
    model : LayoutGraphModel
        Changed in place.
    nodes : Nodes
        Of the training images, on the CPU.
    labels : int ndarray of shape (n,)
        Their classes.
    weights : float ndarray of shape (n,)
    device : torch.device
    seed : int
        Seed of the order of the images.

    Returns
    -------
    list of dict
        The mean of the loss in each epoch.
    """
    objective = GraphObjective()
    net = build_net(
        model.to(device),
        objective,
        max_epochs=estimator.max_epochs,
        lr=estimator.lr,
        batch_size=estimator.batch_size,
        decay=True,
        valid=None,
        n_iter_no_change=1,
        callbacks=None,
        net_params=None,
        device=device,
        verbose=estimator.verbose,
        seed=seed,
    )
    arrays = [tensor.numpy() for tensor in nodes.inputs()]
    dataset = MapDataset(arrays, labels, weights).move_to_gpu(device)
    with epochs_as_tasks(estimator, net.initialize()):
        net.partial_fit(dataset)
    return [
        {name: float(epoch[f"train_{name}"]) for name in objective.term_names}
        for epoch in net.history
    ]
