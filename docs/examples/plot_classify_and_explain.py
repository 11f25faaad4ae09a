"""
Classify images, and see which parts decided
============================================

Birds whose classes differ in a beak, crest, wing or tail are classified by parts, which
are learned on the feature maps of a frozen network.
"""

# %%
# The data: 200 images for learning, 60 others to predict.
from skdpnet.datasets import make_part_images

train = make_part_images(200, n_classes=4, difficulty=0.3, random_state=0)
test = make_part_images(60, n_classes=4, difficulty=0.3, random_state=1)

# %%
# Fitting computes the maps of each image once, starts parts at clusters of regions, and
# learns parts and a linear classifier together.
from skdpnet import DPNetClassifier

model = DPNetClassifier(n_parts_per_class=6, random_state=0)
model.fit(train.images, train.target)
print(f"accuracy on other images: {model.score(test.images, test.target):.0%}")

# %%
# Why is this image classified as it is? Each part contributes to the score; together
# with the bias the contributions are the score.
why = model.explain(test.images[0])
print(f"class {why.predicted}, score {why.score:.2f}")
print(f"contributions and bias: {why.contributions.sum() + why.bias:.2f}")
for p in why.top_parts(3):
    print(f"{why.part_names[p]}: {why.contributions[p]:+.2f} at {why.boxes[p].round()}")

# %%
from skdpnet.display import ExplanationDisplay

ExplanationDisplay.from_estimator(model, test.images[0]).plot()

# %%
# What do the parts of a class show? The regions of the training images to which each
# responds most:
from skdpnet.display import PartGalleryDisplay

PartGalleryDisplay.from_estimator(model, why.predicted, train.images).plot()
