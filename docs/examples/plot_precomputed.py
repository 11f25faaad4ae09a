"""
Features that are computed already
==================================

``backbone="precomputed"`` takes arrays in place of images: feature maps
(n × height × width × channels), regions (n × regions × channels) or features
(n × channels). Here the digits of scikit-learn, 8 × 8 pixels, are maps of one channel
that are cut into small windows.
"""

# %%
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skdpnet import DPNetClassifier

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, train_size=500, stratify=digits.target, random_state=0
)

# %%
# Each cell of a map gets the 3 × 3 pixels around it as channels.


def maps_of(images):
    """Stack the shifted images: n × 8 × 8 × 9."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1))) / 16
    shifts = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    return np.stack(shifts, axis=-1).astype(np.float32)


model = DPNetClassifier(
    "precomputed",
    region_scales=(0.25,),
    n_components=None,
    foreground=None,
    n_parts_per_class=10,
    random_state=0,
).fit(maps_of(X_train), y_train)
print(f"parts, wherever they are: {model.score(maps_of(X_test), y_test):.1%}")

# %%
# Parts do not know where they are found, so digits that consist of the same strokes in
# other places are hard for them. A classifier of the pixels knows places, and is better
# here: parts are for objects that move about.
pixels = LogisticRegression(max_iter=5000).fit(X_train.reshape(500, -1), y_train)
print(f"pixels: {pixels.score(X_test.reshape(len(X_test), -1), y_test):.1%}")

# %%
# Explanations work as with images, with boxes in fractions of the sides:
why = model.explain(maps_of(X_test)[0])
print(f"predicted {why.predicted}, truly {y_test[0]}")
print(why.boxes[why.top_parts(2)].round(2))

# %%
# The strongest part that is not the whole image (its context):
import matplotlib.pyplot as plt

_, axes = plt.subplots(1, 4, figsize=(8, 2.4), layout="constrained")
for ax, image, maps in zip(axes, X_test, maps_of(X_test), strict=False):
    why = model.explain(maps)
    p = next(p for p in why.top_parts() if not why.part_names[p].endswith("context"))
    left, top, right, bottom = why.boxes[p]
    ax.imshow(image, cmap="gray_r", extent=(0, 1, 1, 0))
    ax.add_patch(
        plt.Rectangle((left, top), right - left, bottom - top, fill=False, color="red")
    )
    ax.set(title=f"{why.predicted}", xticks=[], yticks=[])
