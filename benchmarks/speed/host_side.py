"""Measure what the processor does beside the network.

    python -m benchmarks.speed.host_side

A function that returns ready maps takes the place of the network: what remains is
decoding, batching, and, for `transform`, the descriptors. On a GPU the network's own
time would go on beside it, so this is what bounds the rate there. Prints a Markdown
table and writes JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image
from sklearn.base import clone

from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from skdpnet import DPNetTransformer, FeatureMaps

__all__ = ["main", "write_files"]

_CPU = torch.device("cpu")
_SIDE = 288
_N_CLASSES, _PARTS_PER_CLASS = 8, 125


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.host_side", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--images", type=int, default=256, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed_host.json")
    args = parser.parse_args(arguments)

    torch.manual_seed(0)
    shapes = (112, _SIDE // 16, _SIDE // 16), (320, _SIDE // 32, _SIDE // 32)
    ready = [torch.rand(64, *shape) for shape in shapes]

    def stub(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(maps[: len(images)] for maps in ready)

    random = np.random.default_rng(0)
    arrays = random.integers(0, 256, (args.images, _SIDE, _SIDE, 3), dtype=np.uint8)
    extractor = FeatureMaps(stub, image_size=_SIDE)
    described = DPNetTransformer(
        stub,
        image_size=_SIDE,
        n_parts_per_class=_PARTS_PER_CLASS,
        annealed_share=0,
        max_epochs=0,
        random_state=0,
    ).fit(arrays[:64], np.arange(64) % _N_CLASSES)
    maps = extractor.fit_transform(arrays)
    given = clone(described).set_params(backbone="precomputed")
    given.fit(maps[:64], np.arange(64) % _N_CLASSES)

    with tempfile.TemporaryDirectory() as folder:
        inputs: dict[str, Sequence] = {"arrays": arrays}
        for side in (_SIDE, 500, 2000):
            files = write_files(Path(folder), side, args.images)
            inputs[f"JPEG files, {side} px"] = files
        runs: dict[str, Callable[[], object]] = {}
        for name, X in inputs.items():
            runs[f"{name}: to the network"] = lambda X=X: sum(
                len(batch[0]) for batch in extractor.iter_tensors(X)
            )
            runs[f"{name}: transform"] = lambda X=X: described.transform(X)
        runs["given maps: transform"] = lambda: given.transform(maps)
        for run in runs.values():
            run()
        rows = [
            {"what": name, "runs": [_timed(run) for _ in range(args.repeats)]}
            for name, run in runs.items()
        ]
    result = {"images": args.images, "environment": describe(_CPU), "rows": rows}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    args.output.write_text(text + "\n", encoding="utf-8")
    print("| | images/s | ms of processor time an image |")
    print("| --- | ---: | ---: |")
    for row in rows:
        seconds, processor = (
            statistics.median(run[key] for run in row["runs"])
            for key in ("seconds", "processor_seconds")
        )
        milliseconds = 1000 * processor / args.images
        print(f"| {row['what']} | {args.images / seconds:,.0f} | {milliseconds:.2f} |")


def write_files(folder: Path, side: int, n: int) -> list[str]:
    """Write JPEG files of crops of photographs.

    Parameters
    ----------
    folder : Path
    side : int
        Side of the square images, in pixels.
    n : int
        Number of files.

    Returns
    -------
    list of str
        Their paths.
    """
    photographs = [
        Image.fromarray(getattr(skimage.data, name)()) for name in ("coffee", "chelsea")
    ]
    paths = []
    for i in range(n):
        photograph = photographs[i % 2]
        crop = photograph.crop((i % 50, i % 30, 250 + i % 50, 250 + i % 30))
        content = io.BytesIO()
        crop.resize((side, side)).save(content, "JPEG", quality=90)
        paths.append(str(folder / f"{side}_{i}.jpg"))
        Path(paths[-1]).write_bytes(content.getvalue())
    return paths


def _timed(run: Callable[[], object]) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
    }


if __name__ == "__main__":
    main()
