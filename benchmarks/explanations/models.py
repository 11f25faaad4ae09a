"""Models as things that score images and say what they saw in them.

Those with parts explain themselves. The global descriptor and its SVM are explained
from outside by Grad-CAM [1]_, of the package captum, in the network's last map.

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
from benchmarks.explanations.image_sets import ImageSet, as_seen
from skdpnet import FeatureMaps, GlobalFeatures, explain_each
from skdpnet.backbones.loading import load_backbone
from skdpnet.explanations.readout import linear_readout
from skdpnet.utils.devices import resolve_device

__all__ = [
    "GlobalModel", "GlobalNetwork", "PartModel", "Seen", "fit_model", "forgetting",
    "grad_cam", "import_grad_cam",
]  # fmt: skip

# Images that gradients are computed of at once.
_BATCH = 8


class Seen(NamedTuple):
    """What a model saw in n images, explaining the class it predicted.

    Attributes
    ----------
    scores : float64 ndarray of shape (n, C)
    heat_maps : float64 ndarray of shape (n, H, W)
        They cover the squares that the network saw.
    top : int ndarray of shape (n,), or None
        The present part that adds most, -1 where none is present; None for models
        without parts, as are the others.
    top_boxes : float64 ndarray of shape (n, 4), or None
        Its region, in shares of the square; NaN where there is none.
    descriptors : float64 ndarray of shape (n, P), or None
    """

    scores: np.ndarray
    heat_maps: np.ndarray
    top: np.ndarray | None = None
    top_boxes: np.ndarray | None = None
    descriptors: np.ndarray | None = None


def fit_model(estimator, data: ImageSet, seed: int) -> PartModel | GlobalModel:
    """Fit a classifier, or a transformer and the linear SVM that follows it.

    Parameters
    ----------
    estimator : DPNetClassifier, SoftAssignParts or GlobalFeatures
        Unfitted, on images. Of a transformer, the SVM's C is chosen by
        cross-validation (`measuring.choose_svm`).
    data : ImageSet
    seed : int
        Of the SVM and its folds.

    Returns
    -------
    PartModel or GlobalModel
    """
    if not is_classifier(estimator):
        params = estimator.get_params()
        of_maps = {k: params[k] for k in FeatureMaps().get_params() if k in params}
        maps = extract(FeatureMaps(**of_maps), data.train)
        given = clone(estimator).set_params(backbone="precomputed")
        svm, _ = choose_svm(given, maps, data.train_y, seed)
        estimator = make_pipeline(estimator, svm)
    estimator.fit(data.train, data.train_y)
    first = estimator[0] if isinstance(estimator, Pipeline) else estimator
    return (GlobalModel if isinstance(first, GlobalFeatures) else PartModel)(estimator)


@contextmanager
def forgetting(step) -> Iterator[None]:
    """Keep no maps inside the ``with`` block, of images that nobody sees again.

    Parameters
    ----------
    step : fitted estimator that sees images
    """
    memory = step.memory
    step.set_params(memory=None)
    try:
        yield
    finally:
        step.set_params(memory=memory)


class PartModel:
    """A fitted classifier with parts.

    Parameters
    ----------
    estimator : DPNetClassifier, or Pipeline of parts and a linear classifier

    Attributes
    ----------
    describer : fitted estimator that sees the images
    readout : LinearReadout
    """

    def __init__(self, estimator):
        self.estimator = estimator
        self.readout = linear_readout(estimator)
        self.describer = self.readout.parts

    def scores(self, X: np.ndarray) -> NDArray[np.float64]:
        """Score each class.

        Parameters
        ----------
        X : ndarray of n images, or paths

        Returns
        -------
        ndarray of shape (n, C)
        """
        descriptors = self.describer.transform(X)
        return descriptors @ self.readout.coef.T + self.readout.intercept

    def see(self, X: np.ndarray) -> Seen:
        """Explain the predicted class of each image.

        Parameters
        ----------
        X : ndarray of n images, or paths

        Returns
        -------
        Seen
        """
        found = []
        for why in explain_each(self.estimator, X, apply_exif=True):
            present = why.top_parts(1)
            top, box = -1, np.full(4, np.nan)
            if len(present):
                top = int(present[0])
                box = to_shares(why.boxes[top], why.heat_map_box)
            found.append((why.scores, why.heat_map(), top, box, why.descriptor))
        return Seen(*(np.array(own) for own in zip(*found, strict=True)))


def to_shares(box: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Bring boxes from pixels to shares of the square that the network saw.

    Parameters
    ----------
    box : ndarray of shape (..., 4)
    square : ndarray of shape (4,)
        `Explanation.heat_map_box`.

    Returns
    -------
    ndarray of shape (..., 4)
    """
    left, top, right, _ = square
    return (box - [left, top, left, top]) / (right - left)


