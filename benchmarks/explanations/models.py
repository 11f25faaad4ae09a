"""Fitted models that score images and explain the scores.

Models with parts are explained by their contributions. The global descriptor with its
SVM is explained by Grad-CAM [1]_ of the package captum, on the network's last map.

.. [1] R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
   Gradient-based Localization", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

from benchmarks.accuracy.methods import choose_svm
from benchmarks.data.extraction import extract
from benchmarks.explanations.image_sets import ImageSet, network_inputs
from skdpnet import FeatureMaps, GlobalFeatures, explain_each
from skdpnet.backbones.loading import load_backbone
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.readout import read_model
from skdpnet.regions import RegionGrid
from skdpnet.utils.devices import resolve_device

__all__ = [
    "GlobalModel", "GlobalNetwork", "ModelExplanations", "PartModel", "fit_model",
    "grad_cam", "have_place", "import_grad_cam", "without_memory",
]  # fmt: skip

# Number of images whose gradients are computed at once.
_BATCH = 8


class ModelExplanations(NamedTuple):
    """A model's explanations of the classes that it predicts for n images.

    The last three attributes are None for models without parts.

    Attributes
    ----------
    scores : float64 ndarray of shape (n, C)
        Score of each class.
    heat_maps : float64 ndarray of shape (n, H, W), or list
        They cover what the network sees. Of images of several shapes: a list of n
        ndarrays.
    top_parts : int ndarray of shape (n,), or None
        The present part with the largest contribution; -1 where no part is present.
    top_boxes : float64 ndarray of shape (n, 4), or None
        Box of that part's region, in fractions of the framing's canvas; NaN where no
        part is present.
    descriptors : float64 ndarray of shape (n, P), or None
    """

    scores: np.ndarray
    heat_maps: np.ndarray | list[np.ndarray]
    top_parts: np.ndarray | None = None
    top_boxes: np.ndarray | None = None
    descriptors: np.ndarray | None = None


def fit_model(estimator, data: ImageSet, seed: int) -> PartModel | GlobalModel:
    """Fit a classifier, or a transformer followed by a linear SVM.

    Parameters
    ----------
    estimator : DPNetClassifier, SoftAssignParts or GlobalFeatures
        Unfitted, for images. After a transformer, the C of the SVM is chosen by
        cross-validation (`methods.choose_svm`).
    data : ImageSet
    seed : int
        Random state of the SVM and its folds.

    Returns
    -------
    PartModel or GlobalModel
    """
    if not is_classifier(estimator):
        params = estimator.get_params()
        map_params = {k: params[k] for k in FeatureMaps().get_params() if k in params}
        maps = extract(FeatureMaps(**map_params), data.train)
        precomputed = clone(estimator).set_params(backbone="precomputed")
        svm, _ = choose_svm(precomputed, maps, data.train_y, seed)
        estimator = make_pipeline(estimator, svm)
    estimator.fit(data.train, data.train_y)
    first = estimator[0] if isinstance(estimator, Pipeline) else estimator
    return (GlobalModel if isinstance(first, GlobalFeatures) else PartModel)(estimator)


@contextmanager
def without_memory(transformer) -> Iterator[None]:
    """Cache no maps inside the ``with`` block, for images that are used only once.

    Parameters
    ----------
    transformer : fitted estimator
        It has a parameter `memory`.
    """
    memory = transformer.memory
    transformer.set_params(memory=None)
    try:
        yield
    finally:
        transformer.set_params(memory=memory)


def have_place(parts) -> NDArray[np.bool_]:
    """Find the parts that have several regions, and not the whole image alone.

    Parameters
    ----------
    parts : fitted PartEstimator

    Returns
    -------
    ndarray of shape (P,)
        False for the contexts of a DP-Net.
    """
    n_regions = np.array([grid.n_regions for grid in parts.grids_])
    return n_regions[parts.part_maps_] > 1


class PartModel:
    """A fitted classifier with parts.

    Parameters
    ----------
    estimator : part classifier, or Pipeline of parts and a classifier
        As `skdpnet.explain` takes it.

    Attributes
    ----------
    transformer : fitted estimator
        It computes the descriptors of images.
    readout : Readout
        A `LinearReadout` where the decision is linear.
    placed_parts : int ndarray
        Numbers of the parts that are found in a place. The others have the whole image
        as their only region.
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.transformer, self.readout = read_model(estimator)
        self.placed_parts = np.flatnonzero(have_place(self.transformer))

    @property
    def placed_grids(self) -> list[RegionGrid]:
        """The regions of each map that has `placed_parts`."""
        return [grid for grid in self.transformer.grids_ if grid.n_regions > 1]

    def scores(self, X: np.ndarray) -> NDArray[np.float64]:
        """Compute the score of each class.

        Parameters
        ----------
        X : ndarray of n images, or of n paths

        Returns
        -------
        ndarray of shape (n, C)
        """
        return self.readout.scores(self.transformer.transform(X).astype(np.float64))

    def explain(self, X: np.ndarray) -> ModelExplanations:
        """Explain the predicted class of each image.

        Parameters
        ----------
        X : ndarray of n images, or of n paths

        Returns
        -------
        ModelExplanations
        """
        rows, heat = [], []
        for why in explain_each(self.estimator, X, apply_exif=True):
            present = why.top_parts(len(why.contributions))
            present = present[np.isin(present, self.placed_parts)]
            top, box = -1, np.full(4, np.nan)
            if len(present):
                top = int(present[0])
                box = to_fractions(why, why.boxes[top])
            heat.append(why.heat_map())
            rows.append((why.scores, top, box, why.descriptor))
        scores, *others = map(np.array, zip(*rows, strict=True))
        return ModelExplanations(scores, stacked(heat), *others)


