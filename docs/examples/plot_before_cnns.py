"""
Words, LLC, VLAD and Fisher vectors
===================================

Image classification as it was before convolutional networks: local descriptors on a
grid, one vector an image that says which descriptors there are, a spatial pyramid that
says roughly where, and a support vector machine. No network, and nothing to download.
"""

# %%
# The images are made of photographs of surfaces that come with scikit-image, one above
# the other. Classes that differ only in which is above cannot be told apart without
# places. Training images are cut from the left of the photographs, test images from the
# right, and the light changes from image to image.
import time

import matplotlib.pyplot as plt
import numpy as np
from skimage import data
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from skdpnet import LLC, VLAD, BagOfWords, FisherVector
from skdpnet.backbones import DenseSIFT
from skdpnet.encodings import intersection_kernel

SURFACES = {"brick": data.brick(), "grass": data.grass(), "gravel": data.gravel()}
PAIRS = [(above, below) for above in SURFACES for below in SURFACES if above != below]
SIDE = 96


def cut(surface, start, end, random):
    """Cut a piece between two shares of the width, in another light."""
    height, width = surface.shape
    top = random.randint(height - SIDE // 2 + 1)
    left = random.randint(start * width, end * width - SIDE + 1)
    piece = surface[top : top + SIDE // 2, left : left + SIDE].astype(float)
    light = random.uniform(0.5, 1) * piece + random.uniform(0, 60)
    return (light + random.normal(scale=10, size=piece.shape)).clip(0, 255)


def make_images(n_per_class, start, end, seed):
    """Make images (n, SIDE, SIDE) of each pair of surfaces, and their labels."""
    random, images, labels = np.random.RandomState(seed), [], []
    for pair in PAIRS:
        for _ in range(n_per_class):
            halves = [cut(SURFACES[name], start, end, random) for name in pair]
            images.append(np.vstack(halves).astype(np.uint8))
            labels.append(" above ".join(pair))
    return np.stack(images), np.array(labels)


X_train, y_train = make_images(10, 0, 0.5, seed=0)
X_test, y_test = make_images(20, 0.5, 1, seed=1)

_, axes = plt.subplots(1, 6, figsize=(9, 1.9), layout="constrained")
for ax, image, label in zip(axes, X_train[::10], y_train[::10], strict=True):
    ax.imshow(image, cmap="gray", vmin=0, vmax=255)
    ax.set_title(label, fontsize=8)
    ax.axis("off")

# %%
# Words are counted and compared by the intersection of their histograms; the others are
# followed by a linear SVM. All see the same descriptors: SIFT of patches of 16 and 24
# pixels, 6 pixels apart.
local = {
    "backbone": DenseSIFT(bin_sizes=(4, 6), step=6),
    "image_size": SIDE,
    "n_samples": 5000,
    "random_state": 0,
}
methods = {
    "words": (
        BagOfWords(
            **local, n_words=50, level_weights="pyramid_match", feature_map=None
        ),
        SVC(kernel=intersection_kernel, C=10),
    ),
    "LLC": (LLC(**local, n_words=200), LinearSVC(C=10)),
    "VLAD": (VLAD(**local, n_words=16), LinearSVC(C=10)),
    "Fisher vectors": (FisherVector(**local, n_words=8), LinearSVC(C=10)),
}
pyramids = {"the whole image": None, "and 2 × 2 cells": ((1, 1), (2, 2))}
accuracies = {name: [] for name in pyramids}
for name, pyramid in pyramids.items():
    for method, (encoder, svm) in methods.items():
        start = time.perf_counter()
        model = make_pipeline(encoder.set_params(pyramid=pyramid), svm)
        model.fit(X_train, y_train)
        accuracies[name].append(100 * model.score(X_test, y_test))
        print(
            f"{method}, {name}: {accuracies[name][-1]:.0f} %, "
            f"{encoder.transform(X_test[:1]).shape[1]:,} numbers, "
            f"{time.perf_counter() - start:.1f} s"
        )

# %%
# Of the whole image, only patches across the border say which surface is above. With
# the quarters each encoding is better, words most of all, which keep least of a patch.
# The error of an accuracy of 120 images is up to 4 points, and so most differences
# between the encodings mean nothing here: :doc:`/before_cnns` compares them on
# photographs of scenes.
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
places = np.arange(len(methods))
for i, (name, values) in enumerate(accuracies.items()):
    ax.bar(places + 0.4 * i - 0.2, values, 0.38, label=name, color=("0.75", "C0")[i])
ax.set(xticks=places, xticklabels=methods, ylabel="accuracy, %", ylim=(0, 119))
ax.legend(loc="upper left", ncols=2, fontsize=8)
