"""Training of a part model through skorch."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import skorch
import torch
import torch.nn.functional as F
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    LRScheduler,
    PassthroughScoring,
)
from skorch.helper import predefined_split
from tqdm.auto import tqdm

from skdpnet import losses
from skdpnet.parts.dpnet.model import PartModel, PartOutput
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import Penalty

__all__ = [
    "Objective",
    "PartNet",
    "UserInterrupt",
    "build_net",
    "keep_rates",
    "learning_dtype",
]


class Objective:
    """Cross-entropy, ridge on V, and the three penalties, each with its weight.

    Parameters
    ----------
    owner : int tensor of shape (P,)
        Class of each part.
    ridge : float
        Weight of ‖V‖².
    label_smoothing : float
    orthogonality_weight, assignment_weight, specificity_weight : float
        0: the penalty is not computed.
    specificity_form : {"absolute", "square", "signed"}
    """

    def __init__(
        self,
        owner: torch.Tensor,
        ridge: float,
        label_smoothing: float,
        orthogonality_weight: float,
        assignment_weight: float,
        specificity_weight: float,
        specificity_form: str,
    ):
        self.owner = owner
        self.ridge = ridge
        self.label_smoothing = label_smoothing
        self.orthogonality_weight = orthogonality_weight
        self.assignment_weight = assignment_weight
        self.specificity_weight = specificity_weight
        self.specificity_form = specificity_form

    def terms(
        self,
        model: PartModel,
        output: PartOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum."""
        entropies = F.cross_entropy(
            output.logits,
            labels,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        v = model.classifier.weight
        terms = {
            "cross_entropy": (weights * entropies).mean(),
            "ridge": self.ridge * v.square().sum(),
        }
        if self.orthogonality_weight:
            penalty = _over_pairs(model.unit_parts())
            terms["orthogonality"] = self.orthogonality_weight * penalty
        if self.assignment_weight:
            terms["assignment"] = self.assignment_weight * output.unclaimed
        if self.specificity_weight:
            terms["specificity"] = self.specificity(v)
        return terms

    @property
    def penalty(self) -> Penalty | None:
        """What V alone is penalised by, besides the ridge; None: nothing."""
        return self.specificity if self.specificity_weight else None

    def specificity(self, v: torch.Tensor) -> torch.Tensor:
        """Return the weighted specificity penalty of a classifier V (C, P)."""
        # Kept there: the next step's V is on the same device.
        self.owner = self.owner.to(v.device)
        penalty = losses.specificity(v, self.owner, self.specificity_form)
        return self.specificity_weight * penalty


def _over_pairs(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Take the orthogonality of the parts of several maps, as a mean over all pairs.

    Parts of different maps live in different spaces and count as orthogonal.
    """
    counts = torch.tensor([len(own) for own in parts])
    shares = ((counts / counts.sum()) ** 2).tolist()
    each = [losses.orthogonality(own) for own in parts]
    return torch.stack([a * b for a, b in zip(shares, each, strict=True)]).sum()


class TrainingStopped(KeyboardInterrupt):
    """A callback asked for the end of training, as skorch's do."""


class UserInterrupt(BaseException):
    """Ctrl-C, on its way through skorch, which would take it for a callback's stop."""


class PartNet(skorch.NeuralNet):
    """skorch net whose loss is an `Objective`; each term goes to the history."""

    def __init__(self, *args, objective: Objective, **kwargs):
        self.objective = objective
        super().__init__(*args, **kwargs)

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks; a stop of theirs is told from the user's Ctrl-C."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            raise TrainingStopped from stop

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train; a user's interrupt ends more than this fit."""
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except TrainingStopped:
            return self
        except BaseException as error:
            # What callbacks opened they close here, which skorch would pass by. One
            # that cannot, with no epoch begun, tells less than the first error.
            with contextlib.suppress(Exception):
                self.notify("on_train_end", X=X, y=y)
            if isinstance(error, KeyboardInterrupt):
                raise UserInterrupt from error
            raise

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Sum the objective's terms and record each."""
        labels, weights = (part.to(self.device) for part in y_true)
        terms = self.objective.terms(self.module_, y_pred, labels, weights)
        # All at once: a GPU is waited for whenever numbers are fetched.
        values = torch.stack(list(terms.values())).tolist()
        for name, value in zip(terms, values, strict=True):
            self.history.record_batch(_column(name, training), value)
        return sum(terms.values())


def _column(term: str, training: bool) -> str:
    return f"{'train' if training else 'valid'}_{term}"


def build_net(
    model: PartModel,
    objective: Objective,
    *,
    max_epochs: int,
    lr: float,
    classifier_lr: float,
    batch_size: int,
    decay: bool,
    valid: MapDataset | None,
    n_iter_no_change: int,
    callbacks: Sequence | None,
    net_params: dict[str, Any] | None,
    device: torch.device,
    verbose: int,
    seed: int,
) -> PartNet:
    """Build the net that trains a part model.

    skorch's defaults that would surprise are overridden: no hidden hold-out set,
    shuffled batches from a seeded generator, no table on standard output.

    Parameters
    ----------
    model : PartModel
    objective : Objective
    max_epochs, lr, classifier_lr, batch_size
        See `DPNetClassifier`.
    decay : bool
        Whether the learning rates fall to 0 along a cosine over `max_epochs`.
    valid : MapDataset or None
        With one, its loss is followed and the epoch where it is least is kept.
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

    Returns
    -------
    PartNet, not yet initialised
    """
    names = ["cross_entropy", "ridge"]
    for name in ("orthogonality", "assignment", "specificity"):
        if getattr(objective, f"{name}_weight"):
            names.append(name)
    built_in: list[tuple[str, Any]] = [
        (
            _column(name, training),
            PassthroughScoring(_column(name, training), on_train=training),
        )
        for name in names
        for training in ((True, False) if valid is not None else (True,))
    ]
    if decay:
        schedule = LRScheduler("CosineAnnealingLR", T_max=max(1, max_epochs))
        built_in.append(("schedule", schedule))
    if valid is not None:
        stop = EarlyStopping(
            patience=n_iter_no_change, load_best=True, sink=_no_message
        )
        built_in.append(("early_stopping", stop))
    if verbose:
        built_in.append(("bar", _EpochBar()))
    given = list(callbacks or [])
    params: dict[str, Any] = {
        "module": model,
        "criterion": torch.nn.Identity,
        "objective": objective,
        "optimizer": torch.optim.Adam,
        "lr": lr,
        "optimizer__param_groups": [("classifier*", {"lr": classifier_lr})],
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "train_split": predefined_split(valid) if valid is not None else None,
        "iterator_train__shuffle": True,
        "iterator_train__generator": torch.Generator().manual_seed(seed),
        "iterator_train__collate_fn": _as_it_is,
        "iterator_valid__collate_fn": _as_it_is,
        "callbacks": built_in + given,
        "device": device,
        "verbose": int(verbose >= 2),
        # It looks for a `print` of its own, and prints where that was replaced.
        **({} if verbose >= 2 else {"callbacks__print_log": None}),
        **(net_params or {}),
    }
    return PartNet(**params)


def learning_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Choose the precision of the products that parts are learned with.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto": bfloat16 where the processor multiplies it natively.
    device : torch.device

    Returns
    -------
    torch.dtype or None
        bfloat16, whose range is float32's, also for "float16"; None: float32.
    """
    if precision == "float32":
        return None
    if precision == "auto" and not _multiplies_bfloat16(device):
        return None
    return torch.bfloat16


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
    # Older versions of torch do not tell.
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(
        able.get("avx512_bf16") or able.get("amx_bf16")
    )


def keep_rates(net: PartNet, lr: float, classifier_lr: float) -> None:
    """Let a net go on learning at constant rates, whatever its schedule came to.

    Without a validation set, too: what followed its loss is left out.
    """
    net.callbacks_ = [
        (name, callback)
        for name, callback in net.callbacks_
        if name not in ("schedule", "early_stopping") and not name.startswith("valid_")
    ]
    # The classifier's group comes first: it is the one named in `build_net`.
    for group, rate in zip(
        net.optimizer_.param_groups, (classifier_lr, lr), strict=True
    ):
        group["lr"] = rate


def _as_it_is(batch):
    return batch


def _no_message(*args) -> None:
    """Take early stopping's sentence, which the history tells as well."""


class _EpochBar(Callback):
    """One progress bar over all epochs."""

    def on_train_begin(self, net, **kwargs):
        self.bar_ = tqdm(total=net.max_epochs, desc="training parts", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        self.bar_.set_postfix(loss=f"{net.history[-1, 'train_loss']:.3f}")
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        # A bar holds an open stream, which would keep the estimator from pickling.
        del self.bar_
