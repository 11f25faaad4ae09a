"""Searches on local clusters of two workers, by joblib's back ends dask and ray."""

from __future__ import annotations

import builtins
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import parallel_config
from joblib.pool import PicklingPool
from PIL import Image
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skdpnet import DPNetTransformer
from skdpnet.datasets import make_part_images
from skdpnet.utils.devices import resolve_device
from tests.probes import n_real_images

N_WORKERS = 2
LONGEST_WAIT_SECONDS = 120


class Logged(torch.nn.Module):
    """A small network that logs each image that it sees, and the process.

    Each batch waits until `n_processes` processes have logged an image, so that no
    worker can do the work of all before the others begin.
    """

    def __init__(self, log: Path, n_processes: int):
        super().__init__()
        self.log, self.n_processes = str(log), n_processes

    def forward(self, x):
        if n_real_images(x):
            self._log(x)
        means = torch.nn.functional.avg_pool2d(x, 8)
        return torch.cat([means, means.square()], dim=1)

    def _log(self, x):
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        lines = [
            f"{os.getpid()},{image.double().sum():.9f},{x.device},{gpu}\n"
            for image in x
        ]
        with open(self.log, "a") as file:
            file.write("".join(lines))
        start = time.monotonic()
        while len({process for process, *_ in read(self.log)}) < self.n_processes:
            if time.monotonic() - start > LONGEST_WAIT_SECONDS:
                raise TimeoutError(f"fewer than {self.n_processes} processes began")
            time.sleep(0.02)


def read(log: str | Path) -> list[tuple[str, ...]]:
    """Return process, image, device and visible GPUs of each image in a log."""
    lines = Path(log).read_text().splitlines()
    return [tuple(line.split(",")) for line in lines]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """Paths of 96 made images, and their labels.

    A fold has more images than a worker claims at once, so that others have work too.
    """
    folder = tmp_path_factory.mktemp("images")
    data = make_part_images(96, 2, image_size=48, difficulty=0.3, random_state=0)
    paths = [str(folder / f"{i:02}.png") for i in range(96)]
    for path, image in zip(paths, data.images, strict=True):
        Image.fromarray(image).save(path)
    return np.array(paths), data.target


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Return a function that makes a pipeline with a new log and a new cache."""

    def make(n_processes: int) -> tuple[Pipeline, Path]:
        folder = tmp_path_factory.mktemp("run")
        parts = DPNetTransformer(
            Logged(folder / "log", n_processes),
            image_size=48,
            n_parts_per_class=3,
            max_epochs=2,
            memory=folder / "maps",
            device="cpu",
            random_state=0,
        )
        svm = LinearSVC(random_state=0)
        return Pipeline([("parts", parts), ("svm", svm)]), folder / "log"

    return make


def search(pipe: Pipeline, images, n_jobs: int) -> GridSearchCV:
    grid = {"parts__orthogonality_weight": [0.0, 1.0], "svm__C": [0.01, 1.0]}
    return GridSearchCV(pipe, grid, cv=3, n_jobs=n_jobs).fit(*images)


@pytest.fixture(scope="module")
def in_one_process(pipeline, images) -> GridSearchCV:
    return search(pipeline(1)[0], images, n_jobs=1)


def assert_same_search(first: GridSearchCV, second: GridSearchCV, images) -> None:
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_array_equal(second.cv_results_[name], first.cv_results_[name])
    # If all scores were the same, they would not distinguish the searches.
    assert len(set(first.cv_results_["mean_test_score"])) > 1
    assert second.best_params_ == first.best_params_
    paths, _ = images
    np.testing.assert_array_equal(
        second.best_estimator_[0].transform(paths),
        first.best_estimator_[0].transform(paths),
    )


def assert_workers_saw_each_image_once(log: Path, images) -> None:
    """Check the log; the refit in this process reads all maps from the cache."""
    lines = read(log)
    assert len(lines) == len({image for _, image, *_ in lines}) == len(images[0])
    processes = {process for process, *_ in lines}
    assert len(processes) == N_WORKERS
    assert str(os.getpid()) not in processes


def assert_workers_had_one_gpu_each(log: Path) -> None:
    visible = {(process, gpu) for process, _, _, gpu in read(log)}
    assert sorted(gpu for _, gpu in visible) == ["0", "1"]


@pytest.fixture(scope="module")
def dask():
    """A scheduler and two workers, each with one visible GPU, as in LocalCluster."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    workers = {
        i: {
            "cls": distributed.Nanny,
            "options": {"nthreads": 1, "env": {"CUDA_VISIBLE_DEVICES": str(i)}},
        }
        for i in range(N_WORKERS)
    }
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard": False},
    }
    with (
        distributed.SpecCluster(workers=workers, scheduler=scheduler) as cluster,
        distributed.Client(cluster),
    ):
        yield


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """Two workers, and two GPUs that ray is made to believe in."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.util.joblib import register_ray

    bases = PicklingPool.__bases__
    with pytest.MonkeyPatch.context() as patch:
        # Ray writes a token for its connections to the home folder.
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        # Ray replaces print and changes the pool, and does not undo it.
        patch.setattr(builtins, "print", print)
        # The tests hide all GPUs, and ray would refuse its own.
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        ray.init(num_cpus=N_WORKERS, num_gpus=N_WORKERS, include_dashboard=False)
        register_ray()
        yield
        ray.shutdown()
    PicklingPool.__bases__ = bases


def test_a_search_on_dask_is_the_search_of_one_process(
    dask, in_one_process, pipeline, images
):
    pipe, log = pipeline(N_WORKERS)
    with parallel_config(backend="dask"):
        on_dask = search(pipe, images, n_jobs=-1)
    assert_same_search(in_one_process, on_dask, images)
    assert_workers_saw_each_image_once(log, images)
    assert_workers_had_one_gpu_each(log)


def test_a_search_on_ray_is_the_search_of_one_process(
    ray, in_one_process, pipeline, images
):
    pipe, log = pipeline(N_WORKERS)
    with parallel_config(backend="ray", ray_remote_args={"num_gpus": 1}):
        on_ray = search(pipe, images, n_jobs=N_WORKERS)
    assert_same_search(in_one_process, on_ray, images)
    assert_workers_saw_each_image_once(log, images)
    assert_workers_had_one_gpu_each(log)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the workers have a GPU")
def test_the_worker_chooses_the_device(dask, pipeline, images, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert resolve_device("auto").type == "cuda"
    pipe, log = pipeline(1)
    pipe.set_params(parts__device="auto")
    with parallel_config(backend="dask"):
        scores = cross_val_score(pipe, *images, cv=3, error_score="raise")
    assert len(scores) == 3
    assert {device for _, _, device, _ in read(log)} == {"cpu"}
