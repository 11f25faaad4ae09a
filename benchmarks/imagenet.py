"""How long learning takes at ImageNet's size: 1,000 classes, 10,000 parts.

    python benchmarks/imagenet.py

Made maps of the embedded backbone's shapes stand for pictures: what is measured is the
first and the next call of `partial_fit`, whose times do not depend on what maps show.
Prints seconds and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from speed_machine import describe
from speed_timing import status_bytes

from skdpnet import DPNetTransformer

# Height, width and channels of the maps of stride 16 and 32 at 224 pixels.
SHAPES = ((14, 14, 112), (7, 7, 1280))
N_CLASSES = 1000


def made_maps(n: int, seed: int) -> np.ndarray:
    """Draw maps (n,), structured as `FeatureMaps` gives them.

    Parameters
    ----------
    n : int
    seed : int

    Returns
    -------
    structured ndarray of shape (n,)
    """
    random = np.random.default_rng(seed)
    fields = [(f"map{i}", np.float16, shape) for i, shape in enumerate(SHAPES)]
    maps = np.empty(n, fields)
    for name, _, shape in fields:
        maps[name] = np.abs(random.standard_normal((n, *shape), np.float32))
    return maps


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2 * N_CLASSES)
    parser.add_argument("--output", default="benchmarks/results/imagenet.json")
    options = parser.parse_args()
    n = options.pictures
    y = np.arange(n) % N_CLASSES
    model = DPNetTransformer("precomputed", n_parts_per_class=10, random_state=0)
    told: dict = {"machine": describe(torch.device("cpu")), "pictures_a_call": n}
    for call, seed in (("first_call_s", 0), ("next_call_s", 1)):
        maps = made_maps(n, seed)
        seconds = -time.perf_counter()
        model.partial_fit(maps, y)
        told[call] = round(seconds + time.perf_counter(), 1)
        print(call, told[call], flush=True)
    seconds = -time.perf_counter()
    model.transform(maps)
    told["transform_s"] = round(seconds + time.perf_counter(), 1)
    told["peak_gib"] = round(status_bytes("VmHWM") / 2**30, 2)
    told["map_bytes_a_picture"] = maps.dtype.itemsize
    print(told)
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
