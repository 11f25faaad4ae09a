"""Work that writes files, done by processes that are killed, and its right results."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import skdpnet
from skdpnet.cli import main as command
from skdpnet.exceptions import ModelFileError
from skdpnet.storage.array_store import ENTRY_SUFFIX, ArrayStore

__all__ = ["TEMPORARY", "WRITERS", "Writer", "state_of"]

# The folder for temporary files of the commands.
TEMPORARY = "temporary"
_SIDE, _N_IMAGES, _N_CHANNELS = 64, 12, 256
# Of the two networks that have names and need no weights of hundreds of megabytes, the
# quicker one.
_NAMED = "dense_sift"
_SETTINGS = {
    "image_size": _SIDE,
    "n_parts_per_class": 4,
    "max_epochs": 1,
    "random_state": 0,
    "num_workers": 0,
}


class _Patches(nn.Module):
    """A network of little cost with maps that take a while to write."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.patches = nn.Conv2d(3, _N_CHANNELS, 4, 4, bias=False)
        with torch.no_grad():
            shape = self.patches.weight.shape
            self.patches.weight.copy_(torch.randn(shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute maps (N, 256, 16, 16) of images (N, 3, 64, 64)."""
        return torch.relu(self.patches(x))


@dataclass(frozen=True)
class Writer:
    """Work that is killed, and how its results are judged.

    Parameters
    ----------
    prepare : callable
        Writes to a folder what the work starts from.
    work : callable
        Does the work in this folder, as the process of the number 0 or 1, and returns
        what it computed.
    removes : bool
        Whether it may remove what it has written.
    """

    prepare: Callable[[Path], None]
    work: Callable[[Path, int], object]
    removes: bool = False


def _images() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(_N_IMAGES) % 2
    images = random.integers(0, 128, (_N_IMAGES, _SIDE, _SIDE, 3), dtype=np.uint8)
    images[y == 1, : _SIDE // 2] += 127
    return images, np.array(["dark", "light"])[y]


def _nothing(folder: Path) -> None:
    """Start from an empty folder."""


def _extract(folder: Path, number: int) -> object:
    extractor = skdpnet.FeatureMaps(
        _Patches(),
        image_size=_SIDE,
        batch_size=2,
        num_workers=0,
        precision="float32",
        memory=folder / "memory",
    )
    return extractor.fit_transform(_images()[0])


def _extract_and_clear(folder: Path, number: int) -> object:
    """Let the second process remove again what the first writes."""
    for limit in ("1.5M", "500K", "0") if number else ():
        (folder / "memory").mkdir(exist_ok=True)
        skdpnet.clear_memory(folder / "memory", bytes_limit=limit)
    return _extract(folder, number)


def _fit(folder: Path, number: int) -> object:
    model = skdpnet.DPNetClassifier(
        _Patches(), precision="float32", memory=folder / "memory", **_SETTINGS
    ).fit(*_images())
    return model.parts_, model.coef_


def _named_model(folder: Path, seed: int) -> skdpnet.DPNetClassifier:
    settings = {**_SETTINGS, "random_state": seed}
    return skdpnet.DPNetClassifier(_NAMED, memory=folder / "memory", **settings).fit(
        *_images()
    )


def _save_models(folder: Path) -> None:
    for seed in range(3):
        _named_model(folder, seed).save(folder / f"source{seed}.skdpnet")
    os.replace(folder / "source2.skdpnet", folder / "model.skdpnet")


def _save(folder: Path, number: int) -> object:
    """Save two models in turn to a file that has a third."""
    models = [skdpnet.load(folder / f"source{seed}.skdpnet") for seed in range(2)]
    for i in range(10):
        models[(i + number) % 2].save(folder / "model.skdpnet")
    return None


def _save_a_model(folder: Path) -> None:
    _named_model(folder, 0).save(folder / "source.skdpnet")


def _report(folder: Path, number: int) -> object:
    model = skdpnet.load(folder / "source.skdpnet", memory=folder / "memory")
    X, y = _images()
    skdpnet.report(model, X, X, y, folder / "page.html")
    return None


def _write_images_and_model(folder: Path) -> None:
    _save_a_model(folder)
    (folder / TEMPORARY).mkdir()
    for i, (image, label) in enumerate(zip(*_images(), strict=True)):
        path = folder / "images" / label / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def _commands(folder: Path, number: int) -> object:
    """Report and explain from the command line, without a cache that stays."""
    tempfile.tempdir = os.fspath(folder / TEMPORARY)
    images, model = os.fspath(folder / "images"), os.fspath(folder / "source.skdpnet")
    page, figure = os.fspath(folder / "page.html"), os.fspath(folder / "why.png")
    image = os.path.join(images, "dark", "00.png")
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        for arguments in (
            ["report", model, images, "-o", page],
            ["explain", model, image, "-o", figure],
        ):
            status = command([*arguments, "--quiet"])
            if status != 0:
                raise RuntimeError(f"{arguments[0]} ended with status {status}")
    return None


WRITERS = {
    "extraction": Writer(_nothing, _extract),
    "fit": Writer(_nothing, _fit),
    "save": Writer(_save_models, _save),
    "report": Writer(_save_a_model, _report),
    "commands": Writer(_write_images_and_model, _commands),
    "clear_memory": Writer(_nothing, _extract_and_clear, removes=True),
}


class _Entries(ArrayStore):
    """The store that a file lies in, whatever its identity is."""

    def __init__(self, file: Path):
        self._entries = file.parents[1]


def state_of(file: Path) -> object:
    """Read a file as the package does.

    Parameters
    ----------
    file : Path

    Returns
    -------
    object
        What the file says, to compare with another; None if it is half-written.
    """
    if file.suffix == ENTRY_SUFFIX:
        with warnings.catch_warnings(action="ignore"):
            arrays = _Entries(file).read(file.stem)
        return None if arrays is None else [array.tobytes() for array in arrays]
    if file.suffix == ".skdpnet":
        try:
            model = skdpnet.load(file)
        except ModelFileError:
            return None
        return [model.parts_.tobytes(), model.coef_.tobytes()]
    content = file.read_bytes()
    is_whole = content.rstrip().endswith((b"</html>", b"IEND\xaeB`\x82"))
    return content if is_whole else None
