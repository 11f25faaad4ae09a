"""The parameters of `DPNetRegressor`: documentation, constraints, constructor."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.images.framing import AUTO
from skdpnet.parts.dpnet.parameters import PARAMETERS, DPNetParameters
from skdpnet.regions.foreground import OTSU
from skdpnet.utils.validation import Number

__all__ = ["RegressorParameters", "with_regressor_parameters"]

# Those that mean for numbers what they mean for classes.
_SHARED = (
    *("backbone", "strides", "image_size", "framing", "region_scales"),
    *("n_components", "foreground", "beta", "assignment_weight"),
    *("orthogonality_weight", "assignment_temperature", "max_epochs"),
    *("lr", "batch_size", "n_iter_no_change", "memory", "device", "precision"),
    *("num_workers", "callbacks", "net_params", "verbose", "random_state"),
)
_EXPLAINED_ANEW = (
    *("annealed_share", "context", "C", "ridge", "dropout", "validation_fraction"),
)
_CHANGED = """n_bins : int >= 1, default=3
        Number of groups of images by the quantiles of each target, from which the first
        parts come: for 3, the images of small, medium and large values. A part then
        shows what images of similar targets have in common. Groups have no influence on
        the loss.
    n_parts_per_bin : int >= 1, default=12
        Number of first parts of each group on all maps together, shared out as those of
        a class of `DPNetClassifier`.
    annealed_share : float in [0, 1], default=1
        Share of each group's first parts that are refined before they are learned, as
        in `SoftAssignParts`: in each image of the group they are assigned to different
        regions, and each becomes the mean of its regions.
    sparsity_weight : float >= 0, default=0
        Weight of ``1/√P Σ |V_tp|`` over targets t and learned parts p, where V predicts
        the standardised targets. Larger weights set more of these V_tp to exactly 0, in
        all fits of V.
    context : bool, default=True
        Whether the whole image is one more part for each target: its context, beside
        the parts, as in `DPNetClassifier`.
    C : float > 0, default=0.1
        Inverse strength of the ridge in the final fit of V on the learned parts: that
        of scikit-learn's `Ridge` with ``alpha = 0.5 / C``, on standardised targets.
    ridge : float > 0, default=0.0005
        Weight of ``‖V‖²`` while parts are learned, beside the mean squared error.
    dropout : float in [0, 1), default=0
        Share of the descriptor's numbers that are set to 0 in each training step. The
        squared error counts all that is missing then, unlike the loss of classes.
    validation_fraction : float in (0, 1), default=None
        Share of the images that is held out of training. Training ends when their loss
        has not fallen for `n_iter_no_change` epochs, and the parts of the best epoch
        are kept. None: no images are held out."""

ATTRIBUTES = """parts_ : float32 ndarray of shape (P, K)
        Parts of unit length in the space of whitened region descriptors, sorted by map
        and then by the group that they began with; with `context`, the last T are the
        context parts, one for each target.
    part_classes_ : int ndarray of shape (P,)
        −1 for each part: all targets share it.
    part_maps_ : int ndarray of shape (P,)
        The number of each part's map; that of a context part is the number of the
        backbone's maps.
    coef_ : float64 ndarray of shape (T, P)
        Weights of the descriptor that `transform` returns, in the units of the targets.
    intercept_ : float64 ndarray of shape (T,)
        The predictions of an image to which all parts respond as on average.
    target_mean_, target_scale_ : float64 ndarrays of shape (T,)
        Weighted mean and standard deviation of the targets of the training images.
    target_ndim_ : int
        1: y had the shape (n,), as predictions have; 2: (n, T).
    n_iter_ : int
        Number of epochs of training.
    history_ : skorch.history.History
        The loss of each epoch, its terms, and times.
    whitenings_ : list of Whitening
        As in `DPNetClassifier`.
    grids_ : list of RegionGrid
        The layout of the regions of each map; with `context`, one more of one region.
    map_shapes_ : tuple of tuples
        The shape of each of the backbone's maps of an image.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the part model, which predicts standardised
        targets.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only."""


class RegressorParameters(PartEstimator):
    """The constructor of `DPNetRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PartEstimator._parameter_constraints,
        **{
            name: constraints
            for name, constraints in DPNetParameters._parameter_constraints.items()
            if name in (*_SHARED, *_EXPLAINED_ANEW)
        },
        "n_bins": [Number(1, whole=True)],
        "n_parts_per_bin": [Number(1, whole=True)],
        "sparsity_weight": [Number(0)],
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3,),
        n_bins: int = 3,
        n_parts_per_bin: int = 12,
        n_components: int | None = 256,
        annealed_share: float = 1.0,
        foreground: float | str | None = OTSU,
        beta: float | None = 40.0,
        orthogonality_weight: float = 0.0,
        assignment_weight: float = 0.0,
        assignment_temperature: float = 0.05,
        sparsity_weight: float = 0.0,
        context: bool = True,
        C: float = 0.1,
        ridge: float = 0.0005,
        dropout: float = 0.0,
        max_epochs: int = 5,
        lr: float = 2e-3,
        batch_size: int = 64,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 5,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        callbacks: Sequence | None = None,
        net_params: dict | None = None,
        verbose: int = 0,
        random_state=None,
    ):
        super().__init__(
            backbone,
            strides=strides,
            image_size=image_size,
            framing=framing,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.region_scales = region_scales
        self.n_bins = n_bins
        self.n_parts_per_bin = n_parts_per_bin
        self.n_components = n_components
        self.annealed_share = annealed_share
        self.foreground = foreground
        self.beta = beta
        self.orthogonality_weight = orthogonality_weight
        self.assignment_weight = assignment_weight
        self.assignment_temperature = assignment_temperature
        self.sparsity_weight = sparsity_weight
        self.context = context
        self.C = C
        self.ridge = ridge
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state


def with_regressor_parameters(cls):
    """Insert the parameters, in the order of the constructor, and the attributes."""
    if cls.__doc__:  # Python removes docstrings with the option -OO
        entries = _entries(PARAMETERS) | _entries(_CHANGED)
        parameters = "\n    ".join(
            entries[name] for name in inspect.signature(cls).parameters
        )
        cls.__doc__ = cls.__doc__.format(parameters=parameters, attributes=ATTRIBUTES)
    return cls


def _entries(text: str) -> dict[str, str]:
    """Return the entry of each parameter in a docstring's section, by its name."""
    entries = re.split(r"\n    (?=\w+ : )", text)
    return {entry.partition(" : ")[0]: entry for entry in entries}
