"""``explain``: which parts decided an image's class, as a figure and in numbers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import (
    check_output,
    draw_without_screen,
    label_of,
    load_classifier,
    save_figure,
    show,
)
from skdpnet.cli.options import add_command, add_common_options, whole_number
from skdpnet.cli.predict import check_no_folder

if TYPE_CHECKING:
    from skdpnet.display import ExplanationDisplay

__all__ = ["add_parser"]

_DETAILS = """\
Draws the image with the parts that speak for the class, and prints the
contribution of each part to the score of the class.

The score is the sum of the contributions of all parts, and the bias. With
--against it is the difference between the scores of the two classes. Boxes are
left, top, right, bottom in pixels of the image as a viewer shows it.

--json: {path, predicted, class, against, score, bias, parts, other_parts,
output}; parts is a list of {name, contribution, response, box}, the largest
contribution first; other_parts is the sum of the contributions of all other
parts.
"""
_EXAMPLES = """\
explain flowers.skdpnet rose.jpg -o why.png
explain flowers.skdpnet rose.jpg -o why.pdf --against tulip
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands,
        "explain",
        "show which parts decided the class of an image",
        _DETAILS,
        _EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="model file that `fit` wrote")
    parser.add_argument("image", metavar="IMAGE", help="image file")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=os.path.expanduser,
        metavar="FILE",
        help="file for the figure; its suffix sets the format: .png, .pdf, .svg, .jpg, "
        "...",
    )
    parser.add_argument(
        "--class",
        dest="class_",
        metavar="NAME",
        help="class to explain (default: the predicted class)",
    )
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="explain the difference from the score of this class",
    )
    parser.add_argument(
        "--parts",
        type=whole_number(1),
        default=5,
        metavar="N",
        help="show at most N parts (default: 5)",
    )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    check_output(args.output)
    _check_format(args.output)
    check_no_folder([args.image])
    from skdpnet.images.collection import as_images

    as_images([args.image]).check()
    # A progress bar over a single image is useless.
    model = load_classifier(args, args.memory).set_params(verbose=0)
    class_ = None if args.class_ is None else label_of(model, args.class_)
    against = None if args.against is None else label_of(model, args.against)

    from skdpnet.display import ExplanationDisplay

    display = ExplanationDisplay.from_estimator(
        model, args.image, class_, against=against, n_parts=args.parts
    ).plot()
    save_figure(display.figure_, args.output)
    document = _document(display, args)
    show(args, document, _lines(document, display.summands))


def _check_format(path: str) -> None:
    """Check that figures can be written in the format that a file's suffix names."""
    draw_without_screen()
    from matplotlib.backend_bases import FigureCanvasBase

    # PGF is left out because it needs a TeX installation.
    suffixes = sorted({*FigureCanvasBase.get_supported_filetypes()} - {"pgf"})
    suffix = os.path.splitext(path)[1]
    if suffix[1:].lower() not in suffixes:
        has = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise CommandError(
            f"{path} has {has}, but figures are written as {', '.join(suffixes)}: "
            "give the file one of these suffixes"
        )


def _document(display: ExplanationDisplay, args: argparse.Namespace) -> dict[str, Any]:
    why, shown = display.explanation, display.parts
    parts = [
        {
            "name": str(why.part_names[p]),
            "contribution": float(why.contributions[p]),
            "response": float(why.responses[p]),
            "box": why.boxes[p].tolist(),
        }
        for p in shown
    ]
    return {
        "path": args.image,
        "predicted": why.predicted,
        "class": why.explained,
        "against": why.against,
        "score": why.score,
        "bias": why.bias,
        "parts": parts,
        "other_parts": float(why.contributions.sum() - why.contributions[shown].sum()),
        "output": args.output,
    }


def _lines(
    document: dict[str, Any], summands: Sequence[tuple[str, float]]
) -> list[str]:
    explained = str(document["class"])
    if document["against"] is not None:
        explained += f" rather than {document['against']}"
    lines = [
        f"Predicted: {document['predicted']}",
        f"Score of {explained}: {document['score']:+.2f}, the sum of",
    ]
    width = max(len(name) for name, _ in summands)
    parts = document["parts"]
    for i, (name, contribution) in enumerate(summands):
        line = f"{contribution:+8.2f}  {name:{width}}"
        if i < len(parts):
            box = " ".join(f"{edge:.0f}" for edge in parts[i]["box"])
            line += f"  response {parts[i]['response']:.2f}  box {box}"
        lines.append(line.rstrip())
    return [*lines, f"Figure: {document['output']}"]
