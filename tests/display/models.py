"""Images with coloured squares, and small models of them, which displays draw."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from skdpnet import DPNetClassifier, DPNetTransformer, SoftAssignParts
from skdpnet.base.part_estimator import PartEstimator

# As mathtext it would be an error, and its length needs all kinds of shortening.
RED = r"red_$\frac{_of_the_meadows_and_of_the_woods$"
GREEN, BLUE = "green", "blue"
COLOURS = {RED: (230, 20, 20), GREEN: (20, 230, 20), BLUE: (20, 20, 230)}
# Upper left corners of the squares, each on four cells of the network's map.
PLACES = [(36 + 16 * i, 16 * j) for i, j in ((0, 0), (3, 2), (6, 5), (2, 6), (5, 1))]


class Colours(nn.Module):
    """Mean red, green and blue, 0 to 1, of patches of 16×16 pixels."""

    def forward(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        return nn.functional.avg_pool2d(x * std + mean, 16)


def square_image(colour, place) -> Image.Image:
    """A wide grey image, darker to the right, with one coloured square."""
    pixels = np.empty((128, 200, 3), np.uint8)
    pixels[:] = np.linspace(90, 60, 200).astype(np.uint8)[:, None]
    left, top = place
    pixels[top : top + 32, left : left + 32] = colour
    return Image.fromarray(pixels)


def colour_images():
    X = [square_image(colour, place) for colour in COLOURS.values() for place in PLACES]
    return X, np.repeat(list(COLOURS), len(PLACES))


PARAMS = {
    "image_size": 128,
    "region_scales": (0.25,),
    "n_parts_per_class": 2,
    "n_components": None,
    "random_state": 0,
}


def end_to_end():
    return DPNetClassifier(Colours(), **PARAMS, max_epochs=10)


def pipeline():
    parts = DPNetTransformer(Colours(), **PARAMS, max_epochs=10)
    return make_pipeline(parts, StandardScaler(), LogisticRegression())


def two_stages():
    return make_pipeline(SoftAssignParts(Colours(), **PARAMS), LogisticRegression())


class ColourParts(PartEstimator):
    """Parts that are fixed directions of colour, some of them shared by classes.

    The classes must be three, of which the sorted first is blue, the second green and
    the third red.
    """

    # Blue, green and red belong to a class each; yellow, magenta and cyan are shared.
    directions = np.array(
        [[0, 0, 1], [1, 1, -1], [0, 1, 0], [1, 0, 0], [1, -1, 1], [-1, 1, 1]],
        np.float32,
    )
    classes_of_directions = (0, -1, 1, 2, -1, -1)

    def __init__(
        self, backbone="precomputed", *, image_size=None, region_scales=(0.25,)
    ):
        super().__init__(backbone, image_size=image_size)
        self.region_scales = region_scales

    def fit(self, X, y):
        """Learn nothing but the classes' names."""
        self._begin_fit(X, y)
        self.part_classes_ = np.array(self.classes_of_directions)
        self.part_maps_ = np.zeros(len(self.directions), int)
        return self

    def part_responses(self, maps):
        """Compute the cosines of mean colours and directions."""
        (feature_map,), (grid,) = maps, self.grids_
        regions = [
            feature_map[:, top:bottom, left:right].mean(axis=(1, 2))
            for top, left, bottom, right in grid.cells
        ]
        unit_regions, unit_directions = (
            vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
            for vectors in (np.stack(regions, axis=1), self.directions)
        )
        return [torch.from_numpy(unit_regions @ unit_directions.T)]

    def descriptor(self, responses):
        """Take the largest response of each part."""
        return responses[0].amax(dim=1).numpy()


class SignedSquares(ClassifierMixin, BaseEstimator):
    """A classifier that is not linear, and gives the contributions of its inputs.

    Part p contributes ``100 (m_cp - m_p) d |d|``, where m are means over the training
    images and d is the descriptor's distance from its mean. The bias depends on the
    image: it is the largest number of the descriptor.
    """

    def fit(self, X, y):
        """Compute the means."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        self.mean_ = X.mean(axis=0)
        means = [X[labels == c].mean(axis=0) for c in range(len(self.classes_))]
        self.directions_ = 100 * (np.stack(means) - self.mean_)
        return self

    def contributions(self, descriptors, class_number):
        """Return what each part contributes to the score of a class, (n, P)."""
        distance = descriptors - self.mean_
        return self.directions_[class_number] * distance * np.abs(distance)

    def class_scores(self, descriptors):
        """Return the scores, (n, C)."""
        sums = [
            self.contributions(descriptors, c).sum(axis=1)
            for c in range(len(self.classes_))
        ]
        return np.stack(sums, axis=1) + descriptors.max(axis=1, keepdims=True)

    def predict(self, X):
        """Return the class of the largest score."""
        return self.classes_[self.class_scores(X).argmax(axis=1)]


class ColourClassifier(SignedSquares, ColourParts):
    """Shared parts and a decision that is not linear in one estimator."""

    def fit(self, X, y):
        """Fit the parts, then the decision on their descriptor."""
        ColourParts.fit(self, X, y)
        return SignedSquares.fit(self, self.transform(X), y)

    def predict(self, X):
        """Return the class of the largest score."""
        return SignedSquares.predict(self, self.transform(X))


def shared_linear(backbone="precomputed", **params):
    """Make a linear model of which half the parts are shared."""
    return make_pipeline(
        ColourParts(backbone, **params), StandardScaler(), LinearSVC(random_state=0)
    )


def shared_nonlinear(backbone="precomputed", **params):
    """Make a model without weights of which half the parts are shared."""
    return make_pipeline(ColourParts(backbone, **params), SignedSquares())
