"""
Photographs
===========

Pieces of six photographs that come with scikit-image and scikit-learn. Which photograph
is a piece of? The left part of each gives the training pieces, the right part others.
"""

# %%
import numpy as np
from skimage import data
from sklearn.datasets import load_sample_images

from skdpnet import DPNetClassifier
from skdpnet.display import BestRegionsDisplay, ExplanationDisplay

china, flower = load_sample_images().images
photographs = {
    "temple": china,
    "flower": flower,
    "cat": data.chelsea(),
    "coffee": data.coffee(),
    "astronaut": data.astronaut(),
    "rocket": data.rocket(),
}
SIDE = 128


def pieces(image, start, end, n, random):
    """Cut n squares between two shares of the width."""
    height, width = image.shape[:2]
    left = random.randint(start * width, end * width - SIDE + 1, size=n)
    top = random.randint(height - SIDE + 1, size=n)
    corners = zip(top, left, strict=True)
    return [image[t : t + SIDE, x : x + SIDE] for t, x in corners]


# %%
random = np.random.RandomState(0)
X_train, X_test, y_train, y_test = [], [], [], []
for name, image in photographs.items():
    X_train += pieces(image, 0, 0.6, 20, random)
    X_test += pieces(image, 0.6, 1, 8, random)
    y_train += [name] * 20
    y_test += [name] * 8

# %%
model = DPNetClassifier(image_size=128, n_parts_per_class=4, random_state=0)
model.fit(X_train, y_train)
print(f"accuracy on the other sides: {model.score(X_test, y_test):.0%}")

# %%
BestRegionsDisplay.from_estimator(model, X_test[::8], n_parts=2).plot()

# %%
# What speaks for the cat?
ExplanationDisplay.from_estimator(model, X_test[18], "cat").plot()
