"""Models, caches, outputs and commands for the table of bad inputs."""

from __future__ import annotations

import contextlib
import io
import pickle
import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

import skdpnet
from benchmarks.robustness.bad_image_cases import SETTINGS, Case, images_and_labels
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.cli import main

__all__ = ["file_cases", "prepare"]


def prepare() -> None:
    """Write a model and images to the working directory, for the cases."""
    X, y = images_and_labels()
    DPNetClassifier(**SETTINGS).fit(X, y).save("model.skdpnet")
    for i, (image, label) in enumerate(zip(X, y, strict=True)):
        path = Path("photos", label, f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    Path("one/only").mkdir(parents=True)
    Image.fromarray(X[0]).save("one/only/0.png")
    Path("cut.png").write_bytes(Path(path).read_bytes()[:200])


def file_cases() -> Iterator[Case]:
    """Yield the cases of models, caches, outputs and commands.

    Yields
    ------
    Case
    """
    yield from _models()
    yield from _caches()
    yield from _explanations()
    yield from _outputs()
    yield from _commands()


def _model(**settings: object) -> DPNetClassifier:
    return skdpnet.load("model.skdpnet", **settings)


def _models() -> Iterator[Case]:
    kind = "A model file"

    def changed(name: str, change: object) -> str:
        Path(name).write_bytes(change(Path("model.skdpnet").read_bytes()))
        return name

    def other_tensors() -> str:
        save_file({"a": np.zeros(3)}, "tensors.safetensors")
        return "tensors.safetensors"

    def without_metadata() -> str:
        save_file(load_file("model.skdpnet"), "bare.skdpnet")
        return "bare.skdpnet"

    def of_another_class() -> str:
        class OtherClassifier(DPNetClassifier):
            pass

        OtherClassifier(**SETTINGS).fit(*images_and_labels()).save("other.skdpnet")
        return "other.skdpnet"

    for given, make in {
        "that does not exist": lambda: "missing.skdpnet",
        "that is a folder": lambda: "photos",
        "that is empty": lambda: changed("empty.skdpnet", lambda b: b""),
        "cut in half": lambda: changed("half.skdpnet", lambda b: b[: len(b) // 2]),
        "with a bit that flipped": lambda: changed(
            "bit.skdpnet", lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:]
        ),
        "with bytes behind its end": lambda: changed(
            "long.skdpnet", lambda b: b + b"a"
        ),
        "that is a pickle": lambda: changed("a.pkl", lambda b: pickle.dumps([1, 2])),
        "that is a web page": lambda: changed("a.html", lambda b: b"<html></html>"),
        "of another program's arrays": other_tensors,
        "without its metadata": without_metadata,
        "of a newer format": lambda: changed(
            "new.skdpnet",
            lambda b: b.replace(b'"format_version":"1"', b'"format_version":"2"'),
        ),
        "of an unknown class": of_another_class,
    }.items():
        yield Case(kind, given, lambda make=make: skdpnet.load(make()))
    yield Case(
        kind, "loaded for a device that is not there", lambda: _model(device="x")
    )
    yield Case(
        kind,
        "to be written where there is no folder",
        lambda: _model().save("nowhere/model.skdpnet"),
    )
    yield Case(kind, "to be written over a folder", lambda: _model().save("photos"))
    yield Case(
        kind,
        "of an estimator that is not fitted",
        lambda: DPNetClassifier(**SETTINGS).save("unfitted.skdpnet"),
    )


def _caches() -> Iterator[Case]:
    kind = "The cache (memory)"
    X = images_and_labels()[0]

    def extract(memory: str) -> object:
        return FeatureMaps("dense_sift", image_size=64, memory=memory).fit_transform(X)

    def damaged() -> object:
        extract("damaged")
        for path in Path("damaged").rglob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:100])
        return extract("damaged")

    yield Case(kind, "a file in place of its folder", lambda: extract("cut.png"))
    yield Case(kind, "entries that are cut off", damaged)
    yield Case(
        kind, "a limit on the size of files", lambda: _limited(lambda: extract("small"))
    )
    for given, settings in {
        "a folder to clear that does not exist": {"folder": "no_cache"},
        "a size that is none": {"bytes_limit": "much"},
        "a negative size": {"bytes_limit": -1},
        "an age that is a number": {"age_limit": 30},
        "a negative age": {"age_limit": timedelta(days=-1)},
    }.items():
        yield Case(
            kind,
            given,
            lambda s=settings: skdpnet.clear_memory(**{"folder": ".", **s}),
        )


def _limited(act: object) -> object:
    """Act while no file may become longer than 1,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        return act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _explanations() -> Iterator[Case]:
    kind = "An explanation"
    X = images_and_labels()[0]
    for given, act in {
        "of a class that there is not": lambda: skdpnet.explain(_model(), X[0], "z"),
        "of two images at once": lambda: skdpnet.explain(_model(), X[:2]),
        "of a part that there is not": lambda: skdpnet.part_gallery(_model(), 999, X),
        "of a gallery of no image": lambda: skdpnet.part_gallery(_model(), 0, X, n=0),
        "of a model without parts": lambda: skdpnet.explain(
            skdpnet.GlobalFeatures("dense_sift").fit(X), X[0]
        ),
        "of an image that is cut off": lambda: skdpnet.explain(_model(), "cut.png"),
    }.items():
        yield Case(kind, given, act)


def _outputs() -> Iterator[Case]:
    kind = "A report"
    X, y = images_and_labels()

    def report(
        *, truth: object = y, path: str = "a.html", **settings: object
    ) -> object:
        return skdpnet.report(_model(), X, X, truth, path, **settings)

    for given, act in {
        "where there is no folder": lambda: report(path="nowhere/a.html"),
        "in place of a folder": lambda: report(path="photos"),
        "on a full disk": lambda: _limited(report),
        "with a label too few": lambda: report(truth=y[1:]),
        "with a class that the model does not know": lambda: report(truth=["z"] * 8),
        "of no parts": lambda: report(n_parts=0),
    }.items():
        yield Case(kind, given, act)


def _command(*arguments: str) -> str:
    """Run a command; return what it prints on standard error, and its status."""
    error = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        try:
            status = main([*arguments, "--quiet"])
        except SystemExit as end:
            status = end.code
    last = error.getvalue().strip().splitlines()[-1:]
    return f"{' '.join(last)} (status {status})"


def _commands() -> Iterator[Case]:
    kind = "A command"
    size = ["--image-size", "64", "--backbone", "dense_sift"]
    for line in (
        ["fit", "no_folder", "-o", "m"],
        ["fit", "one", "-o", "m", *size],
        ["fit", "photos", "-o", "nowhere/m", *size],
        ["fit", "photos", "-o", "photos", *size],
        ["fit", "photos", "-o", "m", "--test-fraction", "2"],
        ["fit", "photos", "-o", "m", *size, "--parts-per-class", "1"],
        ["predict", "missing.skdpnet", "cut.png"],
        ["predict", "model.skdpnet", "missing.png"],
        ["predict", "model.skdpnet", "photos"],
        ["predict", "model.skdpnet", "cut.png"],
        ["predict", "cut.png", "cut.png"],
        ["explain", "model.skdpnet", "cut.png", "-o", "why"],
        ["explain", "model.skdpnet", "one/only/0.png", "-o", "why.png", "--class", "z"],
        ["report", "model.skdpnet", "one", "-o", "r.html"],
        ["frobnicate"],
    ):
        yield Case(kind, f"`{' '.join(line)}`", lambda line=line: _command(*line))
