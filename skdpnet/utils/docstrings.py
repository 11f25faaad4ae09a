"""The parameters that both DP-Net estimators have, documented once."""

from __future__ import annotations

__all__ = ["with_parameters"]

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


def with_parameters(cls):
    """Fill a class's docstring in with what both estimators share."""
    cls.__doc__ = cls.__doc__.format(
        parameters=PARAMETERS.format(), attributes=ATTRIBUTES
    )
    return cls
