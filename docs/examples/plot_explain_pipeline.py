"""
Explain a pipeline
==================

`skdpnet.explain` reads the parts and the linear classifier out of a pipeline: of parts,
scaling and an SVM, or of a search of such a pipeline.
"""

# %%
import skdpnet
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skdpnet import DPNetTransformer
from skdpnet.datasets import make_part_images
from skdpnet.display import HeatMapDisplay, ParticipationDisplay

train = make_part_images(120, n_classes=4, image_size=160, random_state=0)
test = make_part_images(20, n_classes=4, image_size=160, random_state=1)
parts = DPNetTransformer(image_size=160, n_parts_per_class=6, random_state=0)
model = make_pipeline(parts, StandardScaler(), LinearSVC(C=0.1))
model.fit(train.images, train.target)

# %%
# The contributions are those to the SVM's own score, with the scaling undone.
image = test.images[2]
why = skdpnet.explain(model, image)
print(f"{why.contributions.sum() + why.bias:.4f}")
print(f"{model.decision_function(image[None])[0].max():.4f}")

# %%
# Why this class, and not the next best one?
second = model.decision_function(image[None])[0].argsort()[-2]
HeatMapDisplay.from_estimator(model, image, against=second).plot()

# %%
# What the parts add to a class on average, over its training images:
own = train.images[train.target == why.predicted]
ParticipationDisplay.from_estimator(model, why.predicted, own).plot()
