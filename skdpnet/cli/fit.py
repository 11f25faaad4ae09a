"""``fit``: learn a model from class folders, and measure it on held-out images."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skdpnet import __version__
from skdpnet.cli.copies import warn_of_copies
from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import check_output, fingerprints, list_classes, note, show
from skdpnet.cli.left_out import LeftOut
from skdpnet.cli.options import (
    add_command,
    add_common_options,
    fraction,
    weight,
    whole_number,
)
from skdpnet.images.framing import AUTO, FRAMINGS

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_parser"]

_LARGEST_SEED = 2**32 - 1
_DETAILS = """\
DIR holds a folder for each class; the folder's name is the name of the class:

  python -m skdpnet fit flowers/ -o flowers.skdpnet

By default a fifth of the images of each class is held out, and the accuracy is
measured on them. The model stores digests of the images that it learned from,
so that `report` recognises them even if they are renamed.

Images that cannot be used are left out and named on standard error, all at
once; the exit status is then 1.

--json: {model, classes, n_train, n_test, accuracy, seconds, left_out}; accuracy
is a share, or null if no image is held out; seconds is the time for learning,
including feature maps; left_out is a list of paths.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands, "fit", "learn a model from folders of images", _DETAILS
    )
    parser.add_argument(
        "images",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder with a folder for each class",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=os.path.expanduser,
        metavar="MODEL",
        help="file for the model",
    )
    parser.add_argument(
        "--test-fraction",
        type=fraction,
        default=0.2,
        metavar="SHARE",
        help="share of each class that is held out for testing; 0 learns from all "
        "images (default: 0.2)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, _LARGEST_SEED),
        default=0,
        metavar="N",
        help="random seed of the held-out images and of learning (default: 0)",
    )
    parser.add_argument(
        "--image-size",
        type=whole_number(8),
        metavar="PIXELS",
        help="side of the square that images are resized to (default: the network's "
        "usual size, 224 for efficientnet_lite0, 260 for efficientnet_lite2)",
    )
    parser.add_argument(
        "--framing",
        choices=(AUTO, *FRAMINGS),
        default=AUTO,
        help="what the network sees of an image: its centred square (crop), or all of "
        "it, distorted to the square (squash), with margins (pad), or at its own "
        "aspect (aspect); auto (default) is aspect where the network takes images of "
        "any shape, and crop elsewhere",
    )
    parser.add_argument(
        "--backbone",
        default="efficientnet_lite0",
        metavar="NAME",
        help="network: efficientnet_lite0 (default), efficientnet_lite2 (of the extra "
        "skdpnet[lite2]), resnet50, vgg19 or timm/NAME",
    )
    parser.add_argument(
        "--parts-per-class",
        type=whole_number(1),
        default=20,
        metavar="N",
        help="number of parts of each class (default: 20)",
    )
    for name, target in [
        ("orthogonality", "similarities between parts"),
        ("assignment", "ambiguous assignments of regions to parts"),
        ("specificity", "the use of other classes' parts"),
    ]:
        parser.add_argument(
            f"--{name}",
            type=weight,
            default=0.0,
            metavar="WEIGHT",
            help=f"weight of the penalty on {target} (default: 0)",
        )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    paths, labels = list_classes(args.images)
    n_listed, left_out = len(paths), LeftOut()
    if len(set(labels)) < 2:
        raise CommandError(
            f"{args.images} has only one class folder, {labels[0]!r}: a model needs at "
            "least two classes"
        )
    import numpy as np

    from skdpnet import DPNetClassifier
    from skdpnet.images.bad_images import header_errors
    from skdpnet.images.collection import as_images

    left_out.add(header_errors(as_images(paths)).values())
    good = left_out.others(paths)
    _check_classes(labels, [labels[i] for i in good])
    paths, labels = [paths[i] for i in good], [labels[i] for i in good]
    y, digests = np.array(labels), np.array(fingerprints(paths))
    warn_of_copies(paths, labels, digests.tolist())
    held_out = _hold_out(digests, y, args.test_fraction, args.seed)
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    model = DPNetClassifier(
        args.backbone,
        image_size=args.image_size,
        framing=args.framing,
        n_parts_per_class=args.parts_per_class,
        orthogonality_weight=args.orthogonality,
        assignment_weight=args.assignment,
        specificity_weight=args.specificity,
        memory=args.memory,
        device=args.device,
        verbose=int(not args.quiet),
        random_state=args.seed,
    )
    _check_settings(model, [paths[i] for i in train])
    note(
        args,
        f"Learning {len(np.unique(y))} classes from {len(train)} images; "
        f"{len(test)} images are held out for testing.",
    )
    seconds = -time.perf_counter()
    train = _fit(model, paths, y, train, left_out)
    seconds += time.perf_counter()
    # Whether there are progress bars concerns this run, not the saved model.
    model.set_params(verbose=0)
    model.notes_ = {
        "training_digests": sorted(set(digests[train].tolist())),
        "test_fraction": args.test_fraction,
        "seed": args.seed,
        "skdpnet_version": __version__,
    }
    model.save(args.output)
    model.set_params(verbose=int(not args.quiet))
    accuracy, n_test = None, len(test)
    if n_test:
        accuracy, n_test = _accuracy(
            model, [paths[i] for i in test], y[test], args.output, left_out
        )
    classes = model.classes_.tolist()
    document = {
        "model": args.output,
        "classes": classes,
        "n_train": len(train),
        "n_test": n_test,
        "accuracy": accuracy,
        "seconds": round(seconds, 3),
        "left_out": left_out.paths,
    }
    show(args, document, _lines(document))
    return left_out.status(n_listed)


