"""Settings for fine-grained photographs, one change a line: accuracy and meaning."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.explanations.__main__ import result_of, run
from benchmarks.explanations.image_sets import photographs
from benchmarks.explanations.options import check_positive
from benchmarks.explanations.table import COLUMNS, markdown
from benchmarks.explanations.trials import DPNET, GRAD_CAM, TWO_STAGE, Trial
from benchmarks.records import RESULTS
from skdpnet.images.framing import Framing

__all__ = ["LADDER", "RECOMMENDED", "main"]

_PLACED = {"n_parts_per_class": 10, "foreground": 1.3}
# What docs/settings.md recommends, with framing "aspect".
RECOMMENDED = {
    "strides": (16, 32, "last"),
    "n_parts_per_class": 12,
    "foreground": 1.3,
    "annealed_share": 1.0,
    "context": True,
    "specificity_weight": 0.1,
}
# What the network sees, and what is measured of it. Each line has one change from the
# line before it, or from the line that its name ends like.
LADDER: list[tuple[str, Trial]] = [
    ("crop", Trial(GRAD_CAM, "", {})),
    ("crop", Trial(TWO_STAGE, "", {})),
    ("crop", Trial(DPNET, "", {})),
    ("aspect", Trial(GRAD_CAM, "", {})),
    ("aspect", Trial(TWO_STAGE, "", {})),
    ("aspect", Trial(DPNET, "", {})),
    ("aspect", Trial(DPNET, "", {"n_parts_per_class": 10})),
    ("aspect", Trial(DPNET, "", _PLACED)),
    ("aspect", Trial(DPNET, "", {**_PLACED, "annealed_share": 0.5})),
    ("aspect", Trial(DPNET, "", {**_PLACED, "annealed_share": 1.0})),
    (
        "aspect",
        Trial(DPNET, "", {**_PLACED, "annealed_share": 1.0, "max_epochs": 0}),
    ),
    (
        "aspect",
        Trial(DPNET, "", {**_PLACED, "annealed_share": 1.0, "positive": True}),
    ),
    ("crop", Trial(DPNET, "", {**_PLACED, "annealed_share": 1.0})),
    (
        "aspect",
        Trial(
            DPNET, "CS", {**_PLACED, "annealed_share": 1.0, "specificity_weight": 0.1}
        ),
    ),
    ("aspect", Trial(DPNET, "CS", RECOMMENDED)),
]
_SHOWN = (
    *("accuracy", "inside", "purity", "consistency", "stability"),
    *("present", "parts of 80 %", "keep", "redundancy"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if not args.table:
        if not args.data or not args.lines:
            parser.error("give --data and --lines, or --table alone")
        check_positive(parser, args, ("image_size", "n_perturbed"))
        framings = dict.fromkeys(framing for framing, _ in LADDER)
        try:
            sets = [
                {
                    framing: photographs(folder, Framing(args.image_size, framing))
                    for framing in framings
                }
                for folder in args.data
            ]
        except (OSError, ValueError) as error:
            parser.error(str(error))
        args.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            memory = args.memory or Path(temporary)
            for by_framing in sets:
                for framing, trial in LADDER:
                    lines = run(
                        [by_framing[framing]],
                        [trial],
                        args.seeds,
                        n_perturbed=args.n_perturbed,
                        n_steps=1,
                        memory=memory,
                        lines=args.lines,
                    )
        text = json.dumps(result_of(lines), indent=1, ensure_ascii=False)
        args.output.write_text(text + "\n", encoding="utf-8")
    elif not args.output.is_file():
        parser.error(f"there is no file {args.output}")
    rows = json.loads(args.output.read_text(encoding="utf-8"))["rows"]
    print(markdown(rows, {name: COLUMNS[name] for name in _SHOWN}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations.fine_grained",
        description=__doc__.splitlines()[0],
    )
    add = parser.add_argument
    add(
        "--data",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a folder with class folders in train and test, or CUB-200-2011 as its "
        "owners ship it",
    )
    add("--image-size", type=int, default=224, metavar="N")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    add(
        "--n-perturbed",
        type=int,
        default=40,
        metavar="N",
        help="number of test images that noise is added to (default: %(default)s)",
    )
    add("--memory", type=Path, metavar="DIR", help="folder that keeps the feature maps")
    add("--lines", type=Path, metavar="JSONL", help="file with a line per model")
    add("--output", type=Path, default=RESULTS / "fine_grained.json")
    add("--table", action="store_true", help="only print the table of --output")
    return parser


if __name__ == "__main__":
    main()
