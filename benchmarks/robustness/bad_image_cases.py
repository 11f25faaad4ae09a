"""Images, labels, settings and networks for the table of bad inputs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.datasets import load_image_folder, make_part_images

__all__ = ["SETTINGS", "Case", "image_cases", "images_and_labels"]

# Of models that are fitted in a moment.
SETTINGS = {
    "backbone": "dense_sift",
    "image_size": 64,
    "n_parts_per_class": 4,
    "max_epochs": 1,
    "random_state": 0,
}


@dataclass(frozen=True)
class Case:
    """An input that is bad.

    Parameters
    ----------
    kind : str
        Heading that it is listed under.
    given : str
        What was given, in words.
    act : callable
        Gives it to the package; relative paths start at a new folder.
    """

    kind: str
    given: str
    act: Callable[[], object]


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Return eight images of two classes.

    Returns
    -------
    images : uint8 ndarray of shape (8, 64, 64, 3)
    labels : str ndarray of shape (8,)
    """
    birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    return birds.images, birds.target_names[birds.target]


def image_cases() -> Iterator[Case]:
    """Yield the cases of images, their lists, labels, parameters and networks.

    Yields
    ------
    Case
    """
    yield from _images()
    yield from _lists()
    yield from _labels()
    yield from _parameters()
    yield from _networks()
    yield from _precomputed()
    yield from _class_folders()


def _extract(X: object, **settings: object) -> object:
    return FeatureMaps("dense_sift", image_size=64, **settings).fit_transform(X)


def _fit(X: object = None, y: object = None, **settings: object) -> object:
    images, labels = images_and_labels()
    X, y = images if X is None else X, labels if y is None else y
    return DPNetClassifier(**{**SETTINGS, **settings}).fit(X, y)


def _write(name: str, content: bytes = b"") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)
    return name


def _encoded(form: str, side: int = 64) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def _with(image: np.ndarray) -> list:
    """Put an image behind a good one."""
    return [images_and_labels()[0][0], image]


