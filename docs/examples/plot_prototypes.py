"""
This looks like that
====================

A prototype network decides by what regions of an image look like: each prototype *is* a
region of a training image, which can be shown.
"""

# %%
from skdpnet import ProtoPNetClassifier, ProtoTreeClassifier
from skdpnet.datasets import make_part_images
from skdpnet.display import PrototypeDisplay, PrototypeTreeDisplay

train = make_part_images(160, n_classes=4, image_size=160, random_state=0)
test = make_part_images(60, n_classes=4, image_size=160, random_state=1)
model = ProtoPNetClassifier(image_size=160, n_prototypes_per_class=5, random_state=0)
model.fit(train.images, train.target)
print(f"accuracy: {model.score(test.images, test.target):.0%}")
print(f"prototype 0 is a region of image {model.prototype_sources_['image'][0]}")

# %%
PrototypeDisplay.from_estimator(
    model, test.images[1], train.images, n_prototypes=3
).plot()

# %%
# A tree of prototypes asks at each node whether the image has a region like this one.
# The path of an image can be read aloud:
tree = ProtoTreeClassifier(image_size=160, depth=3, random_state=0)
tree.fit(train.images, train.target)
print(f"accuracy of the tree: {tree.score(test.images, test.target):.0%}")
PrototypeTreeDisplay.from_estimator(tree, train.images, image=test.images[1]).plot()
