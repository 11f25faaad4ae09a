"""What several devices bring: maps computed by all into one memory, and one fit on all.

    python -m benchmarks.speed.several_devices --data flowers17/train \
        --devices cuda:0 cuda:1
    python -m benchmarks.speed.several_devices --data flowers17/train --devices cpu cpu

One process a device. The first device alone, then all together, each time with an empty
memory: every process computes the maps of its own share of the images. Then one
process fits a model on the maps of all, and all together fit another. Without dropout,
whose masks differ, the parts come out the same up to rounding. Prints a Markdown table
and writes JSON.
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

__all__ = ["AverageGradients", "OwnShare", "fill", "main", "own_share"]

# What `transform` returns is held in memory: so many images' maps at once.
_IMAGES_AT_ONCE = 512
# A process that is done first waits for the last.
_LONGEST_WAIT = datetime.timedelta(days=1)


def own_share(items: Sequence) -> Sequence:
    """Take every n-th item for the k-th of n processes.

    Parameters
    ----------
    items : sequence

    Returns
    -------
    sequence
        All items, where there are fewer than processes: none has nothing.
    """
    n = dist.get_world_size()
    return items if len(items) < n else items[dist.get_rank() :: n]


class OwnShare(DataLoader):
    """Loader that gives a process its share of each batch.

    For ``net_params={"iterator_train": OwnShare}``; together the processes see the
    batches that one would see alone.

    Parameters
    ----------
    dataset : Dataset
    **settings
        Of the `DataLoader`.
    """

    def __init__(self, dataset: Dataset, **settings: Any):
        super().__init__(_Shared(dataset), **settings)


class _Shared(Dataset):
    def __init__(self, dataset: Any):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]):
        return self.dataset.__getitems__(own_share(indices))


class AverageGradients(Callback):
    """Let all processes take the same steps, with the gradient of the whole batch.

    Each share counts by its number of images: the mean over the batch comes out
    exactly, whether or not it divides evenly.
    """

    def on_train_begin(self, net, **kwargs):
        """Begin with the first process's model; drop out other parts in each."""
        for tensor in net.module_.state_dict().values():
            dist.broadcast(tensor, src=0)
        torch.manual_seed(torch.initial_seed() + dist.get_rank())

    def on_grad_computed(self, net, named_parameters, batch, **kwargs):
        """Put the mean gradient in the place of this process's own."""
        _, (labels, _) = batch
        gradients = [parameter.grad for parameter in net.module_.parameters()]
        count = gradients[0].new_tensor([len(labels)])
        flat = torch.cat([*(count * own.flatten() for own in gradients), count])
        dist.all_reduce(flat)
        means = (flat[:-1] / flat[-1]).split([own.numel() for own in gradients])
        for own, mean in zip(gradients, means, strict=True):
            own.copy_(mean.view_as(own))


def fill(extractor: FeatureMaps, paths: Sequence[str]) -> None:
    """Compute maps into the extractor's memory, at a steady use of RAM.

    Parameters
    ----------
    extractor : FeatureMaps
        With `memory`.
    paths : sequence of str
    """
    for start in range(0, len(paths), _IMAGES_AT_ONCE):
        piece = paths[start : start + _IMAGES_AT_ONCE]
        extractor.fit(piece).transform(piece)


def measure(
    paths: np.ndarray, y: np.ndarray, devices: list[str], settings: dict
) -> dict:
    """Fill an empty memory and fit, with one process a device.

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
        ``maps_seconds``; ``alone_seconds`` and ``together_seconds``, of a fit in one
        process and in all, its maps read from the memory; ``parts_differ_by``, at most,
        in any process.
    """
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            _work, args=(folder, paths, y, devices, settings), nprocs=len(devices)
        )
        times = json.loads((Path(folder) / "times.json").read_text())
        alone = np.load(f"{folder}/alone.npy")
        parts = [np.load(f"{folder}/parts{rank}.npy") for rank in range(len(devices))]
    differences = [float(np.abs(own - alone).max()) for own in parts]
    return {**times, "parts_differ_by": max(differences)}


def _work(
    rank: int,
    folder: str,
    paths: np.ndarray,
    y: np.ndarray,
    devices: list[str],
    settings: dict,
) -> None:
    """Do one process's work, and leave what it came to in the folder."""
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
    given = alone.get_params()
    names = FeatureMaps().get_params().keys() & given.keys() - {"batch_size"}
    extractor = FeatureMaps(**{name: given[name] for name in names})
    # The network is loaded before the clock starts.
    clone(extractor).set_params(memory=None).fit_transform(paths[:1])

    start = _when_all_are_here()
    fill(extractor, own_share(paths))
    times = {"maps_seconds": _when_all_are_here() - start}
    # A first fit takes longer, whoever does it.
    clone(alone).set_params(max_epochs=1).fit(paths, y)
    start = _when_all_are_here()
    if rank == 0:
        np.save(f"{folder}/alone.npy", alone.fit(paths, y).parts_)
    middle = _when_all_are_here()
    np.save(f"{folder}/parts{rank}.npy", together.fit(paths, y).parts_)
    end = _when_all_are_here()
    times |= {"alone_seconds": middle - start, "together_seconds": end - middle}
    if rank == 0:
        Path(folder, "times.json").write_text(json.dumps(times))
    dist.destroy_process_group()


def _when_all_are_here() -> float:
    dist.barrier()
    return time.perf_counter()


def main(arguments: list[str] | None = None) -> None:
    """Run with one device and with all; print and save."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.several_devices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="folder of class folders")
    parser.add_argument(
        "--devices", nargs="+", required=True, help="as torch names them, one a process"
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--precision", default="auto", help="float32 to compare parts")
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
        found = measure(np.array(paths), y, devices, settings)
        rows.append(
            {
                "devices": " ".join(devices),
                "images": len(paths),
                "maps, s": round(found["maps_seconds"], 1),
                "images/s": round(len(paths) / found["maps_seconds"], 1),
                "fit by one, s": round(found["alone_seconds"], 1),
                "fit by all, s": round(found["together_seconds"], 1),
                "parts differ by": float(f"{found['parts_differ_by']:.1e}"),
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