def to_fractions(why: Explanation, box: np.ndarray) -> np.ndarray:
    """Convert boxes from pixels to fractions of the framing's canvas.

    Parameters
    ----------
    why : Explanation
        Of the upright image.
    box : ndarray of shape (..., 4)
        Left, top, right and bottom in pixels.

    Returns
    -------
    ndarray of shape (..., 4)
    """
    left, top, right, bottom = why.heat_map_box
    rows, columns = why.extents[0]
    canvas = [
        (right - left) * why.grids[0].width / columns,
        (bottom - top) * why.grids[0].height / rows,
    ]
    return (box - np.tile([left, top], 2)) / np.tile(canvas, 2)


def stacked(arrays: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Stack arrays of one shape, and leave those of several shapes in their list."""
    one_shape = len({array.shape for array in arrays}) == 1
    return np.stack(arrays) if one_shape else arrays


class GlobalModel:
    """The global descriptor and a linear SVM, explained by Grad-CAM.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted `GlobalFeatures` and `LinearSVC`.

    Attributes
    ----------
    transformer : fitted GlobalFeatures
    """

    def __init__(self, pipeline: Pipeline):
        self.pipeline = pipeline
        self.transformer = pipeline[0]

    def scores(self, X: np.ndarray) -> NDArray[np.float64]:
        """Compute the score of each class; see `PartModel.scores`."""
        scores = self.pipeline.decision_function(X)
        return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores

    def explain(self, X: np.ndarray) -> ModelExplanations:
        """Explain the predicted class of each image; see `PartModel.explain`."""
        scores = self.scores(X)
        network = GlobalNetwork(*self.pipeline)
        framing = self.transformer.input_framing()
        classes = scores.argmax(axis=1)
        heat: list[np.ndarray] = []
        for start in range(0, len(X), _BATCH):
            piece = slice(start, start + _BATCH)
            inputs = stacked(network_inputs(X[piece], framing))
            if isinstance(inputs, np.ndarray):
                heat += list(grad_cam(network, inputs, classes[piece]))
                continue
            for image, c in zip(inputs, classes[piece], strict=True):
                heat += list(grad_cam(network, image[None], np.array([c])))
        return ModelExplanations(scores, stacked(heat))


class GlobalNetwork(nn.Module):
    """`GlobalFeatures` and a linear SVM as one differentiable network.

    Parameters
    ----------
    features : fitted GlobalFeatures
        The averages of the network's last map.
    svm : fitted LinearSVC
    """

    def __init__(self, features: GlobalFeatures, svm: LinearSVC):
        super().__init__()
        self.device = resolve_device(features.device)
        backbone = load_backbone(features.backbone, features.image_size, self.device)
        self.maps = backbone.network
        coef, intercept = svm.coef_, svm.intercept_
        if len(coef) == 1:
            coef, intercept = np.vstack([-coef, coef]), np.append(-intercept, intercept)
        numbers = {
            "mean": 255 * np.reshape(backbone.mean, (3, 1, 1)),
            "std": 255 * np.reshape(backbone.std, (3, 1, 1)),
            "coef": coef,
            "intercept": intercept,
        }
        for name, value in numbers.items():
            tensor = torch.from_numpy(value).float().to(self.device)
            self.register_buffer(name, tensor)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Compute the score of each class.

        Parameters
        ----------
        pixels : float tensor of shape (N, 3, H, W)
            RGB from 0 to 255, on the network's device.

        Returns
        -------
        tensor of shape (N, C)
        """
        maps = self.maps((pixels - self.mean) / self.std)
        descriptor = F.normalize(maps.mean(dim=(2, 3)), dim=1)
        return descriptor @ self.coef.T + self.intercept


def import_grad_cam() -> type:
    """Import Grad-CAM from captum.

    Returns
    -------
    type
        captum's ``LayerGradCam``.

    Raises
    ------
    SystemExit
        If captum cannot be imported.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError as error:
        raise SystemExit(
            f"error: Grad-CAM needs captum, which cannot be imported ({error}); "
            "pip install captum"
        ) from error
    return LayerGradCam


def grad_cam(
    network: GlobalNetwork, inputs: NDArray[np.uint8], classes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Compute heat maps of classes by Grad-CAM.

    The last ReLU of the paper is left out. It would set all regions that count against
    the class to 0, but deletion and insertion need their order.

    Parameters
    ----------
    network : GlobalNetwork
    inputs : uint8 ndarray of shape (n, H, W, 3)
        What the network sees of images.
    classes : int ndarray of shape (n,)
        The class that each image is explained for.

    Returns
    -------
    float64 ndarray of shape (n, H, W)
        Values for the H × W cells of the network's last map.
    """
    method = import_grad_cam()(network, network.maps)
    pixels = torch.from_numpy(inputs).permute(0, 3, 1, 2).float().to(network.device)
    heat = method.attribute(pixels, torch.from_numpy(classes).to(network.device))
    return heat[:, 0].detach().cpu().double().numpy()
