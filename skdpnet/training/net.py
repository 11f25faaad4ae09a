"""The skorch net that trains a module by an objective of several named terms."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

import skorch
import torch
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    LRScheduler,
    PassthroughScoring,
)
from skorch.helper import predefined_split
from torch.utils.data import Dataset
from tqdm.auto import tqdm

__all__ = ["ObjectiveNet", "TermsObjective", "UserInterrupt", "build_net", "keep_rates"]


class TermsObjective(Protocol):
    """What is minimised: a sum of named terms."""

    @property
    def term_names(self) -> list[str]:
        """Names of the terms."""

    def terms(
        self, module: Any, output: Any, labels: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the terms by name, for the module's output on a batch."""


class TrainingStopped(KeyboardInterrupt):
    """A callback asked for the end of training, as skorch's callbacks do."""


class UserInterrupt(BaseException):
    """The user's Ctrl-C, which skorch would otherwise take for a callback's stop."""


class ObjectiveNet(skorch.NeuralNet):
    """skorch net whose loss is a `TermsObjective`; the history has each term."""

    def __init__(self, *args, objective: TermsObjective, **kwargs):
        self.objective = objective
        super().__init__(*args, **kwargs)

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks, and mark a stop that one of them asks for."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            raise TrainingStopped from stop

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train; the user's Ctrl-C ends more than this fit."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except TrainingStopped:
            return self
        except BaseException as error:
            # skorch would not call `on_train_end`, where callbacks close what they
            # opened. A callback that fails there says less than the first error.
            with contextlib.suppress(Exception):
                self.notify("on_train_end", X=X, y=y)
            if isinstance(error, KeyboardInterrupt):
                raise UserInterrupt from error
            raise

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Sum the objective's terms and record each."""
        labels, weights = (part.to(self.device) for part in y_true)
        terms = self.objective.terms(self.module_, y_pred, labels, weights)
        # Fetched together, because each fetch waits for a GPU to finish.
        values = torch.stack(list(terms.values())).tolist()
        for name, value in zip(terms, values, strict=True):
            self.history.record_batch(_column(name, training), value)
        return sum(terms.values())


def _column(term: str, training: bool) -> str:
    return f"{'train' if training else 'valid'}_{term}"


def build_net(
    module: torch.nn.Module,
    objective: TermsObjective,
    *,
    max_epochs: int,
    lr: float,
    param_groups: Sequence[tuple[str, dict[str, Any]]] = (),
    batch_size: int,
    decay: bool,
    valid: Dataset | None,
    n_iter_no_change: int,
    callbacks: Sequence | None,
    net_params: dict[str, Any] | None,
    device: torch.device,
    verbose: int,
    seed: int,
) -> ObjectiveNet:
    """Build the net that trains a module.

    skorch's defaults that would surprise are overridden: no hidden hold-out set,
    shuffled batches from a seeded generator, no table on standard output.

    Parameters
    ----------
    module : torch.nn.Module
    objective : TermsObjective
    max_epochs, batch_size : int
        See `DPNetClassifier`.
    lr : float
        Learning rate of Adam.
    param_groups : sequence of (str, dict), default=()
        Patterns of parameters' names with options of the optimiser of their own.
    decay : bool
        Whether the learning rates fall to 0 along a cosine over `max_epochs`.
    valid : Dataset or None
        If there is one, its loss is followed and the epoch where it is least is kept.
    n_iter_no_change : int
        Epochs without a better validation loss after which training ends.
    callbacks : list of skorch callbacks or None
        Added after the built-in ones.
    net_params : dict or None
        Merged over all parameters of the net, last.
    device : torch.device
    verbose : int
        1 or more: a progress bar over the epochs; 2 or more: skorch's table too.
    seed : int
        Of the order of the batches.

    Returns
    -------
    ObjectiveNet, not yet initialised
    """
    built_in: list[tuple[str, Any]] = [
        (
            _column(name, training),
            PassthroughScoring(_column(name, training), on_train=training),
        )
        for name in objective.term_names
        for training in ((True, False) if valid is not None else (True,))
    ]
    if decay:
        schedule = LRScheduler("CosineAnnealingLR", T_max=max(1, max_epochs))
        built_in.append(("schedule", schedule))
    if valid is not None:
        stop = EarlyStopping(
            patience=n_iter_no_change, load_best=True, sink=_discard_message
        )
        built_in.append(("early_stopping", stop))
    if verbose:
        built_in.append(("bar", _EpochBar()))
    params: dict[str, Any] = {
        "module": module,
        "criterion": torch.nn.Identity,
        "objective": objective,
        "optimizer": torch.optim.Adam,
        "lr": lr,
        "optimizer__param_groups": list(param_groups),
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "train_split": predefined_split(valid) if valid is not None else None,
        "iterator_train__shuffle": True,
        "iterator_train__generator": torch.Generator().manual_seed(seed),
        "iterator_train__collate_fn": _return_batch,
        "iterator_valid__collate_fn": _return_batch,
        "callbacks": [*built_in, *(callbacks or [])],
        "device": device,
        "verbose": int(verbose >= 2),
        # The table's callback prints through a `print` that it looks up itself, which
        # fails where that was replaced.
        **({} if verbose >= 2 else {"callbacks__print_log": None}),
        **(net_params or {}),
    }
    return ObjectiveNet(**params)


def keep_rates(net: ObjectiveNet, rates: Sequence[float]) -> None:
    """Let a net train on at constant rates, and without a validation set.

    Parameters
    ----------
    net : ObjectiveNet
    rates : sequence of float
        Learning rate of each group of parameters: those of `param_groups` in their
        order, then that of all other parameters.
    """
    net.callbacks_ = [
        (name, callback)
        for name, callback in net.callbacks_
        if name not in ("schedule", "early_stopping") and not name.startswith("valid_")
    ]
    for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
        group["lr"] = rate


def _return_batch(batch):
    """Pass on a batch that the data set has collated itself."""
    return batch


def _discard_message(*args) -> None:
    """Drop the sentence that early stopping prints; the history says the same."""


class _EpochBar(Callback):
    """One progress bar over all epochs."""

    def on_train_begin(self, net, **kwargs):
        self.bar_ = tqdm(total=net.max_epochs, desc="training", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        self.bar_.set_postfix(loss=f"{net.history[-1, 'train_loss']:.3f}")
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        # A bar holds an open stream, which would keep the estimator from pickling.
        del self.bar_
