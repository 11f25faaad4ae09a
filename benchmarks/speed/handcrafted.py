"""Measure maps without a network, dense SIFT and HOG, beside the default network.

    OMP_NUM_THREADS=1 python -m benchmarks.speed.handcrafted

Every backbone computes the maps of the same crops of photographs, in turn, on a thread
of the processor. Times are those of the processor, which other processes hardly change.
Dense SIFT is measured for each bin size and step with the Gaussian and with the flat
window, with how alike their descriptors are. Prints Markdown tables and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from benchmarks.records import RESULTS
from benchmarks.speed.machine import describe
from skdpnet.backbones import HOG, DenseSIFT
from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.backbones.loading import load_backbone

__all__ = ["main"]

_SIDE = 224
_PHOTOGRAPHS = ("chelsea", "coffee", "astronaut", "rocket")
_BIN_SIZES, _STEPS, _WINDOWS = (4, 6, 8, 10), (4, 8), ("gaussian", "flat")
_CPU = torch.device("cpu")
Network = Callable[[torch.Tensor], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the results and print the tables.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS / "handcrafted.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    images = _normalised_photographs()
    with torch.no_grad():
        backbones = _measure(_backbones(), images, options.repeats)
        windows = [
            {
                "bin_size": bin_size,
                "step": step,
                "milliseconds": _measure(of_windows, images, options.repeats),
                "mean_cosine": _mean_cosine(of_windows, images),
            }
            for step in _STEPS
            for bin_size in _BIN_SIZES
            for of_windows in [_sift_of_windows(bin_size, step)]
        ]
    results = {
        "machine": describe(_CPU),
        "side": _SIDE,
        "images": len(images),
        "backbones": backbones,
        "windows": windows,
    }
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _print_tables(backbones, windows)


def _normalised_photographs() -> torch.Tensor:
    """Return photographs as a backbone's module gets them, (N, 3, S, S)."""
    crops = []
    for name in _PHOTOGRAPHS:
        image = Image.fromarray(getattr(skimage.data, name)())
        crops.append(np.asarray(image.resize((_SIDE, _SIDE)), np.float32) / 255)
    x = (np.stack(crops) - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()


def _backbones() -> dict[str, Network]:
    """Return the backbones of default settings, SIFT also with the flat window."""
    named = {
        name: load_backbone(name, _SIDE, _CPU).network
        for name in ("efficientnet_lite0", "dense_sift", "hog")
    }
    named["dense_sift, flat window"] = DenseSIFT(window="flat")
    named["hog, cells of 4 pixels"] = HOG(cell_size=4)
    return named


def _sift_of_windows(bin_size: float, step: int) -> dict[str, Network]:
    return {
        window: DenseSIFT(bin_sizes=[bin_size], step=step, window=window)
        for window in _WINDOWS
    }


def _measure(
    networks: Mapping[str, Network], images: torch.Tensor, repeats: int
) -> dict[str, list[float]]:
    """Return milliseconds of the processor for an image, in each of the rounds."""
    milliseconds: dict[str, list[float]] = {name: [] for name in networks}
    for repeat in range(repeats + 1):
        for name, network in networks.items():
            start = time.process_time()
            network(images)
            seconds = time.process_time() - start
            # Libraries prepare some things only once.
            if repeat:
                milliseconds[name].append(1000 * seconds / len(images))
    return milliseconds


def _mean_cosine(of_windows: Mapping[str, Network], images: torch.Tensor) -> float:
    """Return the mean cosine of descriptors that are zero for no window."""
    exact, flat = (of_windows[window](images)[0] for window in _WINDOWS)
    cosines = torch.nn.functional.cosine_similarity(exact, flat, dim=1)
    return float(cosines[exact.any(1) & flat.any(1)].mean())


def _print_tables(backbones: Mapping[str, list[float]], windows: list[dict]) -> None:
    print("| backbone | ms an image |\n| --- | ---: |")
    for name, milliseconds in backbones.items():
        print(f"| {name} | {statistics.median(milliseconds):.1f} |")
    print("\n| bin size | step | Gaussian, ms | flat, ms | ratio | mean cosine |")
    print("| ---: |" + " ---: |" * 5)
    for row in windows:
        exact, flat = (row["milliseconds"][window] for window in _WINDOWS)
        ratio = statistics.median(a / b for a, b in zip(exact, flat, strict=True))
        print(
            f"| {row['bin_size']} | {row['step']} | {statistics.median(exact):.1f} | "
            f"{statistics.median(flat):.1f} | {ratio:.2f} | {row['mean_cosine']:.4f} |"
        )


if __name__ == "__main__":
    main()
