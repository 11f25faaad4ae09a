"""``fit``: learn a model from class folders, and measure it on what was left out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skdpnet import __version__
from skdpnet.cli.errors import CommandError, as_sentence
from skdpnet.cli.io import check_output, fingerprints, list_classes, note, show
from skdpnet.cli.options import (
    add_command,
    add_common_options,
    fraction,
    weight,
    whole,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_parser"]

_LARGEST_SEED = 2**32 - 1
_DETAILS = """\
DIR holds one folder a class, whose name is the class's:

  python -m skdpnet fit flowers/ -o flowers.skdpnet

A fifth of each class is left out of learning, and accuracy is measured on it. The
model remembers the content of the images that it learned from, so that `report`
knows them again, whatever they are called then.

--json: {model, classes, n_train, n_test, accuracy, seconds}; accuracy is a share, null
where nothing was left out; seconds are those of learning, feature maps included.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` gave
    """
    parser = add_command(
        commands, "fit", "learn a model from folders of images", _DETAILS
    )
    parser.add_argument("images", metavar="DIR", help="folder with a folder a class")
    parser.add_argument(
        "-o", "--output", required=True, metavar="MODEL", help="file for the model"
    )
    parser.add_argument(
        "--test-fraction",
        type=fraction,
        default=0.2,
        metavar="SHARE",
        help="share of each class that is left out to test on (default: 0.2); "
        "0: learn from all",
    )
    parser.add_argument(
        "--seed",
        type=whole(0, _LARGEST_SEED),
        default=0,
        metavar="N",
        help="of what is left out, and of learning (default: 0)",
    )
    parser.add_argument(
        "--image-size",
        type=whole(8),
        metavar="PIXELS",
        help="side of the square that the network sees (default: its usual one, 224 "
        "for efficientnet_lite0)",
    )
    parser.add_argument(
        "--backbone",
        default="efficientnet_lite0",
        metavar="NAME",
        help="efficientnet_lite0 (default), resnet50, vgg19 or timm/NAME",
    )
    parser.add_argument(
        "--parts-per-class",
        type=whole(1),
        default=20,
        metavar="N",
        help="default: 20",
    )
    for name, what in [
        ("orthogonality", "parts that resemble one another"),
        ("assignment", "regions that no part clearly claims"),
        ("specificity", "classes that decide by parts of other classes"),
    ]:
        parser.add_argument(
            f"--{name}",
            type=weight,
            default=0.0,
            metavar="WEIGHT",
            help=f"of the penalty on {what} (default: 0)",
        )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    check_output(args.output)
    paths, labels = list_classes(args.images)
    if len(set(labels)) < 2:
        raise CommandError(
            f"{args.images} has one class folder, {labels[0]!r}: a model tells two "
            "classes or more apart"
        )
    import numpy as np

    from skdpnet import DPNetClassifier
    from skdpnet.images.collection import as_images

    as_images(paths).check()
    y, prints = np.array(labels), np.array(fingerprints(paths))
    left_out = _leave_out(prints, y, args.test_fraction, args.seed)
    train, test = np.flatnonzero(~left_out), np.flatnonzero(left_out)
    model = DPNetClassifier(
        args.backbone,
        image_size=args.image_size,
        n_parts_per_class=args.parts_per_class,
        orthogonality_weight=args.orthogonality,
        assignment_weight=args.assignment,
        specificity_weight=args.specificity,
        memory=args.memory,
        device=args.device,
        verbose=int(not args.quiet),
        random_state=args.seed,
    )
    _rehearse(model, [paths[train[0]]])
    note(
        args,
        f"{len(train)} images of {len(np.unique(y))} classes to learn from, "
        f"{len(test)} left out to test on.",
    )
    seconds = -time.perf_counter()
    model.fit([paths[i] for i in train], y[train])
    seconds += time.perf_counter()
    # The next one to use the model asks for bars if wanted.
    model.set_params(verbose=0)
    model.notes_ = {
        "training_images": sorted(set(prints[train].tolist())),
        "test_fraction": args.test_fraction,
        "seed": args.seed,
        "skdpnet_version": __version__,
    }
    model.save(args.output)
    model.set_params(verbose=int(not args.quiet))
    accuracy = None
    if len(test):
        accuracy = _accuracy(model, [paths[i] for i in test], y[test], args.output)
    classes = model.classes_.tolist()
    document = {
        "model": args.output,
        "classes": classes,
        "n_train": len(train),
        "n_test": len(test),
        "accuracy": accuracy,
        "seconds": round(seconds, 3),
    }
    show(args, document, _lines(document))


def _lines(document: dict[str, Any]) -> list[str]:
    accuracy = document["accuracy"]
    measured = (
        "Accuracy not measured: no image was left out."
        if accuracy is None
        else f"Accuracy on the {document['n_test']} images left out: {accuracy:.1%}"
    )
    return [
        f"Learned {len(document['classes'])} classes from {document['n_train']} "
        f"images in {document['seconds']:.0f} s.",
        measured,
        f"Model: {document['model']}",
    ]


def _leave_out(
    prints: np.ndarray, y: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Choose images to test on, the same ones whatever the files are called.

    Copies of an image stay together, lest one be learned and another tested on. A
    class of several images leaves out one at least, and never all.

    Parameters
    ----------
    prints : str ndarray of shape (n,)
        Contents of the images.
    y : str ndarray of shape (n,)
    share : float
    seed : int

    Returns
    -------
    bool ndarray of shape (n,)
    """
    import numpy as np

    random = np.random.default_rng(seed)
    distinct, first = np.unique(prints, return_index=True)
    chosen: list[str] = []
    for name in np.unique(y):
        own = distinct[y[first] == name]
        n = round(share * len(own))
        if share > 0:
            n = min(max(n, 1), len(own) - 1)
        chosen += random.permutation(own)[: max(n, 0)].tolist()
    return np.isin(prints, chosen)


def _rehearse(model: Any, paths: Sequence[str]) -> None:
    """Take one image through the network: what cannot work fails now, not later."""
    from skdpnet import FeatureMaps

    maps = FeatureMaps(
        model.backbone,
        strides=model.strides,
        image_size=model.image_size,
        device=model.device,
        memory=model.memory,
    ).fit(paths)
    maps.transform(paths)
    n_maps = len(maps.map_shapes_)
    if model.n_parts_per_class < n_maps:
        raise CommandError(
            f"--parts-per-class {model.n_parts_per_class} is too few: {model.backbone} "
            f"has {n_maps} feature maps, and each needs a part a class"
        )


def _accuracy(model: Any, paths: Sequence[str], y: np.ndarray, saved: str) -> float:
    from skdpnet.images import ImageError

    try:
        return float((model.predict(paths) == y).mean())
    except ImageError as error:
        raise CommandError(
            f"the model is saved in {saved}, but its accuracy cannot be told: "
            f"{as_sentence(error)}"
        ) from error