def _lines(document: dict[str, Any]) -> list[str]:
    accuracy = document["accuracy"]
    measured = (
        "Accuracy not measured: no image was held out."
        if accuracy is None
        else f"Accuracy on {document['n_test']} held-out images: {accuracy:.1%}"
    )
    return [
        f"Learned {len(document['classes'])} classes from {document['n_train']} "
        f"images in {document['seconds']:.0f} s.",
        measured,
        f"Model: {document['model']}",
    ]


def _hold_out(
    digests: np.ndarray, y: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Choose the images to test on, regardless of their file names.

    Copies of an image stay together, so that no test image is a copy of a training
    image. Of a class with several images, at least one is held out, and never all.
    Images that lie in several classes are not held out: no answer to them is right, and
    a class may have no other image.

    Parameters
    ----------
    digests : str ndarray of shape (n,)
        Digests of the images' contents.
    y : str ndarray of shape (n,)
    share : float
        Share of each class to hold out.
    seed : int

    Returns
    -------
    bool ndarray of shape (n,)
        Whether each image is held out.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    classes, labels = np.unique(y, return_inverse=True)
    distinct, image = np.unique(digests, return_inverse=True)
    is_in_class = np.zeros((len(classes), len(distinct)), bool)
    is_in_class[labels, image] = True
    has_one_class = is_in_class.sum(axis=0) == 1
    chosen: list[str] = []
    for images in is_in_class:
        of_class = distinct[images & has_one_class]
        n = round(share * len(of_class))
        if share > 0:
            n = min(max(n, 1), len(of_class) - 1)
        chosen += random.permutation(of_class)[: max(n, 0)].tolist()
    return np.isin(digests, chosen)


def _check_classes(before: Sequence[str], after: Sequence[str]) -> None:
    """Check that each class still has an image after some are left out."""
    lost = sorted(set(before) - set(after))
    if lost:
        raise CommandError(
            f"no image of {', '.join(map(repr, lost))} can be used: mend the images "
            "named above, or remove the folder of the class"
        )


def _fit(
    model: Any,
    paths: Sequence[str],
    y: np.ndarray,
    train: np.ndarray,
    left_out: LeftOut,
) -> np.ndarray:
    """Fit on those training images that can be decoded, and return their positions."""
    from skdpnet.images import ImageError

    try:
        model.fit([paths[i] for i in train], y[train])
        return train
    except ImageError as error:
        left_out.add(error.errors)
    # The error names all bad images, so that nothing but good ones remain.
    good = train[left_out.others([paths[i] for i in train])]
    _check_classes(y[train].tolist(), y[good].tolist())
    model.fit([paths[i] for i in good], y[good])
    return good


def _check_settings(model: Any, paths: Sequence[str]) -> None:
    """Compute the feature maps of an image, so that unusable settings fail early."""
    from skdpnet.images.bad_images import decoding_errors
    from skdpnet.images.collection import as_images

    extractor = model.feature_maps().set_params(verbose=0)
    for path in paths:
        # The first image that can be decoded; `fit` names those that cannot.
        if decoding_errors(as_images([path])):
            continue
        (maps,) = extractor.iter_maps([path])
        break
    else:
        return
    n_maps = len(maps)
    if model.n_parts_per_class < n_maps:
        raise CommandError(
            f"--parts-per-class {model.n_parts_per_class} is too few: {model.backbone} "
            f"has {n_maps} feature maps, and each needs a part for each class"
        )


def _accuracy(
    model: Any,
    paths: Sequence[str],
    y: np.ndarray,
    saved: str,
    left_out: LeftOut,
) -> tuple[float, int]:
    """Measure the accuracy of a model that is already saved in a file.

    Returns
    -------
    accuracy : float
    n : int
        Number of images on which it was measured.
    """
    from skdpnet.images import ImageError
    from skdpnet.images.collection import as_images

    images = as_images(paths).skipping()
    try:
        predicted = model.predict(images)
    except ImageError as error:
        left_out.add(error.errors)
        raise CommandError(
            f"the model is saved in {saved}, but its accuracy cannot be measured: no "
            "image that was held out can be used"
        ) from error
    left_out.add(images.left_out or ())
    good = left_out.others(paths)
    return float((predicted == y[good]).mean()), len(good)
