"""
Parts beside tabular columns
============================

A data frame has a column of image files and other columns. A `ColumnTransformer` gives
the files to the parts and the numbers to a scaler, and one classifier sees both.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdpnet import DPNetTransformer
from skdpnet.datasets import make_part_images

birds = make_part_images(120, n_classes=4, image_size=128, random_state=0)
folder = tempfile.TemporaryDirectory()
files = [Path(folder.name) / f"{i}.png" for i in range(len(birds.images))]
for file, image in zip(files, birds.images, strict=True):
    Image.fromarray(image).save(file)

# %%
# The made-up weight of a bird says something about its class, but not all.
grams = 20 + 5 * birds.target + np.random.RandomState(0).normal(0, 4, len(files))
table = pd.DataFrame({"file": [str(f) for f in files], "grams": grams})
print(table.head(3).assign(file=lambda t: t["file"].map(lambda f: Path(f).name)))

# %%
# A column by its name (not in a list) reaches the transformer as one column of paths.
columns = ColumnTransformer(
    [
        (
            "parts",
            DPNetTransformer(image_size=128, n_parts_per_class=4, random_state=0),
            "file",
        ),
        ("numbers", StandardScaler(), ["grams"]),
    ]
)
model = make_pipeline(columns, LogisticRegression(C=10, max_iter=1000))
model.fit(table[:90], birds.target[:90])
by_weight = make_pipeline(StandardScaler(), LogisticRegression())
by_weight.fit(table[["grams"]][:90], birds.target[:90])
by_parts = make_pipeline(clone(columns).set_params(numbers="drop"), clone(model[-1]))
by_parts.fit(table[:90], birds.target[:90])

# %%
scores = {
    "weight": by_weight.score(table[["grams"]][90:], birds.target[90:]),
    "images": by_parts.score(table[90:], birds.target[90:]),
    "both": model.score(table[90:], birds.target[90:]),
}
_, ax = plt.subplots(figsize=(5, 2), layout="constrained")
ax.barh(list(scores), list(scores.values()), color="0.6")
ax.set(xlabel="accuracy on 30 other birds", xlim=(0, 1))

# %%
# Each part is a column with a name.
print(model[:-1].get_feature_names_out()[[0, 1, -1]])
folder.cleanup()
