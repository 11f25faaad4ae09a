"""Measure maps that several devices compute into one cache, and a fit on all of them.

    python -m benchmarks.speed.several_devices --data flowers17/train \
        --devices cuda:0 cuda:1
    python -m benchmarks.speed.several_devices --data flowers17/train --devices cpu cpu

There is one process per device. The first device is measured alone, then all together,
each time with an empty cache: every process computes the maps of its share of the
images. Then one process fits a model on all maps, and all processes together fit
another. There is no dropout, whose masks would differ, so both models have the same
parts up to rounding. Prints a Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from sklearn.base import clone
from skorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset

from benchmarks.records import RESULTS
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.datasets import load_image_folder
from skdpnet.training.classifier_refit import ClassifierRefit

__all__ = ["AverageGradients", "OwnShare", "fill", "main", "own_share"]

# Number of images that are transformed at once, since their maps are returned in RAM.
_IMAGES_AT_ONCE = 512
# The longest time that a process waits for the others.
_LONGEST_WAIT = datetime.timedelta(days=1)
# The label of images that torch's cross-entropy passes over.
_IGNORED = -100


def own_share(items: Sequence) -> Sequence:
    """Return the share of a process: every n-th item, for one of n processes.

    Parameters
    ----------
    items : sequence

    Returns
    -------
    sequence
        It is empty for some processes if there are fewer items than processes.
    """
    return items[dist.get_rank() :: dist.get_world_size()]


class OwnShare(DataLoader):
    """Loader of a process's share of each batch.

    It is passed as ``net_params={"iterator_train": OwnShare}``. The shares of all
    processes are the batches of a single process.

    Parameters
    ----------
    dataset : Dataset
    **params
        Parameters of the `DataLoader`.
    """

    def __init__(self, dataset: Dataset, **params: Any):
        super().__init__(_Shared(dataset), **params)


class _Shared(Dataset):
    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]):
        share = own_share(indices)
        if share:
            return self.dataset.__getitems__(share)
        # The model needs an image. That of another process has no influence here.
        maps, (labels, weights) = self.dataset.__getitems__(indices[:1])
        return maps, (torch.full_like(labels, _IGNORED), weights)


class AverageGradients(Callback):
    """Average gradients over all processes, so that they take the same steps.

    Shares are weighted by their numbers of images, which gives the gradient of the
    whole batch, whether or not it divides evenly. V, which is fitted between epochs, is
    fitted in each process on the images of all.
    """

    def on_train_begin(self, net, **kwargs):
        """Copy the first process's model, and seed dropout differently in each."""
        for tensor in net.module_.state_dict().values():
            dist.broadcast(tensor, src=0)
        dropout = net.module_.dropout
        dropout.manual_seed(dropout.seed + dist.get_rank())

    def on_grad_computed(self, net, named_parameters, batch, **kwargs):
        """Replace the gradient of this process by the mean gradient."""
        _, (labels, _) = batch
        parameters = net.module_.parameters()
        gradients = [p.grad for p in parameters if p.requires_grad]
        count = gradients[0].new_tensor([(labels != _IGNORED).sum()])
        flat = torch.cat([*(count * g.flatten() for g in gradients), count])
        dist.all_reduce(flat)
        means = (flat[:-1] / flat[-1]).split([g.numel() for g in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def on_epoch_end(self, net, **kwargs):
        """Give the next fit of V the descriptors of all processes."""
        (refit,) = (
            callback
            for _, callback in net.callbacks_
            if isinstance(callback, ClassifierRefit)
        )
        images = [
            tuple(tensor[labels != _IGNORED].cpu() for tensor in (d, labels, weights))
            for d, labels, weights in refit.batches
        ]
        processes: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(processes, images)
        # All processes have them in the same order, and so get the same V.
        refit.batches = [batch for batches in processes for batch in batches]


def fill(extractor: FeatureMaps, paths: Sequence[str]) -> None:
    """Compute maps into the extractor's cache, with a bounded use of RAM.

    Parameters
    ----------
    extractor : FeatureMaps
        Its parameter `memory` must be set.
    paths : sequence of str
    """
    for start in range(0, len(paths), _IMAGES_AT_ONCE):
        piece = paths[start : start + _IMAGES_AT_ONCE]
        extractor.fit(piece).transform(piece)


def measure(
    paths: np.ndarray, y: np.ndarray, devices: list[str], settings: dict
) -> dict:
    """Fill an empty cache and fit, with one process per device.

    Parameters
    ----------
    paths : ndarray of str
    y : ndarray of labels
    devices : list of str
    settings : dict
        Parameters of `DPNetClassifier`.

    Returns
    -------
    dict
        ``maps_seconds``; ``alone_seconds`` and ``together_seconds``: of a fit in one
        process and in all, with maps from the cache; ``parts_differ_by``: largest
        difference between the parts of both fits in any process.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            _work, args=(folder, paths, y, devices, settings), nprocs=len(devices)
        )
        times = json.loads((Path(folder) / "times.json").read_text())
        alone = np.load(f"{folder}/alone.npy")
        parts = [np.load(f"{folder}/parts{rank}.npy") for rank in range(len(devices))]
    differences = [float(np.abs(together - alone).max()) for together in parts]
    return {**times, "parts_differ_by": max(differences)}


def _work(
    rank: int,
    folder: str,
    paths: np.ndarray,
    y: np.ndarray,
    devices: list[str],
    settings: dict,
) -> None:
    """Measure in one of the processes, and write its results to the folder."""
    device = torch.device(devices[rank])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // len(devices)))
    dist.init_process_group(
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=len(devices),
        timeout=_LONGEST_WAIT,
    )
    alone = DPNetClassifier(memory=f"{folder}/maps", device=devices[rank], **settings)
    together = clone(alone).set_params(
        callbacks=[AverageGradients()], net_params={"iterator_train": OwnShare}
    )
    params = alone.get_params()
    names = FeatureMaps().get_params().keys() & params.keys() - {"batch_size"}
    extractor = FeatureMaps(**{name: params[name] for name in names})
    # Loads the network, whose time is not measured.
    clone(extractor).set_params(memory=None).fit_transform(paths[:1])

    start = _time_at_barrier()
    fill(extractor, own_share(paths))
    times = {"maps_seconds": _time_at_barrier() - start}
    # The first fit of a process takes longer, so it is not measured.
    clone(alone).set_params(max_epochs=1).fit(paths, y)
    start = _time_at_barrier()
    if rank == 0:
        np.save(f"{folder}/alone.npy", alone.fit(paths, y).parts_)
    middle = _time_at_barrier()
    np.save(f"{folder}/parts{rank}.npy", together.fit(paths, y).parts_)
    end = _time_at_barrier()
    times |= {"alone_seconds": middle - start, "together_seconds": end - middle}
    if rank == 0:
        Path(folder, "times.json").write_text(json.dumps(times))
    dist.destroy_process_group()


def _time_at_barrier() -> float:
    dist.barrier()
    return time.perf_counter()


def main(arguments: list[str] | None = None) -> None:
    """Measure with one device and with all, print the table and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.several_devices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="folder of class folders")
    parser.add_argument(
        "--devices", nargs="+", required=True, help="names of torch devices"
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument(
        "--precision", default="auto", help="float32 to compare parts exactly"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "several_devices.json")
    options = parser.parse_args(arguments)
    paths, y, _ = load_image_folder(options.data)
    if len(paths) < len(options.devices):
        parser.error(f"{len(options.devices)} devices for {len(paths)} images")
    settings = {
        "image_size": options.image_size,
        "precision": options.precision,
        "dropout": 0.0,
        "random_state": 0,
    }
    runs = [options.devices[:1]]
    if len(options.devices) > 1:
        runs.append(options.devices)
    rows = []
    for devices in runs:
        measured = measure(np.array(paths), y, devices, settings)
        rows.append(
            {
                "devices": " ".join(devices),
                "images": len(paths),
                "maps, s": round(measured["maps_seconds"], 1),
                "images/s": round(len(paths) / measured["maps_seconds"], 1),
                "fit by one, s": round(measured["alone_seconds"], 1),
                "fit by all, s": round(measured["together_seconds"], 1),
                "parts differ by": float(f"{measured['parts_differ_by']:.1e}"),
            }
        )
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("| ---" + " | ---:" * (len(columns) - 1) + " |")
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
