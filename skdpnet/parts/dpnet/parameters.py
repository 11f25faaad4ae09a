"""The parameters of both DP-Net estimators: documentation, constraints, constructor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.images.framing import AUTO
from skdpnet.parts.dpnet.objective import PENALTIES
from skdpnet.regions.foreground import OTSU
from skdpnet.training.net import Callbacks, NetParams
from skdpnet.utils.validation import Number, OneOf, TrueOrFalse

__all__ = ["DPNetParameters", "with_parameters"]

PARAMETERS = """backbone : str, Module or callable, default="efficientnet_lite0"
        Frozen network: ``"efficientnet_lite0"`` (embedded), ``"efficientnet_lite2"``
        (of the extra ``skdpnet[lite2]``), ``"resnet50"``, ``"vgg19"``,
        ``"timm/<name>"``, or a module or callable from ImageNet-normalised images
        N×3×S×S to a map N×D×H×W or a tuple of several maps; see `FeatureMaps`.
        ``"precomputed"``: X holds maps n×H×W×D, regions n×R×D, features n×D, or
        several maps as `FeatureMaps` returns them.
    weights : str or path, default=None
        A file with the weights of a named backbone: a state dict of torch, or a file of
        safetensors; see `FeatureMaps`. None: those that the backbone comes with.
    strides : sequence of int >= 1, "last" or "average", or None, \
            default=(16, 32, "average")
        For a named backbone, the strides of the maps that have parts, in pixels per
        cell. The last map of each stride is used; strides that the backbone lacks are
        ignored. "last": the last map too, where further layers follow the last stage.
        "average": the average of that last map, which has no parts, for `context`.
        None: the last map alone, as in the paper.
    image_size : int >= 8, default=None
        Side in pixels of the square that each image is resized to. None: the usual
        size of the backbone.
    framing : {"auto", "crop", "squash", "pad", "aspect", "center"}, default="auto"
        What the network sees of an image: its largest centred square ("crop"), or all
        of it, resized to the square ("squash"), padded to it ("pad"), or at its own
        aspect ("aspect"); or the crop of the network's library ("center"). "auto":
        "aspect" for a named backbone that takes images of any shape, "crop" for others;
        see `FeatureMaps`.
    region_scales : sequence of float in (0, 1], default=(0.3,)
        Sides of the square windows that are the regions, as shares of the image's
        shorter side on the feature map.
    n_parts_per_class : int >= 1, default=12
        Number of parts of each class on all maps together. The maps of several cells
        have equal shares; the last, coarsest of them also has the remainder.
    n_components : int >= 1, or None, default=256
        Number of dimensions that region descriptors have after PCA whitening. None:
        they are not whitened.
    annealed_share : float in [0, 1], default=1
        Share of each class's first parts that are refined before they are learned, as
        in `SoftAssignParts`: in each image of the class they are assigned to different
        regions, and each becomes the mean of its regions. Such parts show one thing;
        the centres of clusters, which all others are, cover more of the images.
    foreground : float > 0, "otsu" or None, default="otsu"
        Regions on the background respond less. The energy of a region is the mean norm
        of the feature vectors inside it, on the coarsest map, divided by that of the
        whole image. Where it is less than `foreground`, responses are multiplied by
        ``(energy / foreground)²``, and the first parts are clusters of the other
        regions. "otsu": for each image the threshold that parts its cells best into
        an object and its background (Otsu, 1979). None: all regions count alike, as
        in the paper.
    beta : float > 0, or None, default=40
        Sharpness β of the soft maximum over the regions,
        ``b_p = (1/β) log mean_r exp(β S_pr)``, where S_pr is the response of part p to
        region r. None: the hard maximum, as in the paper.
    orthogonality_weight : float >= 0, default=0
        Weight of the penalty on parts that resemble one another,
        ``(1/P) Σ (u_iᵀ u_j)²`` over pairs i ≠ j of parts on the same map, where u_i is
        a part of unit length: the number of twins that a part has on average. Weights
        of 0.1 to 1 separate parts, whatever their number. See docs/method.md for
        what the weights of the penalties do.
    assignment_weight : float >= 0, default=0
        Weight of the penalty on regions that respond to several parts alike: the mean,
        over images and regions, of the entropy of ``softmax_p(S_pr / τ)`` over the
        parts of a map. Weights of 1 to 10 separate parts, more so with larger steps
        (``lr=0.01, ridge=0.01, max_epochs=20``).
    assignment_temperature : float > 0, default=0.05
        Temperature τ in that penalty. S are cosines: with a larger temperature the
        softmax over many parts is nearly uniform, whatever the parts.
    specificity_weight : float >= 0, default=0.1
        Weight of the penalty on classes whose scores depend on parts of other classes,
        ``1/(√P (C-1)) Σ |V_ij|`` over classes i and parts j of other classes, for P
        parts and C classes. Weights of 0.03 to 1 set more and more of these V_ij to
        exactly 0. It applies to V, the linear classifier of this estimator, in all its
        fits: while parts are learned, and in the end. The parts notice it by V's
        gradient alone, and a classifier that follows them in a Pipeline is not
        penalised: use `DPNetClassifier` where this is wanted.
    specificity_form : {"absolute", "square", "signed"}, default="absolute"
        Summand of that penalty: ``|V_ij|``, ``V_ij²`` (without the √P) or ``V_ij``.
        "square" makes these weights small, but none of them 0. The paper has "signed",
        which makes them negative rather than small, so that a class depends on the
        parts of others more than before; it serves to compare.
    positive : bool, default=False
        Whether the weights V are at least 0. The score of a class then grows with the
        response of a part or does not depend on it, so that all evidence for a class
        comes from parts that are present.
    context : bool, default=True
        Whether the whole image is one more part of each class: its context, beside the
        parts. The averages of all maps are projected on their `n_components` directions
        of largest variance, without scaling, and the classifier is fitted on it and on
        the parts together. Its weights for a class are the class's context part: their
        direction is the part, and their length its weight in the score of this class.
        It is the last part of the class, named ``<class>_context``, and its region is
        the whole image. `positive` and the penalties apply to the other parts alone.
        See docs/method.md.
    C : float > 0, default=1
        Inverse regularisation strength of the final fit of V on the learned parts, as
        in scikit-learn's `LinearSVC`; in `partial_fit`, of its fits of V. In `fit` it
        does not change the parts.
    ridge : float > 0, default=0.0005
        Weight of ``‖V‖²`` while parts are learned. With too small a weight, V fits the
        training set by itself, and the parts have little left to learn.
    label_smoothing : float in [0, 1), default=0.1
        Label smoothing of the cross-entropy while parts are learned. It has no
        influence on probabilities: the final classifier is fitted and calibrated
        without it.
    dropout : float in [0, 1), default=0.2
        Share of the descriptor's numbers that are set to 0 in each training step.
    max_epochs : int >= 0, default=5
        Number of passes over the training set. 0: the parts are those that training
        would start from.
    lr : float > 0, default=0.002
        Learning rate of the parts, which decays to 0 along a cosine.
    batch_size : int >= 1, default=64
        Number of images in a training step.
    validation_fraction : float in (0, 1), default=None
        Share of the images of each class that is held out of training (for an indicator
        matrix, of all images). Training ends
        when their loss has not fallen for `n_iter_no_change` epochs, and the parts of
        the best epoch are kept. None: no images are held out.
    n_iter_no_change : int >= 1, default=5
        Patience of early stopping, in epochs.
    class_weight : dict or "balanced", default=None
        Weights of the classes, by which sample weights are multiplied; not for an
        indicator matrix. Weights say how much an error on an image counts: in the
        cross-entropy, the fits of V and the calibration. Their scale has no influence.
        The whitening, the clusters that are the first parts, the standardisation of the
        descriptor and the assignment penalty are not about errors: there, each image of
        weight above 0 counts once.
    memory : str or path, default=None
        Folder that keeps feature maps by the content of the images, so that no image
        goes through the backbone twice, in this fit, in another or in another process;
        `FeatureMaps` describes how a change of the backbone is noticed. If
        `random_state` is an int, it also keeps the whitening and the first parts, for
        fits that start from the same ones: those of a search over penalty weights, on
        each fold. Arrays that are too large for the computer's memory are temporary
        files in it. None: nothing is kept between calls.
    device : str, default="auto"
        Device on which backbone and parts are computed. "auto": a GPU if there is one.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Arithmetic of the backbone; see `FeatureMaps`. While parts are learned, it is
        also that of the factors of matrix products: bfloat16 for "bfloat16" and for
        "float16", whose range is too small for learning; for "auto" bfloat16 if the
        device multiplies it much faster (GPUs of CUDA, processors with AMX), so that
        one seed gives other parts on another kind of processor. "float32" is float32 on
        every device, so that machines differ by rounding alone. Descriptors and
        predictions are computed from the maps in float32.
    num_workers : int >= 0 or "auto", default="auto"
        Number of threads that read and decode images for the backbone; "auto": the
        cores that the process may use.
    callbacks : list of skorch callbacks, default=None
        Callbacks that training calls after its built-in ones. As in skorch, a callback
        ends training by a KeyboardInterrupt; other exceptions leave the fit unchanged.
    net_params : dict, default=None
        Parameters of the skorch net, which take precedence over all others. The
        estimator's ``module``, ``criterion`` and ``objective`` and their parameters
        cannot be replaced, nor can its callbacks; `callbacks` adds others.
    verbose : int, default=0
        1: progress bars; 2: skorch's table of the epochs too.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices; global random generators have no influence, and
        are not changed. An int gives the same model in each fit on the same machine,
        also in concurrent threads. On another machine rounding differs; without
        ``precision="float32"`` the arithmetic may differ too (see `precision`)."""

ATTRIBUTES = """parts_ : float32 ndarray of shape (P, K)
        Parts of unit length in the space of whitened region descriptors, sorted by map
        and then by class; with `context`, the last C are the context parts. K is
        `n_components`, or less where the data span fewer dimensions; zeros fill the
        rows of a map whose space has fewer dimensions than another's.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        The class of each part, as an index into `classes_`, and the number of its map;
        that of a context part is the number of the backbone's maps.
    coef_ : float32 ndarray of shape (C, P)
        Weights V of the linear classifier on the descriptor that `transform` returns.
    intercept_ : float32 ndarray of shape (C,)
        Intercepts of the linear classifier.
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted; 0 … C - 1 for the columns of an indicator matrix.
    multilabel_ : bool
        Whether y was an indicator matrix, by which an image may have several classes.
    n_iter_ : int
        Number of epochs of training.
    history_ : skorch.history.History
        The loss of each epoch, its terms, and times.
    whitenings_ : list of Whitening
        For each map, ``(x - mean) projection`` of the region descriptors; with
        `context`, one more for the average of the last map.
    grids_ : list of RegionGrid
        The layout of the regions of each map; with `context`, one more of one region.
    map_shapes_ : tuple of tuples
        The shape of each of the backbone's maps of an image.
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
        "annealed_share": [Number(0, at_most=1)],
        "foreground": [Number(0, above=True), OneOf((OTSU,)), None],
        "beta": [Number(0, above=True), None],
        "assignment_temperature": [Number(0, above=True)],
        "specificity_form": [OneOf(("absolute", "square", "signed"))],
        "positive": [TrueOrFalse()],
        "context": [TrueOrFalse()],
        "C": [Number(0, above=True)],
        "ridge": [Number(0, above=True)],
        "label_smoothing": [Number(0, below=1)],
        "dropout": [Number(0, below=1)],
        "max_epochs": [Number(0, whole=True)],
        "lr": [Number(0, above=True)],
        "batch_size": [Number(1, whole=True)],
        "validation_fraction": [Number(0, above=True, below=1), None],
        "n_iter_no_change": [Number(1, whole=True)],
        "callbacks": [Callbacks(), None],
        "net_params": [NetParams(), None],
    }
    _former_parameters: ClassVar[tuple[str, ...]] = ("classifier_lr",)
    _added_parameters: ClassVar[dict[str, Any]] = {
        **PartEstimator._added_parameters,
        "annealed_share": 0.0,
        "foreground": None,
        "positive": False,
        "context": False,
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3,),
        n_parts_per_class: int = 12,
        n_components: int | None = 256,
        annealed_share: float = 1.0,
        foreground: float | str | None = OTSU,
        beta: float | None = 40.0,
        orthogonality_weight: float = 0.0,
        assignment_weight: float = 0.0,
        assignment_temperature: float = 0.05,
        specificity_weight: float = 0.1,
        specificity_form: str = "absolute",
        positive: bool = False,
        context: bool = True,
        C: float = 1.0,
        ridge: float = 0.0005,
        label_smoothing: float = 0.1,
        dropout: float = 0.2,
        max_epochs: int = 5,
        lr: float = 2e-3,
        batch_size: int = 64,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 5,
        class_weight: dict | str | None = None,
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
            weights=weights,
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
        self.n_parts_per_class = n_parts_per_class
        self.n_components = n_components
        self.annealed_share = annealed_share
        self.foreground = foreground
        self.beta = beta
        self.orthogonality_weight = orthogonality_weight
        self.assignment_weight = assignment_weight
        self.assignment_temperature = assignment_temperature
        self.specificity_weight = specificity_weight
        self.specificity_form = specificity_form
        self.positive = positive
        self.context = context
        self.C = C
        self.ridge = ridge
        self.label_smoothing = label_smoothing
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state


def with_parameters(cls):
    """Insert the parameters and attributes of both estimators into a docstring."""
    if cls.__doc__:  # Python removes docstrings with the option -OO
        cls.__doc__ = cls.__doc__.format(parameters=PARAMETERS, attributes=ATTRIBUTES)
    return cls
