"""Compare VLAD and dense SIFT with the global descriptor of a frozen backbone.

    python -m benchmarks.accuracy.encodings --data data/scene15 \
        --train train --test test --output benchmarks/results
    python -m benchmarks.accuracy.encodings --table benchmarks/results/encodings_*.json

Each descriptor is followed by a linear SVM, whose C is chosen by stratified
cross-validation on the descriptors of the training images. No descriptor is learned
from labels, so that one of all training images serves all folds. Nothing is chosen on
test images.

The feature maps are computed first, into the folder `--memory`. The descriptors of each
method are computed from there, in a process of its own, whose peak memory is recorded
before the SVM is fitted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.preprocessing import FunctionTransformer
from tqdm import tqdm

from benchmarks.accuracy.methods import (
    C_GRID,
    MAX_ITER,
    N_FOLDS,
    check_folds,
    choose_svm,
)
from benchmarks.accuracy.span import SpanRotation
from benchmarks.accuracy.table import spread
from benchmarks.data.readers import Split, read_folders
from benchmarks.environment import environment
from benchmarks.speed.timing import in_fresh_process, status_bytes
from skdpnet import VLAD, DPNetTransformer, FeatureMaps, GlobalFeatures
from skdpnet.backbones.stages import AVERAGE

__all__ = ["METHODS", "Method", "main", "markdown", "measure"]

_NETWORK, _SIFT = "efficientnet_lite0", "dense_sift"
_STRIDES = DPNetTransformer().strides
# A map of one cell has no words to count.
_STRIDES_OF_CELLS = tuple(stride for stride in _STRIDES if stride != AVERAGE)
_PYRAMID = ((1, 1), (2, 2), (3, 1))


class Method(NamedTuple):
    """A descriptor of images.

    Attributes
    ----------
    backbone : str
    strides : sequence of int or str, or None
        Of the maps that it describes.
    encoding : dict or None
        Parameters of `VLAD` other than the default; None: the global descriptor.
    """

    backbone: str
    strides: Sequence[int | str] | None
    encoding: dict | None

    def estimator(self, seed: int, **extraction: Any) -> GlobalFeatures | VLAD:
        """Return the unfitted estimator."""
        maps = {"backbone": self.backbone, "strides": self.strides, **extraction}
        if self.encoding is None:
            return GlobalFeatures(**maps)
        return VLAD(**maps, **self.encoding, random_state=seed)


METHODS = {
    "global descriptor": Method(_NETWORK, None, None),
    "global descriptor of the parts' maps": Method(_NETWORK, _STRIDES, None),
    "VLAD of the parts' maps": Method(_NETWORK, _STRIDES_OF_CELLS, {}),
    "dense SIFT, averaged": Method(_SIFT, None, None),
    "dense SIFT, VLAD": Method(_SIFT, None, {}),
    "dense SIFT, VLAD with pyramid": Method(_SIFT, None, {"pyramid": _PYRAMID}),
}


def measure(name: str, split: Split, seed: int, extraction: dict[str, Any]) -> dict:
    """Describe all images, and fit and score the SVM.

    Parameters
    ----------
    name : str
        Key of `METHODS`.
    split : Split
    seed : int
        Random state of the descriptor, the SVM and its folds.
    extraction : dict
        Parameters of `FeatureMaps`, with a `memory` that has the maps.

    Returns
    -------
    dict
        ``seed``; ``accuracy``; ``C`` and ``cv_accuracy``, the best C and its accuracy
        in the cross-validation; ``length`` of a descriptor; ``train_seconds`` and
        ``test_seconds``, from the maps in memory to the descriptors, including what
        is learned; ``svm_seconds``; ``peak_bytes``, the most memory of the process
        until the descriptors were there.
    """
    estimator = METHODS[name].estimator(seed, **extraction)
    start = time.perf_counter()
    train = estimator.fit_transform(split.train_paths)
    fitted = time.perf_counter()
    test = estimator.transform(split.test_paths)
    end, peak = time.perf_counter(), status_bytes("VmHWM")
    length = train.shape[1]
    rotation = SpanRotation()
    train = rotation.fit_transform(train)
    test = rotation.transform(test)
    svm, cv_accuracy = choose_svm(FunctionTransformer(), train, split.train_y, seed)
    accuracy = svm.fit(train, split.train_y).score(test, split.test_y)
    return {
        "seed": seed,
        "accuracy": float(accuracy),
        "C": svm.C,
        "cv_accuracy": cv_accuracy,
        "length": length,
        "train_seconds": fitted - start,
        "test_seconds": end - fitted,
        "svm_seconds": time.perf_counter() - end,
        "peak_bytes": peak,
    }


def compute_maps(
    backbone: str, strides: Sequence[int | str] | None, split: Split, extraction: dict
) -> float:
    """Put the maps of all images into the memory, and return the seconds it took."""
    start = time.perf_counter()
    extractor = FeatureMaps(backbone, strides=strides, **extraction)
    for _ in extractor.iter_maps([*split.train_paths, *split.test_paths]):
        pass
    return time.perf_counter() - start


def compare(split: Split, seeds: Sequence[int], extraction: dict) -> list[dict]:
    """Measure all methods with all seeds, each in a new process.

    Parameters
    ----------
    split : Split
    seeds : sequence of int
    extraction : dict
        Parameters of `FeatureMaps`, with a `memory`.

    Returns
    -------
    list of dict
        For each method ``name``, ``backbone``, ``strides``, ``encoding``,
        ``maps_seconds`` and ``runs``, a list of what `measure` returns.
    """
    seconds: dict[tuple, float] = {}
    rows = []
    with tqdm(total=len(METHODS) * len(seeds), unit="fit") as bar:
        for name, method in METHODS.items():
            bar.set_description(name)
            maps = (method.backbone, method.strides)
            if maps not in seconds:
                seconds[maps] = in_fresh_process(compute_maps, *maps, split, extraction)
            runs = []
            for seed in seeds:
                runs.append(in_fresh_process(measure, name, split, seed, extraction))
                bar.update()
            row = {"name": name, **method._asdict(), "maps_seconds": seconds[maps]}
            rows.append({**row, "runs": runs})
    return rows


def markdown(result: dict) -> str:
    """Return results as a Markdown table under a caption.

    Parameters
    ----------
    result : dict
        Content of a results file.

    Returns
    -------
    str
    """
    data, size = result["data"], result["image_size"]
    lines = [
        f"{data['name']}: {data['n_train']} training and {data['n_test']} test images "
        f"of {data['n_classes']} classes (folders {data['train']} and {data['test']}), "
        f"{size} × {size} pixels; seeds {', '.join(map(str, result['seeds']))}; times "
        f"on {result['environment']['torch_threads']} thread(s).",
        "",
        "| descriptor | accuracy, % | length | maps, s | training images, s "
        "| test images, s | peak memory, GB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["methods"]:
        runs = row["runs"]
        train, test = (
            statistics.mean(run[f"{part}_seconds"] for run in runs)
            for part in ("train", "test")
        )
        peak = max(run["peak_bytes"] for run in runs) / 1e9
        lines.append(
            f"| {row['name']} | {spread([run['accuracy'] for run in runs])} "
            f"| {runs[0]['length']:,} | {row['maps_seconds']:.0f} | {train:.0f} "
            f"| {test:.0f} | {peak:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write the results; or print tables of results.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    args = _read_options(arguments)
    if args.table:
        texts = [file.read_text(encoding="utf-8") for file in args.table]
        print("\n\n".join(markdown(json.loads(text)) for text in texts))
        return
    split = read_folders(args.data, args.train, args.test)
    check_folds(split)
    # Before the measurements: an error here after hours of work would lose them.
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        memory = str(args.memory or temporary)
        extraction = {"image_size": args.image_size, "memory": memory}
        methods = compare(split, args.seeds, extraction)
    name = args.data.resolve().name
    result = {
        "command": f"python -m benchmarks.accuracy.encodings --data {name} --train "
        f"{args.train} --test {args.test} --image-size {args.image_size} --seeds "
        f"{' '.join(map(str, args.seeds))}",
        "data": {
            "name": name,
            "train": args.train,
            "test": args.test,
            "n_train": len(split.train_paths),
            "n_test": len(split.test_paths),
            "n_classes": len(split.names),
        },
        "image_size": args.image_size,
        "seeds": args.seeds,
        "svm": {"C_grid": C_GRID, "n_folds": N_FOLDS, "max_iter": MAX_ITER},
        "methods": methods,
        "environment": environment(),
    }
    text = json.dumps(result, indent=2)
    (args.output / f"encodings_{name}.json").write_text(text + "\n", encoding="utf-8")
    print(markdown(json.loads(text)))


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.encodings",
        description=(
            "Compare VLAD and dense SIFT with the global descriptor of a frozen "
            "backbone. Prints a Markdown table; writes encodings_<data>.json."
        ),
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder of the data set")
    add("--train", metavar="SUB", default="train", help="training class folders in DIR")
    add("--test", metavar="SUB", default="test", help="test class folders in DIR")
    add("--image-size", type=int, default=224, metavar="N", help="side in pixels")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add(
        "--memory",
        type=Path,
        metavar="DIR",
        help="folder that keeps the feature maps, 3.2 MB an image of 224 pixels "
        "(default: a temporary folder)",
    )
    add("--output", type=Path, metavar="DIR", help="folder of results")
    add("--table", type=Path, nargs="+", metavar="JSON", help="print these results")
    args = parser.parse_args(arguments)
    if not args.table and not (args.data and args.output):
        parser.error("name --data and --output, or --table")
    return args


if __name__ == "__main__":
    main()
