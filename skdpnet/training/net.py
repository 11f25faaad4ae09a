"""The skorch net that trains a module by an objective of several named terms."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from skorch.history import History
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from skdpnet.utils.devices import resolve_device

__all__ = [
    "Callbacks",
    "NetParams",
    "ObjectiveNet",
    "TermsObjective",
    "build_net",
    "restore_history",
    "set_constant_rate",
]

# Parameters of the net that make it train the estimator's parts.
_FIXED = ("module", "criterion", "objective")
# Without the estimator's callbacks, its classifier would not follow the parts.
_CALLBACKS = ("callbacks", "callbacks__classifier_refit")


class TermsObjective(Protocol):
    """An objective that training minimises: a sum of named terms."""

    @property
    def term_names(self) -> list[str]:
        """Names of the terms."""

    def terms(
        self, module: Any, output: Any, labels: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the terms by name, as scalar tensors, for the output on a batch."""


class TrainingStopped(KeyboardInterrupt):
    """A callback of skorch ended training, which it does by a KeyboardInterrupt."""


class ObjectiveNet(skorch.NeuralNet):
    """A skorch net whose loss is a `TermsObjective`, with each term in its history.

    As in skorch, a callback ends training by a KeyboardInterrupt, for which the user's
    Ctrl-C is also taken while a callback runs. All other exceptions leave `partial_fit`
    as they were raised, and so does the user's Ctrl-C at all other times, where skorch
    would end training silently.
    """

    def __init__(self, *args, objective: TermsObjective, **kwargs):
        self.objective = objective
        super().__init__(*args, **kwargs)

    # skorch moves the tensors of `module_` and `optimizer_` to the CPU where there is
    # no GPU, and no others.
    def __getstate__(self):
        state = super().__getstate__()
        if state.get("module") is self.__dict__.get("module_"):
            state["module"] = None
        return state

    def __setstate__(self, state):
        if torch.device(state["device"]).type != "cuda":
            # skorch knows what to do without CUDA, and says it.
            state["device"] = _device_or_cpu(state["device"])
        super().__setstate__(state)
        if self.module is None:
            self.module = self.module_

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks, and mark a stop that one of them asks for."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            raise TrainingStopped from stop

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train, and notify the callbacks of the end, also where training failed."""
        if not self.initialized_:
            self.initialize()
        try:
            # There is no training yet that a callback could end.
            super().notify("on_train_begin", X=X, y=y)
            self.fit_loop(X, y, **fit_params)
        except TrainingStopped:
            self._end_training([], X, y)
        except BaseException as error:
            self._end_training([error], X, y)
        else:
            self._end_training([], X, y)
        return self

    def _end_training(self, errors: list[BaseException], X, y) -> None:
        """Call `on_train_end` of all callbacks, and raise the first error, if any.

        Callbacks release their resources in it, also where another one failed.

        Parameters
        ----------
        errors : list of BaseException
            What training raised. What callbacks raise is added to it.
        """
        for callback in (self, *(callback for _, callback in self.callbacks_)):
            try:
                callback.on_train_end(self, X=X, y=y)
            except BaseException as error:
                errors.append(error)
        for later in errors[1:]:
            errors[0].add_note(f"Then, at the end of training: {later!r}")
        if errors:
            raise errors.pop(0)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Sum the objective's terms and record each."""
        labels, weights = (tensor.to(self.device) for tensor in y_true)
        terms = self.objective.terms(self.module_, y_pred, labels, weights)
        # They are copied to the CPU together, because each copy waits for the GPU.
        values = torch.stack(list(terms.values())).tolist()
        for name, value in zip(terms, values, strict=True):
            self.history.record_batch(_column(name, training), value)
        return sum(terms.values())


@dataclass(frozen=True)
class NetParams:
    """The constraint that a parameter is a dict of parameters of the skorch net.

    The module, its loss and their parameters are not among them: with others, training
    would fail later, or learn parts that the estimator does not have. Callbacks are
    added by the estimator's parameter `callbacks`, and cannot replace those of the
    estimator.
    """

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, Mapping) and all(
            isinstance(name, str)
            and name.split("__")[0] not in _FIXED
            and name not in _CALLBACKS
            for name in value
        )

    def __str__(self) -> str:
        names = f"{', '.join(_FIXED[:-1])} and {_FIXED[-1]}"
        return (
            f"a dict of parameters of the skorch net without {names}, which the "
            "estimator sets (leave them and theirs out), and without callbacks (pass "
            "them as callbacks=[...] to the estimator)"
        )


@dataclass(frozen=True)
class Callbacks:
    """The constraint that a parameter is a list of skorch callbacks.

    Callbacks of other libraries have methods of other names, at which training would
    fail after all maps are computed.
    """

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, Sequence) and all(
            hasattr(callback, "on_train_begin") and hasattr(callback, "set_params")
            for callback in map(_without_name, value)
        )

    def __str__(self) -> str:
        return (
            "a list of skorch callbacks, which derive from skorch.callbacks.Callback "
            "(those of sklearn.callback are for searches and Pipelines that hold the "
            "estimator)"
        )


