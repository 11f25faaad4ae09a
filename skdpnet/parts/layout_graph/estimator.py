"""A classifier of images by the graph of their regions."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.base.part_estimator import region_grid
from skdpnet.base.score_classifier import ScoreClassifier
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import share_parts
from skdpnet.parts.layout_graph.fitting import train
from skdpnet.parts.layout_graph.layout_explainer import LayoutExplainer
from skdpnet.parts.layout_graph.model import (
    GraphOutput,
    LayoutGraphModel,
    layer_shapes,
    run_graph,
)
from skdpnet.parts.layout_graph.nodes import Nodes, iter_nodes
from skdpnet.parts.layout_graph.state import check_graph_state
from skdpnet.regions.extents import have_parts
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening, fit_whitening
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.fit_tasks import CallbackSupportMixin, as_fit_task
from skdpnet.training.sample_weights import sample_weights
from skdpnet.utils.devices import resolve_device
from skdpnet.utils.labels import check_classes, check_labels
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number, SequenceOf, check_parameters

__all__ = ["LayoutGraphClassifier"]

_LARGEST_SEED = np.iinfo(np.int32).max


class LayoutGraphClassifier(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ScoreClassifier,
    LayoutExplainer,
):
    """Classify images by the graph of their regions: what lies where to what.

    After "Prototype-agnostic scene layout" [1]_, on frozen feature maps. No parts are
    learned. The strongest regions of an image are the nodes of a graph, and a network
    lets them look at one another before it decides:

    1. All windows of the maps are ranked by their energy, the mean length of the
       feature vectors of their cells. Of each map the first are taken that do not
       overlap more than `max_overlap` with one before. A node is ``ReLU(E x + e)`` of
       the whitened region descriptor x, with E and e for each map.
    2. Two relations say how much region i looks at region j. Each row is a softmax over
       all regions of the image, i included. The *spatial* one is that of a perceptron
       with 32 units on the offset of j from i (in mean widths and heights of the two),
       the logarithm of the ratio of their areas, and their intersection over union. The
       *semantic* one is that of ``φ(x_i)ᵀ ψ(x_j) / 8``, φ and ψ linear to 64 numbers.
    3. In each layer, nodes become ``ReLU(A X W) + ReLU(A' X W')``, with the spatial
       relation A and the semantic one A'.
    4. The means and the maxima over the nodes are the descriptor of the image, and a
       linear classifier decides. All is trained by its cross-entropy.

    `explain_layout` returns regions, relations, and what each region adds to a score.

    Parameters
    ----------
    backbone : str, Module or callable, default="efficientnet_lite0"
        Frozen network, or ``"precomputed"`` for maps n×H×W×D, regions n×R×D or
        features n×D in place of images; see `FeatureMaps`. Given regions are taken to
        lie in a column.
    strides : sequence of int, "last" or "average", or None, \
            default=(16, 32, "average")
        The strides of the backbone's maps; see `FeatureMaps`. Those of several cells
        have regions. The average has none: it is computed so that the default shares
        the maps of DP-Net in `memory`.
    weights, image_size, framing
        As in `FeatureMaps`.
    region_scales : sequence of float in (0, 1], default=(0.3, 0.45)
        Sides of the square windows, as shares of the image's shorter side.
    n_components : int or None, default=64
        Number of dimensions that region descriptors have after PCA whitening. None:
        they are not whitened.
    n_regions : int, default=32
        Number of regions of an image on all maps together, which have equal shares; the
        last map also has the remainder. Fewer where fewer are apart from one another.
    max_overlap : float in [0, 1), default=0.5
        Largest intersection over union of two regions of a map.
    hidden : int, default=256
        Number H of dimensions of a node.
    n_layers : int, default=2
        Number of graph convolutions.
    dropout : float in [0, 1), default=0.5
        The share of the numbers of the descriptor that are left out in training.
    max_epochs : int >= 0, default=10
        Number of passes over the training set.
    lr : float > 0, default=0.003
        Learning rate of Adam, which decays to 0 along a cosine.
    batch_size : int, default=64
        Number of images in a training step.
    class_weight : dict or "balanced", default=None
        Weights of the classes, by which sample weights are multiplied.
    memory, device, precision, num_workers, verbose
        As in `FeatureMaps`; ``verbose=1`` also shows the epochs.
    random_state : int, RandomState instance or None, default=None
        Determines all random choices.

    Attributes
    ----------
    layers_ : dict of str to float32 ndarray
        The weights of the network: ``embed0_weight`` (H, K) and so on for each map,
        ``spatial0`` and ``semantic0`` (H, H) and so on for each layer, those of the
        relations, and ``class_weight`` (C, 2H) and ``class_bias``.
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted.
    history_ : list of dict
        The mean of the loss in each epoch.
    n_iter_ : int
        Number of epochs.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K.
    grids_ : list of RegionGrid
        The windows of each map.
    map_shapes_ : tuple of tuples
        The shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    SoftAssignParts : Parts whose places in the image do not matter.
    skdpnet.display.LayoutGraphDisplay : Draws the graph of an image.
    skdpnet.datasets.make_arrangement_images : Images that only arrangement tells apart.

    Notes
    -----
    Known of the paper, from its abstract alone, are the following: regions are found in
    each image without prototypes and are nodes; two independent relations, spatial and
    by semantic similarity, are its edges; graph convolution joins both; the network is
    learned without several scales of input or several models. All else here is this
    package's: how regions are ranked, the formulas of the relations, the readout, and
    all defaults. The backbone is frozen here. The paper's accuracies rest on networks
    learned on photographs of scenes; do not compare them with those of ImageNet.

    There are no parts, so `skdpnet.explain` and `skdpnet.report` do not take it.

    References
    ----------
    .. [1] G. Chen, X. Song, H. Zeng, S. Jiang, "Scene Recognition with
       Prototype-Agnostic Scene Layout", IEEE Transactions on Image Processing 29
       (2020), arXiv:1909.03234.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import LayoutGraphClassifier
    >>> maps = np.random.default_rng(0).random((60, 6, 6, 8)) / 4
    >>> y = np.arange(60) % 2
    >>> maps[:, 2, 2, 0] += 1  # a part, and another on its left or its right
    >>> maps[np.arange(60), 2, 1 + 2 * y, 1] += 1
    >>> model = LayoutGraphClassifier(
    ...     "precomputed", region_scales=(0.1,), n_regions=6, hidden=32,
    ...     n_components=None, max_epochs=40, batch_size=16, lr=0.01, random_state=0,
    ... ).fit(maps[:40], y[:40])
    >>> bool(model.score(maps[40:], y[40:]) > 0.9)
    True
    >>> (graph,) = model.explain_layout(maps[40:41])
    >>> graph.boxes.shape, graph.spatial.shape
    ((6, 4), (6, 6))
    >>> bool(abs(graph.contributions.sum() + graph.bias - graph.score) < 1e-5)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **MapEstimator._parameter_constraints,
        "region_scales": [
            SequenceOf(Number(0, above=True, at_most=1), "shares in (0, 1]")
        ],
        "n_components": [Number(1, whole=True), None],
        "n_regions": [Number(1, whole=True)],
        "max_overlap": [Number(0, below=1)],
        "hidden": [Number(1, whole=True)],
        "n_layers": [Number(1, whole=True)],
        "dropout": [Number(0, below=1)],
        "max_epochs": [Number(0, whole=True)],
        "lr": [Number(0, above=True)],
        "batch_size": [Number(1, whole=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        *("classes_", "grids_", "whitenings_", "layers_", "history_", "n_iter_"),
    )

    grids_: list[RegionGrid]
    whitenings_: list[Whitening]
    layers_: dict[str, np.ndarray]
    history_: list[dict[str, float]]
    n_iter_: int

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3, 0.45),
        n_components: int | None = 64,
        n_regions: int = 32,
        max_overlap: float = 0.5,
        hidden: int = 256,
        n_layers: int = 2,
        dropout: float = 0.5,
        max_epochs: int = 10,
        lr: float = 0.003,
        batch_size: int = 64,
        class_weight: dict | str | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
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
        self.n_components = n_components
        self.n_regions = n_regions
        self.max_overlap = max_overlap
        self.hidden = hidden
        self.n_layers = n_layers
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Learn the whitening of the regions, and the network.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images in the loss. Images of weight 0 have no influence at
            all; the whitening counts all others alike.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters, labels or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        self._fit(X, y, sample_weight)
        return self

    @as_fit_task
    @in_usual_torch_state
    def _fit(self, X, y, sample_weight) -> None:
        self._reset()
        check_parameters(self)
        self.classes_, labels = check_classes(self, check_labels(self, X, y))
        maps = self._all_maps(X, reset=True)
        weights = sample_weights(
            X, self.classes_[labels], sample_weight, self.class_weight
        )
        random = check_random_state(self.random_state)
        device = resolve_device(self.device)
        maps = self._of_regions(maps)
        shapes = self._of_regions(self.map_shapes_)
        self.grids_ = [
            region_grid(shape, self.region_scales, of_map)
            for shape, of_map in zip(shapes, maps, strict=True)
        ]
        rows = np.flatnonzero(weights > 0)
        of_rows = [MapRows(of_map, rows) for of_map in maps]
        self.whitenings_ = [
            fit_whitening(of_map, grid, self.n_components, random)
            for of_map, grid in zip(of_rows, self.grids_, strict=True)
        ]
        nodes = Nodes.joined(self._iter_nodes(of_rows, device))
        model = LayoutGraphModel(self._layer_shapes(), self.dropout, random)
        self.history_ = []
        if self.max_epochs:
            seed = int(random.randint(_LARGEST_SEED))
            self.history_ = train(
                self, model, nodes, labels[rows], weights[rows], device, seed
            )
        self.n_iter_ = len(self.history_)
        self.layers_ = model.arrays()

    def transform(self, X) -> np.ndarray:
        """Compute what the linear classifier of the network sees of images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, 2 * hidden)
            The means and the maxima over the nodes of each image.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or if X is unusable.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        outputs = (output for _, output in self._iter_outputs(X))
        return np.concatenate([output.descriptors.cpu().numpy() for output in outputs])

    def _logits(self, X) -> np.ndarray:
        outputs = (output for _, output in self._iter_outputs(X))
        return np.concatenate([output.scores.cpu().numpy() for output in outputs])

    @in_usual_torch_state
    def _iter_outputs(self, X) -> Iterator[tuple[Nodes, GraphOutput]]:
        """Run the network on some images of X at a time."""
        check_is_fitted(self)
        device = resolve_device(self.device)
        layers = {
            name: torch.from_numpy(array).to(device)
            for name, array in self.layers_.items()
        }
        for maps in self._iter_tensors(X):
            for nodes in self._iter_nodes(self._of_regions(maps), device):
                with torch.inference_mode():
                    output = run_graph(layers, *nodes.split_inputs())
                yield nodes, output

    def _iter_nodes(self, maps: Sequence, device: torch.device) -> Iterator[Nodes]:
        """Find the nodes of some images at a time, from the maps with regions."""
        n_regions = share_parts(self.n_regions, len(maps), "n_regions")
        return iter_nodes(
            maps, self.grids_, self.whitenings_, n_regions, self.max_overlap, device
        )

    def _of_regions(self, of_maps: Sequence) -> list:
        """Return those values of the feature maps that are of maps with regions."""
        return list(itertools.compress(of_maps, have_parts(self.map_shapes_)))

    def _layer_shapes(self) -> dict[str, tuple[int, ...]]:
        depths = [whitening.projection.shape[1] for whitening in self.whitenings_]
        return layer_shapes(depths, self.hidden, self.n_layers, len(self.classes_))

    @property
    def _n_features_out(self) -> int:
        return self.layers_["class_weight"].shape[1]

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_parameters(self)
        check_graph_state(state, self.n_regions, self.hidden, self.n_layers)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "layers_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
