"""Fits of V between the epochs of training, on the descriptors of the last epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from skorch.callbacks import Callback

from skdpnet.training.linear_fits import Classifier

__all__ = ["ClassifierRefit"]

RefitFunction = Callable[[np.ndarray, np.ndarray, np.ndarray, Classifier], Classifier]


class ClassifierRefit(Callback):
    """Fit V anew before each epoch but the first.

    The steps of training move the parts alone. The descriptors that they compute anyway
    are kept for an epoch, so that V costs no further pass over the images; the parts
    have moved a little since. The module of the net has methods `get_classifier` and
    `set_classifier`, and a field `descriptor` in its output.

    Parameters
    ----------
    fit : callable
        Function of descriptors (n, P), labels (n,), weights (n,), and the present
        coefficients and intercepts, which returns new ones.

    Attributes
    ----------
    batches : list of tuples of tensors
        The descriptors, labels and weights of each batch of the last epoch.
    """

    def __init__(self, fit: RefitFunction):
        self.fit = fit
        self.batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        """Keep the descriptors of a training batch."""
        if training:
            _, (labels, weights) = batch
            self.batches.append((y_pred.descriptor.detach(), labels, weights))

    def on_epoch_begin(self, net, **kwargs):
        """Fit V on the descriptors of the last epoch, if there was one."""
        images = self.take()
        if images is not None:
            model = net.module_
            model.set_classifier(*self.fit(*images, model.get_classifier()))

    def take(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return the descriptors, labels and weights of the last epoch, once.

        None: a callback ended training before the first batch, or there was no epoch.
        """
        if not self.batches:
            return None
        columns = zip(*self.batches, strict=True)
        descriptors, labels, weights = (
            torch.cat(tensors).cpu().numpy() for tensors in columns
        )
        self.forget()
        return descriptors, labels, weights

    def forget(self) -> None:
        """Forget the descriptors of the last epoch."""
        self.batches = []
