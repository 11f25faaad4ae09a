"""scikit-learn's callbacks, which see a fit and its epochs as tasks (from 1.9 on)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's class, and adds nothing."""

    def with_callbacks(method: Callable) -> Callable:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "as_fit_task", "epochs_as_tasks"]

_NAME = "scikit_learn_callbacks"


def as_fit_task(method: Callable) -> Callable:
    """Let the callbacks of an estimator see a method that fits it as a task.

    Parameters
    ----------
    method : callable
        Takes the estimator, X, y and sample weights, which may be None. The epochs in
        it are tasks within it where they are trained in `epochs_as_tasks`.

    Returns
    -------
    callable
    """

    @with_callbacks
    @functools.wraps(method)
    def run(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Any:
        begin = getattr(estimator, "_init_callback_context", None)
        if begin is None:
            return method(estimator, X, y, sample_weight)
        # How many epochs there will be is not known: some methods have stages, and
        # training may end early.
        context = begin(max_subtasks=None)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        task = {"estimator": estimator, "X": X, "y": y, "metadata": weights}
        context.call_on_fit_task_begin(**task)
        result = method(estimator, X, y, sample_weight)
        context.call_on_fit_task_end(**task, reconstruction_attributes={})
        return result

    return run


@contextmanager
def epochs_as_tasks(estimator: Any, net: NeuralNet) -> Iterator[None]:
    """Let the callbacks of an estimator see the epochs of a net as tasks.

    Parameters
    ----------
    estimator : estimator
        In a method that `as_fit_task` decorates; elsewhere nothing happens.
    net : NeuralNet
        Initialised. It has one callback more until the end, so that neither the net nor
        a pickle of it keeps the estimator.
    """
    context = getattr(estimator, "_callback_fit_ctx", None)
    if context is None:
        yield
        return
    net.callbacks_.append((_NAME, _EpochTasks(estimator, context)))
    try:
        yield
    finally:
        net.callbacks_ = [item for item in net.callbacks_ if item[0] != _NAME]


class _EpochTasks(Callback):
    """Begins and ends a task with each epoch."""

    def __init__(self, estimator: Any, context: Any) -> None:
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net, **kwargs) -> None:
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net, **kwargs) -> None:
        if self.task.call_on_fit_task_end(estimator=self.estimator):
            # How a callback of skorch ends training.
            raise KeyboardInterrupt
