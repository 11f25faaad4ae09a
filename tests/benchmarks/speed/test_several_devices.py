"""Several processes with a device each: their shared cache, and their common model."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image

import skdpnet
from benchmarks.speed import several_devices
from benchmarks.speed.several_devices import AverageGradients, OwnShare, fill, own_share
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import make_part_images
from tests.parts.dpnet.test_clusters import Logged, read

N_PROCESSES = 2
BATCH = 32
# The last batch of an epoch has three images, or fewer than there are processes.
ODD, FEW = 2 * BATCH + 3, 2 * BATCH + 1
SETTINGS = {
    "backbone": "precomputed",
    "n_parts_per_class": 3,
    "max_epochs": 4,
    "batch_size": BATCH,
    "dropout": 0.0,
    "device": "cpu",
    "precision": "float32",
    "random_state": 0,
}
FITS = {
    "odd": {"n": ODD},
    "few": {
        "n": FEW,
        "orthogonality_weight": 1.0,
        "assignment_weight": 1.0,
        "specificity_weight": 0.1,
    },
    "stopping": {
        "n": 96,
        "validation_fraction": 0.25,
        "n_iter_no_change": 2,
        "max_epochs": 50,
        "lr": 0.02,
    },
    "dropout": {"n": ODD, "dropout": 0.5},
}


def fit(name: str, **sharing) -> DPNetClassifier:
    """Fit on noise with a mark on each class's own cell; unequal weights."""
    settings = dict(FITS[name])
    n = settings.pop("n")
    random = np.random.default_rng(0)
    X = random.normal(size=(n, 4, 4, 12)).astype(np.float32)
    y = np.arange(n) % 3
    X[np.arange(n), y, 1, y] += 3
    weights = random.uniform(0.2, 2, n)
    return DPNetClassifier(**{**SETTINGS, **settings, **sharing}).fit(X, y, weights)


def first_parts(name: str) -> np.ndarray:
    return fit(name, max_epochs=0).parts_


def work(rank: int, folder: Path, paths: list[str]) -> None:
    """Do the work of one of the processes, and write its results."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=N_PROCESSES,
    )
    fill(extractor(folder), own_share(paths))
    dist.barrier()
    maps = extractor(folder).fit_transform(paths)
    np.save(folder / f"maps{rank}.npy", maps)
    sharing = {
        "callbacks": [AverageGradients()],
        "net_params": {"iterator_train": OwnShare},
    }
    models = {name: fit(name, **sharing) for name in FITS}
    (folder / f"models{rank}.pickle").write_bytes(pickle.dumps(models))
    models["odd"].set_params(callbacks=None, net_params=None)
    models["odd"].save(folder / f"model{rank}.skdpnet")
    dist.destroy_process_group()


def extractor(folder: Path) -> FeatureMaps:
    return FeatureMaps(
        Logged(folder / "log", 1), image_size=48, memory=folder / "maps", device="cpu"
    )


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> list[str]:
    """Folder of class folders, 7 made images in all."""
    root = tmp_path_factory.mktemp("birds")
    data = make_part_images(7, 2, image_size=48, random_state=0)
    paths = []
    for i, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
        path = root / str(label) / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
        paths.append(str(path))
    return paths


@pytest.fixture(scope="module")
def done(birds, tmp_path_factory) -> Path:
    """Folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, args=(folder, birds), nprocs=N_PROCESSES)
    return folder


@pytest.fixture(scope="module")
def models(done) -> list[dict[str, DPNetClassifier]]:
    """Models of each process, by name."""
    files = [done / f"models{rank}.pickle" for rank in range(N_PROCESSES)]
    return [pickle.loads(file.read_bytes()) for file in files]


def test_each_image_is_seen_once_and_by_all_processes_together(done, birds):
    seen = read(done / "log")
    assert len(seen) == len({image for _, image, *_ in seen}) == len(birds)
    processes = [process for process, *_ in seen]
    assert sorted(processes.count(process) for process in set(processes)) == [3, 4]
    first, second = (np.load(done / f"maps{rank}.npy") for rank in range(N_PROCESSES))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["odd", "few", "stopping"])
def test_processes_together_learn_what_one_learns_alone(models, name):
    alone = fit(name)
    for model in (each[name] for each in models):
        assert model.n_iter_ == alone.n_iter_
        np.testing.assert_allclose(model.parts_, alone.parts_, atol=1e-5)
        np.testing.assert_allclose(model.coef_, alone.coef_, atol=2e-3)
    # Without learning, the comparison would show nothing.
    assert np.abs(alone.parts_ - first_parts(name)).max() > 1e-3


@pytest.mark.parametrize("name", FITS)
def test_all_processes_end_with_the_same_model(models, name):
    first, second = (each[name] for each in models)
    np.testing.assert_array_equal(first.parts_, second.parts_)
    np.testing.assert_array_equal(first.coef_, second.coef_)


def test_the_model_saves(models, done):
    loaded = skdpnet.load(done / "model0.skdpnet", device="cpu")
    np.testing.assert_array_equal(loaded.parts_, models[0]["odd"].parts_)


def test_the_script_finds_the_same_parts(birds, tmp_path):
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(several_devices, "print", lines.append, raising=False)
        several_devices.main(
            ["--data", str(Path(birds[0]).parents[1]), "--devices", "cpu", "cpu",
             "--image-size", "64", "--precision", "float32",
             "--output", str(tmp_path / "result.json")]
        )  # fmt: skip
    rows = json.loads((tmp_path / "result.json").read_text())
    assert [row["devices"] for row in rows] == ["cpu", "cpu cpu"]
    assert all(row["images"] == 7 for row in rows)
    assert all(row["parts differ by"] < 1e-4 for row in rows)
    assert len(lines) == 4 and "cpu cpu" in lines[-1]