def _without_name(callback: object) -> object:
    """Return the callback of a pair of a name and a callback."""
    is_pair = isinstance(callback, tuple) and len(callback) == 2
    return callback[1] if is_pair else callback  # type: ignore[index]


def _column(term: str, training: bool) -> str:
    return f"{'train' if training else 'valid'}_{term}"


def build_net(
    module: torch.nn.Module,
    objective: TermsObjective,
    *,
    max_epochs: int,
    lr: float,
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

    Some of skorch's defaults are overridden: no images are held out unless `valid` is
    passed, batches are shuffled by a seeded generator, and no table is printed.

    Parameters
    ----------
    module : torch.nn.Module
    objective : TermsObjective
    max_epochs, batch_size : int
        Epochs, and images in a training step.
    lr : float
        Learning rate of Adam.
    decay : bool
        Whether the learning rates fall to 0 along a cosine over `max_epochs`.
    valid : Dataset or None
        Validation set. The parameters after the epoch of its smallest loss are kept.
        None: there is no validation, and the last epoch is kept.
    n_iter_no_change : int
        Number of epochs without a smaller validation loss after which training ends.
    callbacks : list of skorch callbacks or None
        Callbacks that are called after the built-in ones.
    net_params : dict or None
        Parameters of the net that replace those chosen here; see `NetParams`.
    device : torch.device
    verbose : int
        1 or more: a progress bar over the epochs; 2 or more: skorch's table too.
    seed : int
        Seed of the order of the images.

    Returns
    -------
    ObjectiveNet
        It is not initialised.

    Raises
    ------
    ValueError
        If `net_params` would replace what is trained.
    """
    allowed = NetParams()
    if net_params is not None and not allowed.accepts(net_params):
        raise ValueError(f"net_params must be {allowed}, or None, got {net_params!r}.")
    built_in: list[tuple[str, Any]] = [
        (
            _column(name, training),
            PassthroughScoring(_column(name, training), on_train=training),
        )
        for name in objective.term_names
        for training in ((True, False) if valid is not None else (True,))
    ]
    if decay:
        schedule = _Schedule("CosineAnnealingLR", T_max=max(1, max_epochs))
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
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "train_split": predefined_split(valid) if valid is not None else None,
        "iterator_train__shuffle": True,
        "iterator_train__generator": torch.Generator().manual_seed(seed),
        "iterator_train__collate_fn": _return_batch,
        # A loader without a generator takes a number from torch's global one in each
        # epoch, even if it needs none.
        "iterator_valid__generator": torch.Generator().manual_seed(seed),
        "iterator_valid__collate_fn": _return_batch,
        "callbacks": [*built_in, *(callbacks or [])],
        "device": device,
        "verbose": int(verbose >= 2),
        # The callback that prints the table finds `print` in a way that fails where a
        # program has replaced it.
        **({} if verbose >= 2 else {"callbacks__print_log": None}),
        **(net_params or {}),
    }
    return ObjectiveNet(**params)


def set_constant_rate(net: ObjectiveNet, rate: float) -> ObjectiveNet:
    """Make further training use a constant learning rate and no validation set.

    Parameters
    ----------
    net : ObjectiveNet
        An initialised net.
    rate : float
        The learning rate.

    Returns
    -------
    ObjectiveNet
        `net`; a copy of it if its tensors cannot change, because it was unpickled in
        torch's inference mode.
    """
    tensors = [*net.module_.parameters(), *net.module_.buffers()]
    if any(tensor.is_inference() for tensor in tensors):
        net = copy.deepcopy(net)
    net.callbacks_ = [
        (name, callback)
        for name, callback in net.callbacks_
        if name not in ("schedule", "early_stopping") and not name.startswith("valid_")
    ]
    for group in net.optimizer_.param_groups:
        group["lr"] = rate
    return net


def restore_history(net: ObjectiveNet, epochs: list[dict[str, Any]]) -> None:
    """Set the history of a net to that of a saved net.

    Parameters
    ----------
    net : ObjectiveNet
    epochs : list of dict
        The values of each epoch.
    """
    net.history = History(epochs)


def _return_batch(batch):
    """Return a batch unchanged: the data set returns whole batches already."""
    return batch


def _discard_message(*args) -> None:
    """Print nothing when training stops early, which the history shows anyway."""


def _device_or_cpu(device: str | torch.device) -> str | torch.device:
    """Return a device, or the CPU on computers that lack it."""
    try:
        return resolve_device(device)
    except ValueError:
        return "cpu"


class _Schedule(LRScheduler):
    """A schedule that is made anew for each training, and not pickled.

    It refers to the optimiser, and so to tensors on a GPU.
    """

    def __getstate__(self):
        return {**self.__dict__, "lr_scheduler_": None}


class _EpochBar(Callback):
    """One progress bar over all epochs."""

    def on_train_begin(self, net, **kwargs):
        self.bar_ = tqdm(total=net.max_epochs, desc="training", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        self.bar_.set_postfix(loss=f"{net.history[-1, 'train_loss']:.3f}")
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        # A bar holds an open stream, with which the estimator could not be pickled.
        del self.bar_
