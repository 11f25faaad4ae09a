"""The parameters of both DP-Net estimators: documentation, bounds, constructor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.parts.dpnet.objective import PENALTIES
from skdpnet.utils.validation import Number, OneOf

__all__ = ["DPNetParameters", "with_parameters"]

PARAMETERS = """backbone : str, Module or callable, default="efficientnet_lite0"
        Frozen network: ``"efficientnet_lite0"`` (embedded), ``"resnet50"``,
        ``"vgg19"``, ``"timm/<name>"``, a module or callable from
        ImageNet-normalised images N×3×S×S to a map N×D×H×W or a tuple of several;
        or ``"precomputed"``: X holds maps n×H×W×D, regions n×R×D, features n×D, or
        several maps as `FeatureMaps` gives them.
    strides : sequence of int or None, default=(16, 32)
        Of a named backbone: which maps have parts, by their stride in pixels a cell;
        the last map of each stride is taken, and strides that the backbone lacks are
        left out. None: its very last map alone, as in the paper.
    image_size : int, default=None
        Side in pixels of the square each image is resized and cropped to; None:
        the backbone's usual one.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        Sides of the square windows that are the regions, as shares of the feature
        map's shorter side.
    n_parts_per_class : int, default=20
        q, of all maps together, which share them evenly; there are P = q·C parts.
    n_components : int, default=256
        Dimensions that region descriptors are PCA-whitened to; None: no whitening.
    beta : float, default=40
        Sharpness of the soft maximum over the regions, ``(1/β) log mean exp(β S)``;
        None: the hard maximum, as in the paper.
    orthogonality_weight : float, default=0
        Weight of the penalty on parts that resemble one another.
    assignment_weight : float, default=0
        Weight of the penalty on regions that no part clearly claims.
    assignment_temperature : float, default=0.1
        Of the softmax over the parts in that penalty.
    specificity_weight : float, default=0
        Weight of the penalty on classes that decide by parts of other classes.
    specificity_form : {{"absolute", "square", "signed"}}, default="absolute"
        What that penalty sums of the weights; "signed" is the paper's.
    C : float, default=1
        Inverse regularisation of the linear classifier that decides, fitted when the
        parts are learned; as in scikit-learn's `LinearSVC`.
    ridge : float, default=0.0005
        Weight of ``‖V‖²`` while the parts are learned. A classifier held small leaves
        every image something to teach the parts; a free one fits the training set
        by itself.
    label_smoothing : float in [0, 1), default=0.1
        Of the cross-entropy.
    dropout : float in [0, 1), default=0.2
        Share of the parts that the classifier does without in each training step.
    max_epochs : int, default=10
        Passes over the training set; 0: the first parts are kept as they are.
    lr : float, default=0.002
        Learning rate of the parts, decaying to 0 along a cosine.
    classifier_lr : float, default=0.1
        Learning rate of the classifier, likewise.
    batch_size : int, default=64
        Images in a training step.
    validation_fraction : float in (0, 1), default=None
        Share of the images, stratified, that is held out of training: training
        ends when its loss has not fallen for `n_iter_no_change` epochs, and the
        best epoch is kept. None: nothing is held out.
    n_iter_no_change : int, default=5
        Patience of early stopping in epochs.
    class_weight : dict or "balanced", default=None
        Weights of the classes, multiplied into the sample weights.
    memory : str or path, default=None
        Folder that keeps feature maps, by the content of the image, so that no
        image goes through the backbone twice, in this fit, another, or another
        process. Where `random_state` is a number, it keeps what learning starts from
        as well (whitening and first parts), for fits that start alike: those of a
        search over constraint weights do, on each fold. None: maps are computed once
        a call.
    device : str, default="auto"
        Where backbone and parts are computed; "auto": a GPU where there is one.
    precision : {{"auto", "float32", "bfloat16", "float16"}}, default="auto"
        Arithmetic of the backbone; see `FeatureMaps`. And of the products that parts
        are learned with: bfloat16 (for "float16" too, whose range is too small) but
        for "float32"; with "auto" where the processor multiplies it natively. What is
        predicted and transformed is float32, on CUDA by kernels that round regions
        and parts to float16 (not with "float32").
    num_workers : int, default=2
        Threads that read and decode images ahead of the backbone.
    callbacks : list of skorch callbacks, default=None
        Added to the training's own.
    net_params : dict, default=None
        Parameters of the skorch net, merged over all others.
    verbose : int, default=0
        1: progress bars; 2: skorch's table of the epochs as well.
    random_state : int, RandomState instance or None, default=None
        The same number gives the same model on the same machine."""

ATTRIBUTES = """parts_ : float32 ndarray of shape (P, K)
        Unit vectors in the space of whitened region descriptors, K = n_components
        (fewer where the data span fewer; zeros fill the rows of parts whose map spans
        fewer than another). They come map by map, and within a map class by class.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        Class, as an index into `classes_`, and map that each part belongs to.
    coef_ : float32 ndarray of shape (C, P)
        The linear classifier V on the descriptor that `transform` gives.
    intercept_ : float32 ndarray of shape (C,)
    classes_ : ndarray of shape (C,)
    n_iter_ : int
        Epochs trained.
    history_ : skorch.history.History
        Each epoch's loss, its terms, and times.
    whitenings_ : list of Whitening
        ``(x - mean) projection`` of each map's region descriptors.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the part model.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only."""


