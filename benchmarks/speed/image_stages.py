"""The stages on images: reading and decoding, and the backbone.

The images are the files of class folders, the same for this package and plain code.
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
from benchmarks.speed.map_stages import Comparison, Way
from benchmarks.speed.sizes import Size
from skdpnet import DPNetClassifier, FeatureMaps, best_regions, explain
from skdpnet.backbones.efficientnet_lite import (
    efficientnet_lite_classifier,
    efficientnet_lite_weights,
)
from skdpnet.backbones.loading import load_backbone
from skdpnet.backbones.stages import cut_timm
from skdpnet.datasets import load_image_folder
from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import preprocess

__all__ = ["BACKBONES", "PREPARE", "image_files", "images_of"]

BACKBONES = ("efficientnet_lite0", "resnet50")
_BATCH = 32
_WORKERS = 2
# The plain code crops images to squares, and computes the parts of two maps alone.
_IMAGE_SIZE = 224
_STRIDES = (16, 32)
# Images and classes of a fit without training, which the cost of descriptors ignores.
_N_FITTED, _CLASSES = 40, 10


def images_of(folder: Path | str, n: int) -> list[str]:
    """Return n images of class folders, in an order that mixes the classes.

    Parameters
    ----------
    folder : path
    n : int
        Where there are fewer images, they are repeated.

    Returns
    -------
    list of str
    """
    paths, _ = image_files(folder)
    return [paths[i % len(paths)] for i in range(n)]


def image_files(folder: Path | str) -> tuple[list[str], np.ndarray]:
    """Return the images of class folders in an order that mixes the classes.

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


