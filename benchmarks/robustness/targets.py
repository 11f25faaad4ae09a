"""What is tried with a damaged or forged file, and what may come of it.

Each target makes good files, and says what the package does with bad ones: "refused" by
one of its own errors, "used", or a fault.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import nn

import skdpnet
from benchmarks.robustness.mutations import (
    damage,
    forge_entry,
    forge_image,
    forge_model,
)
from skdpnet import FeatureMaps
from skdpnet.exceptions import (
    BackboneUnavailableError,
    ImageError,
    ModelFileError,
)

__all__ = ["TARGETS", "Fault", "Target"]

_MADE = np.random.default_rng(0)
_MAPS = _MADE.random((12, 4, 4, 5)).astype(np.float32)
_LABELS = np.array(["ash", "beech"])[np.arange(12) % 2]
_FORMATS = (
    *(("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("GIF", {})),
    *(("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})),
    *(("WEBP", {}), ("JPEG2000", {}), ("PPM", {}), ("TGA", {}), ("ICO", {})),
)


class Fault(Exception):
    """What a bad file must not do."""


class _Colours(nn.Module):
    """A network that costs nothing."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 8)


class Target:
    """A kind of file.

    Parameters
    ----------
    name : str
    bound : int
        The most memory in bytes that one file may take, beside four times its size.
    folder : Path
        An empty folder to work in.
    """

    name: str
    bound: int

    def __init__(self, folder: Path):
        self.folder = folder
        self.good: list[bytes] = []

    def make(self, random: Random) -> bytes:
        """Return a bad file, as drawn from `random`."""
        raise NotImplementedError

    def use(self, content: bytes) -> str:
        """Do with a file what a user would do; return what came of it.

        Raises
        ------
        Exception
            A fault, of whatever class.
        """
        raise NotImplementedError


class Models(Target):
    """Model files: they are loaded, and what is loaded describes maps."""

    name = "model files"
    bound = 512 * 2**20

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.path = folder / "model"
        short = {"n_parts_per_class": 2, "random_state": 0}
        for model in (
            skdpnet.DPNetClassifier("precomputed", **short, max_epochs=1),
            skdpnet.DPNetTransformer(
                "precomputed", **short, max_epochs=1, context=False
            ),
            skdpnet.SoftAssignParts("precomputed", **short, n_rounds=1),
            skdpnet.GlobalFeatures("precomputed"),
            skdpnet.VLAD("precomputed", n_words=3, random_state=0),
            skdpnet.BagOfWords("precomputed", n_words=3, random_state=0),
            skdpnet.LLC("precomputed", n_words=3, random_state=0),
            skdpnet.FisherVector("precomputed", n_words=3, random_state=0),
        ):
            model.fit(_MAPS, _LABELS)
            model.notes_ = {"by": "me"}
            self._add(model)
        images = _MADE.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
        of_network = skdpnet.GlobalFeatures(_Colours(), image_size=32).fit(images)
        self._add(of_network.set_params(backbone="colours"))

    def _add(self, model) -> None:
        model.save(self.path)
        self.good.append(self.path.read_bytes())

    def make(self, random: Random) -> bytes:
        """Forge a model file, or damage it."""
        change = forge_model if random.random() < 0.8 else damage
        return change(random.choice(self.good), random)

    def use(self, content: bytes) -> str:
        """Load a model, describe maps by it and save it again."""
        self.path.write_bytes(content)
        try:
            model = skdpnet.load(self.path, device="cpu")
        except (ModelFileError, BackboneUnavailableError):
            # The latter where the file names weights at a path that is not there.
            return "refused"
        if model.backbone != "precomputed":
            return "used"
        names = model.get_feature_names_out()
        try:
            described = [model.transform(_MAPS)]
            if hasattr(model, "predict_proba"):
                described += [
                    model.decision_function(_MAPS),
                    model.predict_proba(_MAPS),
                ]
                model.predict(_MAPS)
        except ValueError:
            # Its maps have another shape, for instance.
            return "refused"
        if np.shape(described[0]) != (len(_MAPS), len(names)):
            raise Fault("a descriptor of another length than its names")
        if not all(np.isfinite(array).all() for array in described):
            raise Fault("numbers that are not finite")
        repr(model)
        model.save(self.path)
        skdpnet.load(self.path, device="cpu")
        return "used"


class Entries(Target):
    """Entries of the cache, of maps and of probes."""

    name = "cache entries"
    bound = 512 * 2**20

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.images = _MADE.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        self.extractor = FeatureMaps(
            _Colours(),
            image_size=32,
            memory=folder / "cache",
            device="cpu",
            num_workers=0,
        )
        self.right = self.extractor.transform(self.images)
        self.paths = sorted(folder.rglob("*.safetensors"))
        self.entries = [path.read_bytes() for path in self.paths]
        self.good = [
            bytes([0, number]) + entry for number, entry in enumerate(self.entries)
        ]

    def make(self, random: Random) -> bytes:
        """Forge an entry, or damage it; which of these and its number come first."""
        number, is_forged = random.randrange(len(self.entries)), random.random() < 0.5
        change = forge_entry if is_forged else damage
        return bytes([is_forged, number]) + change(self.entries[number], random)

    def use(self, content: bytes) -> str:
        """Put an entry in the place of a good one, and compute the maps again."""
        is_forged, number = bool(content[0]), content[1]
        for path, good in zip(self.paths, self.entries, strict=True):
            path.write_bytes(good)
        self.paths[number].write_bytes(content[2:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                maps = self.extractor.transform(self.images)
            except ValueError:
                return "refused"
        for path in self.folder.rglob("*.safetensors"):
            if path not in self.paths:
                # The probe was not recognised, and all maps were computed anew.
                path.unlink()
        if not is_forged and not np.array_equal(maps, self.right):
            raise Fault("other maps from a damaged entry")
        return "used"


class Images(Target):
    """Image files of many formats."""

    name = "images"
    bound = 1024 * 2**20

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.path = folder / "image"
        pixels = _MADE.integers(0, 256, (40, 56, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels)
        modes = [
            picture,
            *(picture.convert(mode) for mode in ("L", "P", "RGBA", "CMYK")),
        ]
        formats = _FORMATS
        Image.init()
        if "AVIF" in Image.SAVE:  # Pillow has it from 11.3 on
            formats = (*formats, ("AVIF", {}))
        for image in modes:
            for name, options in formats:
                try:
                    image.save(self.path, name, **options)
                except (OSError, ValueError):
                    # The format does not have the mode.
                    continue
                self.good.append(self.path.read_bytes())
        self.extractor = FeatureMaps(
            _Colours(), image_size=32, device="cpu", num_workers=0
        )

    def make(self, random: Random) -> bytes:
        """Damage an image, or let it claim another size."""
        change = damage if random.random() < 0.8 else forge_image
        return change(random.choice(self.good), random)

    def use(self, content: bytes) -> str:
        """Compute the map of an image."""
        self.path.write_bytes(content)
        with warnings.catch_warnings():
            # Pillow's warnings of what is odd in an image.
            warnings.simplefilter("ignore")
            try:
                maps = self.extractor.transform([str(self.path)])
            except ImageError:
                return "refused"
        if not np.isfinite(maps).all():
            raise Fault("maps that are not finite")
        return "used"


TARGETS: dict[str, Callable[[Path], Target]] = {
    "models": Models,
    "entries": Entries,
    "images": Images,
}
torch.set_num_threads(1)