class DPNetParameters(PartEstimator):
    """The constructor of `DPNetClassifier` and `DPNetTransformer`."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PartEstimator._parameter_constraints,
        **{f"{name}_weight": [Number(0)] for name in PENALTIES},
        "n_parts_per_class": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
        "beta": [Number(0, above=True), None],
        "assignment_temperature": [Number(0, above=True)],
        "specificity_form": [OneOf(("absolute", "square", "signed"))],
        "C": [Number(0, above=True)],
        "ridge": [Number(0, above=True)],
        "label_smoothing": [Number(0, below=1)],
        "dropout": [Number(0, below=1)],
        "max_epochs": [Number(0, whole=True)],
        "lr": [Number(0, above=True)],
        "classifier_lr": [Number(0, above=True)],
        "batch_size": [Number(1, whole=True)],
        "validation_fraction": [Number(0, above=True, below=1), None],
        "n_iter_no_change": [Number(1, whole=True)],
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int] | None = (16, 32),
        image_size: int | None = None,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        n_parts_per_class: int = 20,
        n_components: int | None = 256,
        beta: float | None = 40.0,
        orthogonality_weight: float = 0.0,
        assignment_weight: float = 0.0,
        assignment_temperature: float = 0.1,
        specificity_weight: float = 0.0,
        specificity_form: str = "absolute",
        C: float = 1.0,
        ridge: float = 0.0005,
        label_smoothing: float = 0.1,
        dropout: float = 0.2,
        max_epochs: int = 10,
        lr: float = 2e-3,
        classifier_lr: float = 0.1,
        batch_size: int = 64,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 5,
        class_weight: dict | str | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 2,
        callbacks: Sequence | None = None,
        net_params: dict | None = None,
        verbose: int = 0,
        random_state=None,
    ):
        super().__init__(
            backbone,
            strides=strides,
            image_size=image_size,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.region_scales = region_scales
        self.n_parts_per_class = n_parts_per_class
        self.n_components = n_components
        self.beta = beta
        self.orthogonality_weight = orthogonality_weight
        self.assignment_weight = assignment_weight
        self.assignment_temperature = assignment_temperature
        self.specificity_weight = specificity_weight
        self.specificity_form = specificity_form
        self.C = C
        self.ridge = ridge
        self.label_smoothing = label_smoothing
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.lr = lr
        self.classifier_lr = classifier_lr
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state


def with_parameters(cls):
    """Fill a class's docstring in with what both estimators share."""
    cls.__doc__ = cls.__doc__.format(
        parameters=PARAMETERS.format(), attributes=ATTRIBUTES
    )
    return cls
