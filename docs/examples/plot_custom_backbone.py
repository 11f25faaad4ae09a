"""
A network of your own
=====================

Any torch module from images to maps is a backbone. Here it is three filters that anyone
can read: how red, green and blue a place is. The parts are then colours, and one can
check by eye what they found.
"""

# %%
import numpy as np
import torch
from torch import nn

from skdpnet import DPNetClassifier
from skdpnet.display import BestRegionsDisplay

# %%
# The network gets images that are normalised as ImageNet's are; the module undoes that.


class Colours(nn.Module):
    """Mean red, green and blue of patches of 16 × 16 pixels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, x):
        return nn.functional.avg_pool2d(x * self.std + self.mean, 16)


# %%
# Images with a red, green or blue square somewhere on grey:
random = np.random.RandomState(0)
y = np.repeat(["red", "green", "blue"], 12)
images = random.normal(110, 8, (len(y), 128, 128, 3)).clip(0, 255).astype(np.uint8)
for image, name in zip(images, y, strict=True):
    top, left = 16 * random.randint(7, size=2)
    image[top : top + 32, left : left + 32] = 40
    image[top : top + 32, left : left + 32, ["red", "green", "blue"].index(name)] = 220

# %%
model = DPNetClassifier(
    Colours(),
    image_size=128,
    region_scales=(0.25,),
    n_parts_per_class=2,
    n_components=None,
    random_state=0,
).fit(images[::2], y[::2])
print(f"accuracy on other images: {model.score(images[1::2], y[1::2]):.0%}")

# %%
BestRegionsDisplay.from_estimator(model, images[[1, 13, 25]], n_parts=1).plot()
