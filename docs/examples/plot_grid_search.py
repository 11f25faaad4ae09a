"""
Search over the constraints
===========================

The weights of the constraints are parameters like any other. With `memory`, the network
sees each image once, however many points and folds a search has.
"""

# %%
import tempfile

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skdpnet import DPNetClassifier
from skdpnet.datasets import make_part_images
from skdpnet.metrics import redundancy

birds = make_part_images(120, n_classes=4, image_size=128, random_state=0)
weights = [0, 0.1, 1]

# %%
with tempfile.TemporaryDirectory() as maps:
    search = GridSearchCV(
        DPNetClassifier(
            image_size=128, n_parts_per_class=6, memory=maps, random_state=0
        ),
        {"orthogonality_weight": weights},
        cv=3,
    ).fit(birds.images, birds.target)
    models = [
        clone(search.estimator)
        .set_params(orthogonality_weight=weight)
        .fit(birds.images, birds.target)
        for weight in weights
    ]
print(search.best_params_)

# %%
# The accuracy alone does not tell the models apart; how alike their parts are does.
left, right = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")[1]
names = [str(weight) for weight in weights]
left.bar(names, search.cv_results_["mean_test_score"], color="0.6")
left.set(xlabel="orthogonality_weight", ylabel="accuracy, three folds", ylim=(0, 1))
similar = [redundancy(model.parts_, model.part_maps_).mean for model in models]
right.bar(names, similar, color="tab:orange")
right.set(xlabel="orthogonality_weight", ylabel="mean |cosine| of two parts")
