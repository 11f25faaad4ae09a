"""Measure the two tables of the DP-Net paper, and print them beside the paper's.

    python -m benchmarks.accuracy.paper_tables --mit67 data/MIT67 \
        --cub data/CUB_200_2011 --imagenet data/imagenet --memory maps

The first table compares the global descriptor with parts, with VGG-19 and ResNet-50;
the second compares the eight subsets of DP-Net's constraints, with ResNet-50, on all
data sets but ImageNet. Methods, maps and the choice of the SVM's C are those of
`global_vs_parts`. Each measurement is a line of JSON in the output file, and those that
the file already has are not repeated. Without a data set, a dash takes the place of its
measurements beside the paper's numbers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.accuracy.methods import (
    DPNET,
    DPNET_SVM,
    GLOBAL,
    check_folds,
    measure,
    methods,
    settings_of,
)
from benchmarks.accuracy.paper_numbers import (
    BIRDS,
    CONSTRAINED,
    IMAGENET,
    MIT67,
    constraint_table,
    global_table,
)
from benchmarks.accuracy.suites import add_weight_options, constraints
from benchmarks.data.extraction import extract, extractors, map_shapes
from benchmarks.data.readers import Split, read_cub, read_folders, read_mit67
from benchmarks.records import RESULTS, append_line, has_line, read_lines, resume

PAPER = (MIT67, BIRDS, IMAGENET)


def trials(
    data: str, backbone: str, constrained: str, settings: dict[str, dict]
) -> list[tuple[str, dict]]:
    """Return what is measured on a data set with a backbone.

    Parameters
    ----------
    data : str
        Name of the data set.
    backbone : str
    constrained : str
        The backbone that the constraints are measured with.
    settings : dict of str to dict
        The subsets of constraints, as `suites.constraints` returns them.

    Returns
    -------
    list of (str, dict)
        Name of the method, as in `methods.methods`, and the changed settings.
    """
    listed: list[tuple[str, dict]] = [(GLOBAL, {}), (DPNET, {}), (DPNET_SVM, {})]
    if backbone == constrained and data != IMAGENET:
        subsets = settings.values()
        listed += [(m, changes) for changes in subsets for m in (DPNET, DPNET_SVM)]
    return listed


def run(
    splits: dict[str, Split],
    backbones: Sequence[str],
    settings: dict[str, dict],
    *,
    image_size: int,
    seeds: Sequence[int],
    memory: Path,
    output: Path,
) -> None:
    """Measure what the output file lacks, and append a line for each measurement.

    Parameters
    ----------
    splits : dict of str to Split
        Splits by the names of the data sets.
    backbones : sequence of str
    settings : dict of str to dict
        The subsets of constraints, as `suites.constraints` returns them.
    image_size : int
    seeds : sequence of int
    memory : Path
        Folder that keeps the feature maps.
    output : Path
        File of JSON lines.
    """
    lines = resume(output, _settings_now)
    for data, split in splits.items():
        for backbone in backbones:
            images = {"data": data, "backbone": backbone, "image_size": image_size}
            listed = trials(data, backbone, constrained_backbone(backbones), settings)
            keys = [
                {**images, "seed": seed, "method": method, "changes": changes}
                for seed in seeds
                for method, changes in listed
            ]
            pending = [key for key in keys if not has_line(lines, key)]
            kinds = extractors(backbone, image_size=image_size, memory=memory)
            maps: dict[str, tuple[np.ndarray, np.ndarray]] = {}
            for key in tqdm(pending, desc=f"{data}, {backbone}", unit="fit"):
                estimator, kind = methods(key["seed"])[key["method"]]
                if kind not in maps:
                    maps[kind] = (
                        extract(kinds[kind], split.train_paths),
                        extract(kinds[kind], split.test_paths),
                    )
                estimator.set_params(**key["changes"])
                line = {
                    **key,
                    "settings": settings_of(estimator),
                    "maps": map_shapes(maps[kind][0]),
                    **measure(estimator, *maps[kind], split, key["seed"]),
                }
                append_line(output, line)


def constrained_backbone(backbones: Sequence[str]) -> str:
    """Return the backbone that the constraints are measured with.

    Parameters
    ----------
    backbones : sequence of str

    Returns
    -------
    str
        The paper's backbone where it is among them, else the first.
    """
    return CONSTRAINED if CONSTRAINED in backbones else backbones[0]


def _settings_now(line: dict) -> dict:
    estimator = methods(line["seed"])[line["method"]].estimator
    return {**settings_of(estimator), **line["changes"]}


def tables(
    lines: list[dict], backbones: Sequence[str], settings: dict[str, dict]
) -> str:
    """Return both tables in Markdown.

    Parameters
    ----------
    lines : list of dict
        Measurements with one image size.
    backbones : sequence of str
    settings : dict of str to dict
        The subsets of constraints, as `suites.constraints` returns them.

    Returns
    -------
    str
    """
    names = list(dict.fromkeys(line["data"] for line in lines))
    stand_ins = [name for name in names if name not in PAPER]
    backbone = constrained_backbone(backbones)
    return "\n\n".join(
        [
            "Global descriptor against parts, accuracy in %:",
            global_table(lines, stand_ins),
            f"Constraints, accuracy in % (paper: {CONSTRAINED}, measured: {backbone}):",
            constraint_table(lines, stand_ins, backbone, settings),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        splits = _splits(args)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for split in splits.values():
        check_folds(split)
    settings = constraints(
        args.orthogonality_weight, args.assignment_weight, args.specificity_weight
    )
    with tempfile.TemporaryDirectory() as temporary:
        run(
            splits,
            args.backbones,
            settings,
            image_size=args.image_size,
            seeds=args.seeds,
            memory=args.memory or Path(temporary),
            output=args.output,
        )
    lines = [
        line
        for line in read_lines(args.output)
        if line["image_size"] == args.image_size and line["seed"] in args.seeds
    ]
    print(tables(lines, args.backbones, settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.paper_tables",
        description=__doc__.splitlines()[0],
    )
    add = parser.add_argument
    add("--mit67", type=Path, metavar="DIR", help="MIT-67 as its owners ship it")
    add("--cub", type=Path, metavar="DIR", help="CUB-200-2011 as its owners ship it")
    add("--imagenet", type=Path, metavar="DIR", help="class folders in train/ and val/")
    add(
        "--data",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="class folders in train/ and test/, as a stand-in for the paper's data",
    )
    add("--backbones", nargs="+", default=["vgg19", "resnet50"], metavar="NAME")
    add("--image-size", type=int, default=224, metavar="N")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add_weight_options(parser)
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--output", type=Path, default=RESULTS / "paper_tables.jsonl")
    return parser


def _splits(args: argparse.Namespace) -> dict[str, Split]:
    splits = {}
    if args.mit67 is not None:
        splits[MIT67] = read_mit67(args.mit67)
    if args.cub is not None:
        splits[BIRDS] = read_cub(args.cub)
    if args.imagenet is not None:
        splits[IMAGENET] = read_folders(args.imagenet, "train", "val")
    for text in args.data:
        name, _, folder = text.partition("=")
        if not name or not folder:
            raise ValueError(f"--data {text!r} is not NAME=DIR")
        if name in PAPER or name in splits:
            raise ValueError(f"--data {text!r}: another data set is called {name!r}")
        splits[name] = read_folders(folder, "train", "test")
    return splits


if __name__ == "__main__":
    main()