class GlobalModel:
    """The global descriptor and a linear SVM, with Grad-CAM.

    Parameters
    ----------
    pipeline : Pipeline
        Of fitted `GlobalFeatures` and `LinearSVC`.

    Attributes
    ----------
    describer : fitted estimator that sees the images
    """

    def __init__(self, pipeline: Pipeline):
        self.pipeline = pipeline
        self.describer = pipeline[0]

    def scores(self, X: np.ndarray) -> NDArray[np.float64]:
        """Score each class, (n, C); see `PartModel.scores`."""
        scores = self.pipeline.decision_function(X)
        return np.column_stack([-scores, scores]) if scores.ndim == 1 else scores

    def see(self, X: np.ndarray) -> Seen:
        """Explain the predicted class of each image; see `PartModel.see`."""
        scores = self.scores(X)
        network = GlobalNetwork(*self.pipeline)
        classes, heat = scores.argmax(axis=1), []
        for start in range(0, len(X), _BATCH):
            piece = slice(start, start + _BATCH)
            squares = as_seen(X[piece], network.image_size)
            heat.append(grad_cam(network, squares, classes[piece]))
        return Seen(scores, np.concatenate(heat))


class GlobalNetwork(nn.Module):
    """`GlobalFeatures` and a linear SVM as one network, which has gradients.

    Parameters
    ----------
    features : fitted GlobalFeatures
        Of the network's last map.
    svm : fitted LinearSVC
    """

    def __init__(self, features: GlobalFeatures, svm: LinearSVC):
        super().__init__()
        self.device = resolve_device(features.device)
        backbone = load_backbone(features.backbone, features.image_size, self.device)
        self.image_size = backbone.image_size
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
        """Score images.

        Parameters
        ----------
        pixels : float tensor of shape (N, 3, S, S)
            RGB from 0 to 255, on the network's device.

        Returns
        -------
        tensor of shape (N, C)
        """
        maps = self.maps((pixels - self.mean) / self.std)
        descriptor = F.normalize(maps.mean(dim=(2, 3)), dim=1)
        return descriptor @ self.coef.T + self.intercept


def import_grad_cam() -> type:
    """Import Grad-CAM.

    Returns
    -------
    type
        captum's ``LayerGradCam``.

    Raises
    ------
    SystemExit
        Where captum is not installed.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError as error:
        raise SystemExit(
            f"error: Grad-CAM is captum's, which cannot be imported ({error}); "
            "pip install captum"
        ) from error
    return LayerGradCam


def grad_cam(
    network: GlobalNetwork, squares: NDArray[np.uint8], classes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Say by Grad-CAM where images show a class.

    Without the last ReLU of the paper: it would only tie the places that speak
    against the class, whose order deletion and insertion ask for.

    Parameters
    ----------
    network : GlobalNetwork
    squares : uint8 ndarray of shape (n, S, S, 3)
        What the network sees of the images.
    classes : int ndarray of shape (n,)
        Number of the class that each is explained for.

    Returns
    -------
    float64 ndarray of shape (n, H, W)
        H×W are the cells of the network's last map.
    """
    method = import_grad_cam()(network, network.maps)
    pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).float().to(network.device)
    heat = method.attribute(pixels, torch.from_numpy(classes).to(network.device))
    return heat[:, 0].detach().cpu().double().numpy()
