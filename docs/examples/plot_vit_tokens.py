"""
The tokens of a vision transformer
==================================

A model of timm is a backbone by its name (``"timm/<name>"``, which downloads its
weights), or as a module. The patch tokens of a vision transformer become a map with a
cell for each patch. The weights here are random, since the examples download nothing:
the accuracy says nothing about transformers.
"""

# %%
import timm
import torch

from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images

torch.manual_seed(0)
vit = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()


class Tokens(torch.nn.Module):
    """The patch tokens of the last block, as a map."""

    def __init__(self, vit):
        super().__init__()
        self.vit = vit

    def forward(self, x):
        return self.vit.forward_intermediates(x, indices=1, intermediates_only=True)[0]


# %%
birds = make_part_images(48, n_classes=2, image_size=224, random_state=0)
maps = FeatureMaps(Tokens(vit), strides=None, image_size=224).fit_transform(
    birds.images
)
print(maps.shape)  # 14 × 14 patches of 192 channels

# %%
# Such maps are as good as images for everything that learns:
model = DPNetClassifier("precomputed", n_parts_per_class=3, random_state=0)
model.fit(maps[:36], birds.target[:36])
print(f"accuracy of random weights: {model.score(maps[36:], birds.target[36:]):.0%}")

# %%
# With a network connection, pretrained tokens are one line:
#
# .. code-block:: python
#
#    DPNetClassifier("timm/vit_small_patch14_dinov2", memory="maps")
#
# Heat maps and boxes come back to the pixels of the image, whatever the patches:
from skdpnet.display import HeatMapDisplay

model = DPNetClassifier(
    Tokens(vit), strides=None, image_size=224, n_parts_per_class=3, random_state=0
).fit(birds.images[:36], birds.target[:36])
HeatMapDisplay.from_estimator(model, birds.images[40]).plot()