def prepare_reading(key: dict, device: torch.device) -> Comparison:
    """Prepare reading and decoding images to the network's input."""
    paths, size = images_of(key["data"], key["images"]), _IMAGE_SIZE
    images = as_images(paths)
    transform = _torchvision_transform(size)

    def network_input(i: int) -> np.ndarray:
        return images.network_input(i, Framing(size, "crop"))[0]

    def in_threads() -> None:
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(network_input, range(len(paths))))

    def each(read: Callable[[str], Any]) -> Callable[[], None]:
        def run() -> None:
            for path in paths:
                read(path)

        return run

    def full_decoding(i: int) -> np.ndarray:
        return preprocess(images.load(i), Framing(size, "crop"))

    decoding, resizing = _decoding_work(paths, size)
    work = decoding + resizing
    return Comparison(
        {
            "decoding": Way(
                lambda: [network_input(i) for i in range(len(paths))], work
            ),
            "decoding in threads": Way(in_threads, work),
            "full decoding": Way(
                lambda: [full_decoding(i) for i in range(len(paths))], work
            ),
            "plain": Way(each(lambda path: transform(_open(path))), work),
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


def prepare_backbone(key: dict, device: torch.device) -> Comparison:
    """Prepare descriptors of images, and the bare network on decoded images."""
    name, precision, n = key["backbone"], key["precision"], key["images"]
    paths = images_of(key["data"], n)
    model = _fitted(key["data"], name, precision, key["parts"], str(device))
    maps = FeatureMaps(
        model.backbone,
        strides=_STRIDES,
        image_size=_IMAGE_SIZE,
        framing="crop",
        batch_size=_BATCH,
        precision=precision,
        device=str(device),
        num_workers=_WORKERS,
    ).fit(paths)
    images = as_images(paths)
    squares = np.stack(
        [images.network_input(i, Framing(_IMAGE_SIZE, "crop"))[0] for i in range(n)]
    )
    bare = _bare(name, device)
    loaded = load_backbone(model.backbone, _IMAGE_SIZE, device, _STRIDES).network
    network_work, work = _network_work(bare, model, n)
    image_work = work.times(1 / n)

    def through(network: Callable) -> Callable[[], None]:
        inputs = [batch.to(device) for batch in _batches(squares)]

        def run() -> None:
            with torch.inference_mode(), _autocast(precision, device):
                for batch in inputs:
                    network(batch)

        return run

    runs = {
        "bare network": (through(bare), network_work),
        "network as loaded": (through(loaded), network_work),
        "maps of arrays": (lambda: maps.transform(squares), network_work),
        "maps": (lambda: maps.transform(paths), network_work),
        "transform of arrays": (lambda: model.transform(squares), work),
        "transform": (lambda: model.transform(paths), work),
        "plain": (_plain_descriptors(model, bare, paths, precision, device), work),
        "transform of one": (lambda: model.transform(paths[:1]), image_work),
        "best_regions of one": (lambda: best_regions(model, paths[:1]), image_work),
        "explain one": (lambda: explain(model, paths[0]), image_work),
    }
    package = list(runs)[1:6]
    return Comparison(
        {name: Way(run, amount, precision) for name, (run, amount) in runs.items()},
        [
            *((name, "bare network") for name in package),
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


PREPARE: dict[str, Callable[[dict, torch.device], Comparison]] = {
    "reading": prepare_reading,
    "backbone": prepare_backbone,
}


def _open(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _torchvision_transform(size: int) -> transforms.Compose:
    """Return the usual transform before a network, here to integers."""
    bicubic = transforms.InterpolationMode.BICUBIC
    return transforms.Compose(
        [
            transforms.Resize(size, bicubic),
            transforms.CenterCrop(size),
            transforms.PILToTensor(),
        ]
    )


def _decoding_work(paths: list[str], image_size: int) -> tuple[Work, Work]:
    """Count decoding images, and resizing them."""
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
    """Count the network's forward pass over n images, without and with descriptors."""
    network_work = counts.backbone(network, n, _IMAGE_SIZE)
    work = network_work
    numbers_of_parts = np.bincount(model.part_maps_)
    for shape, whitening, n_parts in zip(
        model.map_shapes_, model.whitenings_, numbers_of_parts, strict=True
    ):
        components = whitening.projection.shape[1]
        scales = model.region_scales
        size = Size(n, *shape, components, int(n_parts), _CLASSES, scales)
        work += counts.whitening(size) + counts.responses(size, model.beta)
    return network_work, work


def _module(name: str) -> str | nn.Module:
    """Return the value of an estimator's parameter `backbone`."""
    if name == "efficientnet_lite0":
        return name
    # Random weights are as fast as the trained ones, which would be a download.
    torch.manual_seed(0)
    network = nn.Sequential(*list(resnet50().children())[:-2])
    _calibrate(network)
    return network.eval()


def _calibrate(network: nn.Module) -> None:
    """Fit the batch norms to random images, so that activations do not explode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(4, 3, _IMAGE_SIZE, _IMAGE_SIZE))


def _bare(name: str, device: torch.device) -> nn.Module:
    """Return the network as published, which one would run without this package."""
    network = _module(name)
    if isinstance(network, str):
        weights = efficientnet_lite_weights(network)
        network = efficientnet_lite_classifier(network, weights)
        network = cut_timm(network, _STRIDES, _IMAGE_SIZE)
    network = network.to(device).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=1)
def _fitted(
    data: str, name: str, precision: str, n_parts: int, device: str
) -> DPNetClassifier:
    """Return a model that is fitted on few images without training."""
    model = DPNetClassifier(
        _module(name),
        strides=_STRIDES,
        image_size=_IMAGE_SIZE,
        framing="crop",
        precision=precision,
        n_parts_per_class=n_parts // _CLASSES,
        foreground=None,
        context=False,
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
    """Yield batches of images, scaled to about [-1, 1]."""
    for start in range(0, len(squares), _BATCH):
        pixels = torch.from_numpy(squares[start : start + _BATCH]).permute(0, 3, 1, 2)
        yield (pixels.float() - 127) / 128


class _Files(Dataset):
    """Image files as a PyTorch data set."""

    def __init__(self, paths: list[str]):
        self.paths = paths
        self.transform = _torchvision_transform(_IMAGE_SIZE)

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
    """Return the plain code: a DataLoader, the network, RoI-align, product, maximum."""
    files = _Files(paths)
    whitenings = [
        plain.whitening_of(whitening, whitening.projection.shape[1], device)
        for whitening in model.whitenings_
    ]
    # The parts on each map, without the padding of maps with fewer dimensions.
    parts = [
        torch.from_numpy(model.parts_[model.part_maps_ == i, : projection.shape[1]])
        for i, (_, projection) in enumerate(whitenings)
    ]
    parts = [map_parts.to(device) for map_parts in parts]

    def describe(pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.to(device, memory_format=torch.channels_last).float()
        with _autocast(precision, device):
            output = network((x - 127) / 128)
        maxima = []
        maps = output if isinstance(output, (tuple, list)) else [output]
        for feature_map, whitening, grid, map_parts in zip(
            maps, whitenings, model.grids_, parts, strict=True
        ):
            boxes = plain.boxes_of(grid, len(x), device)
            feature_map = feature_map.float().contiguous()
            regions = plain.describe(feature_map, boxes, whitening)
            maxima.append(plain.maxima(regions, map_parts, model.beta))
        return torch.hstack(maxima)

    def run() -> torch.Tensor:
        # Processes start fastest by fork, which most systems use by default.
        loader = DataLoader(
            files, _BATCH, num_workers=_WORKERS, multiprocessing_context="fork"
        )
        with torch.inference_mode():
            return torch.cat([describe(pixels) for pixels in loader])

    return run
