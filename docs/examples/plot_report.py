"""
A report for a colleague
========================

`skdpnet.report` writes a model and its decisions as one HTML page, which works without
a network connection.
"""

# %%
import tempfile
from pathlib import Path

import skdpnet
from skdpnet import DPNetClassifier
from skdpnet.datasets import make_part_images

train = make_part_images(120, n_classes=3, image_size=160, random_state=0)
test = make_part_images(24, n_classes=3, image_size=160, random_state=1)
model = DPNetClassifier(image_size=160, n_parts_per_class=4, random_state=0)
model.fit(train.images, train.target_names[train.target])

# %%
with tempfile.TemporaryDirectory() as folder:
    page = Path(folder) / "report.html"
    skdpnet.report(
        model, train.images, test.images, test.target_names[test.target], page
    )
    print(f"{page.stat().st_size / 1e6:.1f} MB in one file")

# %%
# The page has the accuracy and the confusions, each class with its parts and the
# regions where they respond most, and the test images, each with the parts that
# decided. Its figures are those of `skdpnet.display`:
from skdpnet.display import ClassPartMatrixDisplay

ClassPartMatrixDisplay.from_estimator(model).plot()
