"""
A search on a dask cluster
==========================

Any cluster that joblib knows can take the fits of a search. The processes share the
folder of maps, so that the network still sees each image once.
"""

# %%
import tempfile
import warnings

import matplotlib.pyplot as plt
from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images

birds = make_part_images(90, n_classes=3, image_size=128, random_state=0)
folder = tempfile.TemporaryDirectory()

# %%
# The maps first, by one process: those that are all kept need no network in a worker.
# :doc:`Several processes </clusters>` tells how hosts share them out.
FeatureMaps(
    strides=(16, 32, "average"), image_size=128, memory=folder.name
).fit_transform(birds.images)
search = GridSearchCV(
    DPNetClassifier(image_size=128, memory=folder.name, random_state=0),
    {"n_parts_per_class": [2, 6]},
    cv=2,
)

# %%
# On a cluster of several hosts, pass its address to `Client`.
if __name__ == "__main__":
    with (
        warnings.catch_warnings(),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):
        warnings.simplefilter("ignore")  # dask's, of large graphs
        search.fit(birds.images, birds.target)
    print(search.best_params_, f"{search.best_score_:.0%}")
    folder.cleanup()

    _, ax = plt.subplots(figsize=(4, 3), layout="constrained")
    numbers = [str(n) for n in search.cv_results_["param_n_parts_per_class"]]
    ax.bar(numbers, search.cv_results_["mean_test_score"], color="0.6")
    ax.set(xlabel="parts of a class", ylabel="accuracy, two folds", ylim=(0, 1))
