"""Measure ways from a JPEG file to the network's input, side by side.

    python -m benchmarks.speed.decoders

The package decodes by Pillow, which the format lets decode large images at a half, a
quarter or an eighth of their size, and resizes each image by torch. The others: Pillow
for both (earlier versions), one resize for all images of a batch, and torchvision's
decoder, which decodes every image at its full size; alone, and after Pillow has read
the header, as it must to know the orientation and refuse what is too large. Prints a
Markdown table and writes JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.records import RESULTS
from benchmarks.speed.host_side import write_files
from benchmarks.speed.machine import describe
from skdpnet.images.conversion import file_geometry
from skdpnet.images.files import image_in
from skdpnet.images.framing import Framing
from skdpnet.images.preprocessing import input_pixels

__all__ = ["FORMS", "main"]

_SIDE = 288
_FRAMING = Framing(_SIDE, "squash")
Form = Callable[[Sequence[bytes]], np.ndarray]


def _package(contents: Sequence[bytes]) -> np.ndarray:
    pixels = []
    for content in contents:
        with image_in(io.BytesIO(content)) as image:
            pixels.append(input_pixels(image, _FRAMING))
    return np.stack(pixels)


def _drafted(content: bytes) -> Image.Image:
    """Decode as the package does."""
    image = Image.open(io.BytesIO(content))
    image.draft(None, (2 * _SIDE, 2 * _SIDE))
    return image


def _pillow(contents: Sequence[bytes]) -> np.ndarray:
    size = _SIDE, _SIDE
    images = map(_drafted, contents)
    return np.stack(
        [np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images]
    )


def _pillow_batched(contents: Sequence[bytes]) -> np.ndarray:
    batch = np.stack([np.asarray(_drafted(content)) for content in contents])
    return _resized(torch.from_numpy(batch).permute(0, 3, 1, 2))


def _torchvision(contents: Sequence[bytes]) -> np.ndarray:
    return np.concatenate([_resized(_decoded(content)[None]) for content in contents])


def _torchvision_checked(contents: Sequence[bytes]) -> np.ndarray:
    for content in contents:
        with image_in(io.BytesIO(content)) as image:
            file_geometry(image)
    return _torchvision(contents)


def _torchvision_batched(contents: Sequence[bytes]) -> np.ndarray:
    # Stacked as they lie in memory, with the channels last.
    decoded = [_decoded(content).permute(1, 2, 0) for content in contents]
    return _resized(torch.stack(decoded).permute(0, 3, 1, 2))


def _decoded(content: bytes) -> torch.Tensor:
    # A copy, because torch warns about memory that it cannot write.
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_jpeg(data, mode=ImageReadMode.RGB)


def _resized(images: torch.Tensor) -> np.ndarray:
    """Resize uint8 images n×3×H×W, of channels-last layout."""
    if images.shape[2:] != (_SIDE, _SIDE):
        images = torch.nn.functional.interpolate(
            images, (_SIDE, _SIDE), mode="bicubic", antialias=True
        )
    return images.permute(0, 2, 3, 1).numpy()


# From the contents of square JPEG files of one size to n×S×S×3.
FORMS: dict[str, Form] = {
    "the package: Pillow, resized one by one by torch": _package,
    "Pillow, resized one by one by Pillow": _pillow,
    "Pillow, resized as a batch by torch": _pillow_batched,
    "torchvision, resized one by one by torch": _torchvision,
    "the same, after Pillow has read the header": _torchvision_checked,
    "torchvision, resized as a batch by torch": _torchvision_batched,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the table.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default that of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.decoders", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[288, 500, 2000])
    parser.add_argument("--images", type=int, default=32, metavar="N", help="a batch")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS / "speed_decoders.json")
    args = parser.parse_args(arguments)

    # The threads that decode are those of the pool alone.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = _measure(args.sides, args.threads, args.images, args.repeats)
    finally:
        torch.set_num_threads(n_threads)
    machine = describe(torch.device("cpu"))
    result = {"images": args.images, "environment": machine, "rows": rows}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    args.output.write_text(text + "\n", encoding="utf-8")
    _print_table(rows)


def _measure(
    sides: Sequence[int], threads: Sequence[int], n_images: int, repeats: int
) -> list[dict]:
    """Measure all forms in turn, in milliseconds an image."""
    rows = []
    for side in sides:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_files(Path(folder), side, n_images)
            contents = [Path(path).read_bytes() for path in paths]
        package = _package(contents).astype(int)
        for n_threads in threads:
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMS}
            with ThreadPoolExecutor(n_threads) as pool:
                for repeat in range(repeats + 1):
                    for name, form in FORMS.items():
                        wall, processor = _timed(pool, form, contents, n_threads)
                        # Libraries allocate some memory only once.
                        if repeat:
                            scale = 1000 / n_images
                            runs[name].append((scale * wall, scale * processor))
            for name, times in runs.items():
                difference = np.abs(FORMS[name](contents).astype(int) - package)
                rows.append(
                    {
                        "form": name,
                        "side": side,
                        "threads": n_threads,
                        "milliseconds": [wall for wall, _ in times],
                        "processor_milliseconds": [processor for _, processor in times],
                        "mean_difference": float(difference.mean()),
                    }
                )
    return rows


def _timed(
    pool: ThreadPoolExecutor, form: Form, contents: Sequence[bytes], n_threads: int
) -> tuple[float, float]:
    """Return the seconds in which threads prepare a share of a batch each.

    Those of the processor come second, which other processes hardly change.
    """
    shares = [contents[i::n_threads] for i in range(n_threads)]
    wall, processor = time.perf_counter(), time.process_time()
    list(pool.map(form, shares))
    return time.perf_counter() - wall, time.process_time() - processor


def _print_table(rows: Sequence[dict]) -> None:
    columns = sorted({(row["side"], row["threads"]) for row in rows})
    heads = [f"{side} px, {threads} threads" for side, threads in columns]
    print(f"| ms an image, and of processor time | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * len(columns))
    for name in FORMS:
        cells = [
            f"{statistics.median(row['milliseconds']):.2f}, "
            f"{statistics.median(row['processor_milliseconds']):.2f}"
            for column in columns
            for row in rows
            if (row["form"], row["side"], row["threads"]) == (name, *column)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