def _images() -> Iterator[Case]:
    kind = "An image"
    good = _encoded("PNG")
    floats = np.zeros((64, 64, 3))
    for given, make in {
        "a path of no file": lambda: "missing.png",
        "a folder": lambda: ".",
        "an empty file": lambda: _write("empty.png"),
        "text, named .jpg": lambda: _write("text.jpg", b"<html>not found</html>"),
        "a PNG file cut in half": lambda: _write("cut.png", good[: len(good) // 2]),
        "a JPEG file cut in half": lambda: _write(
            "cut.jpg", (jpeg := _encoded("JPEG"))[: len(jpeg) // 2]
        ),
        "a PDF document": lambda: _write("a.pdf", b"%PDF-1.7 " + bytes(100)),
        "PostScript, named .jpg": lambda: _write(
            "eps.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n"
        ),
        "a pointer of git LFS": lambda: _write(
            "lfs.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ),
        "a URL": lambda: "https://example.org/a.png",
        "the bytes of a file": lambda: good,
    }.items():
        yield Case(kind, given, lambda make=make: _extract([make()]))
    for given, image in {
        "an array with NaN": np.where(floats == 0, np.nan, 0),
        "an array with infinity": np.where(floats == 0, np.inf, 0),
        "floats from 0 to 255": floats + 255,
        "negative floats": floats - 1,
        "an array of truth values": floats > 0,
        "an array of texts": np.full((64, 64, 3), "a"),
        "complex numbers": floats + 1j,
        "an array of two channels": np.zeros((64, 64, 2), np.uint8),
        "an array of five axes": np.zeros((1, 1, 64, 64, 3), np.uint8),
        "an array without pixels": np.zeros((0, 64, 3), np.uint8),
        "a channel axis in front": np.zeros((3, 64, 64), np.uint8),
        "a number": 7,
        "nothing (None)": None,
    }.items():
        yield Case(kind, given, lambda image=image: _extract(_with(image)))
    dim = np.random.default_rng(0).integers(0, 1024, (64, 64)).astype(np.uint16)
    yield Case(kind, "10 bits in arrays of 16", lambda: _extract([dim, dim // 2]))


def _lists() -> Iterator[Case]:
    kind = "A list of images"
    image = images_and_labels()[0][0]
    for given, X in {
        "an empty list": [],
        "a single path": "photo.png",
        "a set": {"a.png", "b.png"},
        "a generator": (path for path in ["a.png"]),
        "the keys of a dict": {"b.png": 0, "a.png": 1}.keys(),
        "a dict": {"a.png": 0},
        "a single image": image,
        "a data frame of two columns": pd.DataFrame({"a": ["x.png"], "b": ["y.png"]}),
        "a table of numbers": np.zeros((4, 3)),
        "a missing value among paths": ["a.png", None],
    }.items():
        yield Case(kind, given, lambda X=X: _extract(X))
    yield Case(
        kind,
        "three files that cannot be read among good ones",
        lambda: _extract(
            [image, "gone0.png", image, _write("e.png"), _write("t.jpg", b"text")]
        ),
    )


def _labels() -> Iterator[Case]:
    kind = "Labels"
    labels = images_and_labels()[1]
    names = labels.tolist()
    for given, y in {
        "one too few": labels[:-1],
        "NaN among texts": [*names[:-1], float("nan")],
        "None among texts": [*names[:-1], None],
        "pandas.NA among texts": [*names[:-1], pd.NA],
        "NaN among numbers": [0, 1, 0, 1, 0, 1, 0, np.nan],
        "numbers of no class (floats)": np.linspace(0, 1, 8),
        "numbers and texts": [*names[:-1], 1],
        "two columns": np.zeros((8, 2)),
        "a single class": ["a"] * 8,
        "none": [],
    }.items():
        yield Case(kind, given, lambda y=y: _fit(y=y))
    X = images_and_labels()[0]
    yield Case(
        kind,
        "one image in two classes",
        lambda: _fit([*X, X[0]], [*names, next(n for n in names if n != names[0])]),
    )
    yield Case(
        kind,
        "a class that the model does not know, in partial_fit",
        lambda: _fit().partial_fit(X, ["z"] * 8),
    )
    yield Case(
        kind,
        "weights of images below 0",
        lambda: DPNetClassifier(**SETTINGS).fit(X, labels, sample_weight=[-1.0] * 8),
    )


def _parameters() -> Iterator[Case]:
    kind = "Parameters"
    for settings in (
        {"n_parts_per_class": 0},
        {"n_parts_per_class": 1},
        {"max_epochs": -1},
        {"lr": float("nan")},
        {"orthogonality_weight": -1},
        {"image_size": 0},
        {"image_size": 10**9},
        {"framing": "stretch"},
        {"precision": "float8"},
        {"device": "cuda:99"},
        {"strides": (5,)},
        {"region_scales": (2.0,)},
        {"num_workers": -1},
        {"random_state": "seed"},
        {"validation_fraction": 1.5},
        {"backbone": "resnet5000"},
        {"backbone": "timm/no_such_network"},
        {"memory": 7},
    ):
        ((name, value),) = settings.items()
        yield Case(kind, f"{name}={value!r}", lambda s=settings: _fit(**s))
    yield Case(kind, "a parameter that does not exist", lambda: _fit(n_part=4))
    yield Case(kind, "regions of no scale", lambda: _fit(region_scales=()))
    yield Case(
        kind,
        "predict before fit",
        lambda: DPNetClassifier(**SETTINGS).predict(images_and_labels()[0]),
    )


class _Net(nn.Module):
    """A network that computes what it is told."""

    def __init__(self, function: Callable[[torch.Tensor], object]):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> object:
        return self.function(x)


def _networks() -> Iterator[Case]:
    kind = "A network"
    for given, function in {
        "that returns a vector for each image": lambda x: x.mean((2, 3)),
        "that returns one map for all images": lambda x: x.mean(0),
        "that returns nothing": lambda x: None,
        "that returns NaN": lambda x: x / 0 * 0,
        "with its channels last": lambda x: nn.functional.avg_pool2d(x, 4).permute(
            0, 2, 3, 1
        ),
        "that fails": lambda x: x @ torch.zeros(7, 7),
        "whose maps are larger than float16 can say": lambda x: 1e6 * x,
    }.items():
        yield Case(
            kind,
            given,
            lambda f=function: FeatureMaps(
                _Net(f), image_size=64, precision="float16"
            ).fit_transform(images_and_labels()[0]),
        )
    yield Case(
        kind,
        "in half precision",
        lambda: FeatureMaps(nn.Conv2d(3, 4, 8, 8).half(), image_size=64).fit_transform(
            images_and_labels()[0]
        ),
    )
    yield Case(
        kind,
        "a class instead of a module",
        lambda: FeatureMaps(nn.Conv2d).fit(images_and_labels()[0]),
    )


def _precomputed() -> Iterator[Case]:
    kind = "Features computed elsewhere"
    y = [0, 1] * 4
    for given, X in {
        "a list of paths": ["a.png"] * 8,
        "NaN": np.full((8, 4, 4, 16), np.nan),
        "five axes": np.zeros((8, 1, 4, 4, 16)),
        "texts": np.full((8, 16), "a"),
        "no numbers at all": np.zeros((8, 0)),
        "zeros alone": np.zeros((8, 4, 4, 16)),
    }.items():
        yield Case(kind, given, lambda X=X: _fit(X, y, backbone="precomputed"))
    yield Case(
        kind,
        "other numbers of channels than in the fit",
        lambda: (
            GlobalFeatures("precomputed")
            .fit(np.ones((8, 4, 4, 16)))
            .transform(np.ones((8, 4, 4, 8)))
        ),
    )


def _class_folders() -> Iterator[Case]:
    kind = "A folder of class folders"
    photo = _encoded("PNG")

    def folder(name: str, **files: bytes) -> str:
        Path(name).mkdir(exist_ok=True)
        for file, content in files.items():
            _write(f"{name}/{file.replace('__', '/').replace('_', '.')}", content)
        return name

    for given, make in {
        "that does not exist": lambda: "no_folder",
        "that is a file": lambda: _write("file.zip", b"PK"),
        "that is empty": lambda: folder("empty_folder"),
        "with images but no class folders": lambda: folder("flat", a_png=photo),
        "with a class folder that has no image": lambda: folder(
            "half", a__a_png=photo, b__notes_txt=b"none"
        ),
        "with files of other kinds beside the images": lambda: folder(
            "mixed", a__a_png=photo, a__b_txt=b"note", b__a_png=photo
        ),
    }.items():
        yield Case(kind, given, lambda make=make: load_image_folder(make()))
