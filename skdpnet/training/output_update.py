"""Updates of a module between the epochs of training, from the outputs of the last."""

from __future__ import annotations

from collections.abc import Callable

import torch
from skorch.callbacks import Callback

__all__ = ["OutputUpdate"]

Update = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor], None]


class OutputUpdate(Callback):
    """Update what no derivative trains, before each epoch but the first.

    The outputs that the steps of training compute anyway are kept for an epoch, so that
    the update costs no further pass over the images; parameters have moved a little
    since.

    Parameters
    ----------
    update : callable
        Function of the module, its outputs (n, ...), the labels (n,) and the weights
        (n,), which changes the module.
    """

    def __init__(self, update: Update):
        self.update = update
        self.batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        """Keep the output of a training batch."""
        if training:
            _, (labels, weights) = batch
            self.batches.append((y_pred.detach(), labels, weights))

    def on_epoch_begin(self, net, **kwargs):
        """Update the module by the outputs of the last epoch, if there was one."""
        if self.batches:
            columns = zip(*self.batches, strict=True)
            self.batches = []
            self.update(net.module_, *(torch.cat(tensors) for tensors in columns))

    def on_train_end(self, net, **kwargs):
        """Forget the outputs of the last epoch."""
        self.batches = []
