"""Settings for fine-grained photographs, one change a line: accuracy and meaning."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.explanations.__main__ import result_of, run
from benchmarks.explanations.image_sets import photographs
from benchmarks.explanations.options import check_positive
from benchmarks.explanations.table import COLUMNS, markdown
from benchmarks.explanations.trials import DPNET, GRAD_CAM, TWO_STAGE, Trial
from benchmarks.records import RESULTS
from skdpnet.images.framing import Framing

__all__ = ["FORMER", "LADDER", "main"]

# The defaults of versions that saw the centred square alone.
FORMER = {
    "strides": (16, 32),
    "region_scales": (0.15, 0.3, 0.45),
    "n_parts_per_class": 20,
    "foreground": None,
    "annealed_share": 0.0,
    "context": False,
    "specificity_weight": 0.0,
    "max_epochs": 10,
}
_CROP, _SMALL, _DEFAULT = (
    Framing(*shape) for shape in ((224, "crop"), (224, "aspect"), (IMAGE_SIZE, FRAMING))
)
# What the network sees, and what is measured of it: the defaults, and then one change
# from them a line.
LADDER: list[tuple[Framing, Trial]] = [
    (_CROP, Trial(GRAD_CAM, "", {})),
    (_CROP, Trial(TWO_STAGE, "", {})),
    (_CROP, Trial(DPNET, "", FORMER)),
    (_CROP, Trial(DPNET, "CS", {})),
    (_SMALL, Trial(GRAD_CAM, "", {})),
    (_SMALL, Trial(DPNET, "CS", {})),
    (_DEFAULT, Trial(GRAD_CAM, "", {})),
    (_DEFAULT, Trial(TWO_STAGE, "", {})),
    (_DEFAULT, Trial(DPNET, "", FORMER)),
    (_DEFAULT, Trial(DPNET, "CS", {})),
    *(
        (_DEFAULT, Trial(DPNET, "CS", changes))
        for changes in (
            {"max_epochs": 0},
            {"max_epochs": 10},
            {"annealed_share": 0.0},
            {"foreground": None},
            {"foreground": 1.0},
            {"foreground": 1.3},
            {"context": False},
            {"region_scales": (0.15, 0.3, 0.45)},
            {"n_parts_per_class": 20},
            {"strides": (16, 32, "last")},
            {"positive": True},
        )
    ),
    (_DEFAULT, Trial(DPNET, "C", {"specificity_weight": 0.0})),
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
        check_positive(parser, args, ("n_perturbed",))
        framings = dict.fromkeys(framing for framing, _ in LADDER)
        try:
            sets = [
                {framing: photographs(folder, framing) for framing in framings}
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
