"""Compare exported ONNX files with their estimators: differences, size and speed.

    python -m benchmarks.speed.onnx_export --data data/flowers17 --memory maps

Fits `DPNetClassifier` on the folder ``train`` with the embedded network and with a
small vision transformer of random weights, exports both, and compares them on images of
the folder ``test``. Speed is measured from framed pixels to scores, one thread each, in
turn. Prints a line for each network and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch

from benchmarks.data.readers import read_folders
from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from benchmarks.speed.timing import time_in_turn
from skdpnet import DPNetClassifier
from skdpnet.backbones.stages import cut_timm
from skdpnet.images import network_inputs

_VIT = "vit_tiny_patch16_224"
_VIT_SIZE = 224
# Images of one shape that go through a session together.
_BATCH = 8


def models(memory: Path | None) -> dict[str, DPNetClassifier]:
    """Return an unfitted classifier of default parameters for each network."""
    torch.manual_seed(0)
    vit = cut_timm(timm.create_model(_VIT, num_classes=0), None, _VIT_SIZE)
    options = {"memory": memory, "random_state": 0, "device": "cpu", "num_workers": 0}
    return {
        "efficientnet_lite0": DPNetClassifier(**options),
        f"{_VIT}, random weights": DPNetClassifier(vit, **options),
    }


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def outputs(
    session: onnxruntime.InferenceSession, inputs: list[np.ndarray]
) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """Run a session on images, shape by shape.

    Parameters
    ----------
    session : InferenceSession
    inputs : list of n float32 ndarrays of shape (3, H, W)

    Yields
    ------
    positions : list of int
        Positions of the images of a batch.
    of_batch : dict of str to ndarray
        The outputs by name.
    """
    names = [output.name for output in session.get_outputs()]
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(inputs):
        by_shape.setdefault(image.shape, []).append(i)
    for members in by_shape.values():
        for start in range(0, len(members), _BATCH):
            batch = members[start : start + _BATCH]
            images = np.stack([inputs[i] for i in batch])
            yield (
                batch,
                dict(zip(names, session.run(None, {"images": images}), strict=True)),
            )


def differences(
    model: DPNetClassifier,
    session: onnxruntime.InferenceSession,
    inputs: list[np.ndarray],
) -> dict[str, float]:
    """Return the largest absolute differences of an exported file on some images.

    Parameters
    ----------
    model : DPNetClassifier
        Fitted, of more than two classes.
    session : InferenceSession
        Of the file that it exported.
    inputs : list of n float32 ndarrays of shape (3, H, W)
        As from `network_inputs`.

    Returns
    -------
    dict of str to float
        For "scores", "probabilities", "descriptor" and "responses" of all maps.
    """
    X = [as_image(image) for image in inputs]
    expected = {
        "scores": model.decision_function(X),
        "probabilities": model.predict_proba(X),
        "descriptor": model.transform(X),
    }
    n_maps = len(model.grids_)
    batches = list(model.iter_responses(X))
    responses = [np.concatenate([b[k].numpy() for b in batches]) for k in range(n_maps)]
    worst = dict.fromkeys([*expected, "responses"], 0.0)
    for rows, out in outputs(session, inputs):
        for name, of_all in expected.items():
            worst[name] = max(worst[name], float(abs(out[name] - of_all[rows]).max()))
        for k in range(n_maps):
            windows = [out[key] for key in out if key.startswith(f"responses_{k}_")]
            flat = np.concatenate([w.reshape(*w.shape[:2], -1) for w in windows], 2)
            distance = abs(flat.transpose(0, 2, 1) - responses[k][rows]).max()
            worst["responses"] = max(worst["responses"], float(distance))
    return worst


def as_image(array: np.ndarray) -> np.ndarray:
    """Turn a network's input (3, H, W) into the 8-bit image (H, W, 3) that it was."""
    return np.rint(255 * array.transpose(1, 2, 0)).astype(np.uint8)


def measure(
    model: DPNetClassifier, paths: list[str], folder: Path, repeats: int
) -> dict:
    """Export a fitted classifier, and compare the file with it.

    Parameters
    ----------
    model : DPNetClassifier
        It computes maps anew after this, without `memory`.
    paths : list of str
        The images that both see.
    folder : Path
        Where the file is written.
    repeats : int
        Rounds of the timing.

    Returns
    -------
    dict
        ``largest_difference`` by output, the estimator's ``largest_score``,
        ``same_classes`` (the share of images for which both decide alike), ``bytes`` of
        the file, and ``images_per_second`` of both.
    """
    file = folder / "model.onnx"
    model.to_onnx(file)
    model.set_params(memory=None)
    session = open_session(file)
    inputs = network_inputs(paths, model.input_framing())
    images = [as_image(array) for array in inputs]
    scores = model.decision_function(images)
    decided = np.empty(len(inputs), int)
    for rows, out in outputs(session, inputs):
        decided[rows] = out["scores"].argmax(axis=1)
    runs = {
        "estimator": lambda: model.decision_function(images),
        "onnxruntime": lambda: list(outputs(session, inputs)),
    }
    seconds = time_in_turn(runs, repeats, torch.device("cpu"))
    return {
        "largest_difference": differences(model, session, inputs),
        "largest_score": float(abs(scores).max()),
        "same_classes": float((decided == scores.argmax(axis=1)).mean()),
        "bytes": file.stat().st_size,
        "images_per_second": {
            name: round(len(inputs) / statistics.median(times), 2)
            for name, times in seconds.items()
        },
    }


def main() -> None:
    """Fit, export and compare a classifier of each network."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.onnx_export",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--data", required=True, type=Path, help="with train and test")
    parser.add_argument("--memory", type=Path, help="folder that keeps feature maps")
    parser.add_argument("--images", type=int, default=100, help="of the folder test")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "onnx_export.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = read_folders(options.data, "train", "test")
    chosen = np.random.default_rng(0).permutation(len(split.test_paths))
    paths = [split.test_paths[i] for i in sorted(chosen[: options.images])]
    rows = []
    for name, model in models(options.memory).items():
        model.fit(split.train_paths, split.train_y)
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(model, paths, Path(folder), options.repeats)
        sizes = {"image_size": model.input_framing().image_size}
        sizes |= {"framing": model.input_framing().name, "images": len(paths)}
        rows.append({"network": name, **sizes, **measured})
        print(json.dumps(rows[-1]), flush=True)
    result = {
        "machine": {
            **describe(torch.device("cpu")),
            "onnxruntime": onnxruntime.__version__,
        },
        "data": options.data.resolve().name,
        "train_images": len(split.train_paths),
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
