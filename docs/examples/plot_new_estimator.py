"""
A new part estimator
====================

What derives from `PartEstimator` and gives the responses of its parts is cached,
searched, explained, drawn and saved like the estimators of the package. Here the parts
are regions of the training images, drawn at random.
"""

# %%
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.datasets import make_part_images
from skdpnet.display import BestRegionsDisplay
from skdpnet.utils.validation import Number


class RandomRegions(PartEstimator):
    """Describe images by their likeness to regions drawn at random."""

    _parameter_constraints = {
        **PartEstimator._parameter_constraints,
        "n_parts": [Number(1, whole=True)],
    }
    _fitted_attributes = (*PartEstimator._fitted_attributes, "regions_")

    def __init__(
        self,
        backbone="efficientnet_lite0",
        *,
        strides=(16, 32),
        image_size=None,
        region_scales=(0.3,),
        n_parts=50,
        memory=None,
        random_state=None,
    ):
        super().__init__(
            backbone, strides=strides, image_size=image_size, memory=memory
        )
        self.region_scales = region_scales
        self.n_parts = n_parts  # of each feature map
        self.random_state = random_state

    def fit(self, X, y):
        maps, _ = self._begin_fit(X, y)
        random = check_random_state(self.random_state)
        self.regions_ = []
        for feature_map, grid in zip(maps, self.grids_, strict=True):
            images = random.randint(len(feature_map), size=self.n_parts)
            places = random.randint(grid.n_regions, size=self.n_parts)
            drawn = [
                describe_regions(feature_map[[i]], grid)[0, r]
                for i, r in zip(images, places, strict=True)
            ]
            self.regions_.append(torch.stack(drawn).numpy())
        self.part_maps_ = np.repeat(np.arange(len(maps)), self.n_parts)
        self.part_classes_ = np.full(len(self.part_maps_), -1)  # classes share them
        return self

    def part_responses(self, maps):
        return [
            describe_regions(feature_map, grid) @ torch.from_numpy(regions).T
            for feature_map, grid, regions in zip(
                maps, self.grids_, self.regions_, strict=True
            )
        ]

    def descriptor(self, responses):
        return np.hstack([cosines.amax(dim=1).numpy() for cosines in responses])


def describe_regions(maps, grid):
    """Average each region's cells, to unit length: (images, regions, channels)."""
    cells = torch.from_numpy(np.asarray(maps, np.float32)).flatten(1, 2)
    pooled = torch.cat(list(grid.pool(cells)), dim=1)
    return torch.nn.functional.normalize(pooled, dim=2)


# %%
train = make_part_images(90, n_classes=3, image_size=160, random_state=0)
test = make_part_images(60, n_classes=3, image_size=160, random_state=1)
model = make_pipeline(
    RandomRegions(image_size=160, n_parts=100, random_state=0),
    StandardScaler(),
    LogisticRegression(),
).fit(train.images, train.target)
print(f"accuracy: {model.score(test.images, test.target):.0%}")

# %%
# Everything that explains takes it:
BestRegionsDisplay.from_estimator(model, test.images[:4], n_parts=3).plot()
