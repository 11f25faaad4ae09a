"""
Probabilities that can be taken at their word
=============================================

`DPNetClassifier` calibrates its probabilities while it is fitted, without holding
images out. The prototype networks do not: where their probabilities are used,
scikit-learn's `CalibratedClassifierCV` calibrates them. Whether that changes much
depends on the images.
"""

# %%
import tempfile

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss

from skdpnet import DPNetClassifier, ProtoPNetClassifier
from skdpnet.datasets import make_part_images

train = make_part_images(150, n_classes=4, image_size=128, random_state=0)
test = make_part_images(200, n_classes=4, image_size=128, random_state=1)
folder = tempfile.TemporaryDirectory()
shared = {"image_size": 128, "memory": folder.name, "random_state": 0}

# %%
proto = ProtoPNetClassifier(n_prototypes_per_class=6, **shared)
models = {
    "DPNetClassifier": DPNetClassifier(n_parts_per_class=6, **shared),
    "ProtoPNetClassifier": proto,
    "ProtoPNetClassifier, calibrated": CalibratedClassifierCV(
        proto, method="temperature", cv=3
    ),
}
losses = {}
for name, model in models.items():
    model.fit(train.images, train.target)
    losses[name] = log_loss(test.target, model.predict_proba(test.images))
    accuracy = model.score(test.images, test.target)
    print(f"{name}: accuracy {accuracy:.0%}, log loss {losses[name]:.2f}")

# %%
# The log loss punishes confident errors: an accuracy alone would not show them.
_, ax = plt.subplots(figsize=(6, 2), layout="constrained")
ax.barh(list(losses), list(losses.values()), color="0.6")
ax.set(xlabel="log loss on 200 other images (less is better)")
ax.invert_yaxis()
folder.cleanup()
