"""Damaged and forged files, made of good ones by random changes.

All choices are drawn from a `random.Random`. Hypothesis and atheris have their own,
which they steer.
"""

from __future__ import annotations

import json
import struct
import zlib
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from skdpnet.persistence import model_file

__all__ = ["damage", "forge_entry", "forge_image", "forge_model"]

# Numbers, texts and trees that programs trip over.
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, -5, 2**31, 2**40, 2**63, 10**400, 0.5, 1e308),
    *(-1e308, "", "a", "nan", "os.system", "../../x", "x" * 5000, "\u0000", "\ud800"),
    *([], {}, [[]], [1, "a", None], {"a": 1}),
    *({"tuple": []}, {"tuple": [1, 2]}, {"dict": []}, {"dict": [[1, 2], ["a", []]]}),
    *({"float": "nan"}, {"float": "inf"}, {"float": "-inf"}, {"float": "x"}),
    *({"array": "missing"}, {"objects": ["a", "b"]}, {"objects": [1]}),
    *({"grid": [4, 4, [[1, 1]]]}, {"grid": [10**9, 10**9, [[1, 1]]]}),
    *({"grid": [1, 1, []]}, {"whitening": [1, 2]}, {"code": "print(1)"}),
)
_DTYPES = ("bool", "int8", "int64", "uint8", "uint32", "float16", "float32", "float64")
_ODD_NUMBERS = (0.0, -1.0, 1e-45, 65504.0, 1e30, 3.4e38, np.inf, -np.inf, np.nan)


def damage(content: bytes, random: Random) -> bytes:
    """Change some bytes of a file: flip, cut, insert, repeat and overwrite.

    Parameters
    ----------
    content : bytes
    random : Random

    Returns
    -------
    bytes
    """
    changed = bytearray(content)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(changed) + 1)
        if random.random() < 0.5:
            # The beginning of a file says how the rest is read.
            place = min(place, random.randrange(64))
        kind = random.randrange(6)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[place : place + 4] = struct.pack(
                random.choice("<>") + "I", random.choice((0, 1, 255, 2**31, 2**32 - 1))
            )
        elif kind == 2:
            del changed[place : place + random.randrange(1, 100)]
        elif kind == 3:
            changed[place:place] = random.randbytes(random.randrange(1, 20))
        elif kind == 4:
            changed[place:place] = changed[: random.randrange(1, 200)]
        elif random.random() < 0.2:
            del changed[place:]
    return bytes(changed)


def forge_model(content: bytes, random: Random) -> bytes:
    """Change what a model file says, and its checksum accordingly.

    Parameters
    ----------
    content : bytes
        A model file.
    random : Random

    Returns
    -------
    bytes
    """
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = load(content)
    trees = {
        key: json.loads(metadata[key])
        for key in ("parameters", "fitted", "network")
        if key in metadata
    }
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        kind = random.randrange(8)
        if kind < 5:
            key = random.choice(sorted(trees))
            trees[key] = _changed_tree(trees[key], random, 0)
        elif kind < 7 and tensors:
            name = random.choice(sorted(tensors))
            tensors[name] = _changed_array(tensors[name], random)
        else:
            key = random.choice(sorted(metadata))
            metadata[key] = random.choice(
                (
                    "",
                    "1",
                    "2",
                    "null",
                    "[" * 2000,
                    "9" * 500,
                    *sorted(metadata.values()),
                )
            )
    for key, tree in trees.items():
        metadata[key] = _text_of(tree)
    metadata.pop("checksum", None)
    metadata["checksum"] = model_file._checksum(metadata, tensors)
    try:
        return save(tensors, metadata)
    except Exception:
        # The text cannot be written, for instance because it has half a character.
        return content


def forge_entry(content: bytes, random: Random) -> bytes:
    """Change the arrays of an entry of the cache, and its checksum accordingly.

    Parameters
    ----------
    content : bytes
        A file of the cache.
    random : Random

    Returns
    -------
    bytes
    """
    entry = load(content)
    del entry["crc32"]
    for _ in range(random.randint(1, 3)):
        name = random.choice(sorted(entry) or ["array0"])
        kind = random.randrange(6)
        if kind < 4 and name in entry:
            entry[name] = _changed_array(entry[name], random)
        elif kind == 4:
            entry.pop(name, None)
        else:
            entry[f"array{len(entry)}"] = np.ones((2, 3), np.float32)
    crc = 0
    for array in entry.values():
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    if random.random() < 0.9:
        entry["crc32"] = np.array([crc], np.uint32)
    return save(entry)


def forge_image(content: bytes, random: Random) -> bytes:
    """Change the size that an image file claims, where its format is known.

    Parameters
    ----------
    content : bytes
        An image file.
    random : Random

    Returns
    -------
    bytes
    """
    sizes = (0, 1, 2, 41, 4000, 9000, 13000, 65535, 2**31 - 1)
    width, height = random.choice(sizes), random.choice(sizes)
    changed = bytearray(content)
    if content[1:4] == b"PNG":
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif content[:3] == b"GIF":
        for start in (6, content.find(b",") + 5):
            changed[start : start + 4] = struct.pack(
                "<HH", width % 65536, height % 65536
            )
    elif content[:2] == b"BM":
        changed[18:26] = struct.pack("<II", width, height)
    elif content[:2] in (b"P5", b"P6"):
        return content[:2] + f"\n{width} {height}\n255\n".encode() + content[15:]
    elif content[:2] == b"\xff\xd8":
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            start = content.find(marker) + 5
            if start > 5:
                changed[start : start + 4] = struct.pack(
                    ">HH", height % 65536, width % 65536
                )
    else:
        return damage(content, random)
    return bytes(changed)


def _changed_tree(tree: Any, random: Random, depth: int) -> Any:
    """Replace, remove, repeat or add a value somewhere in a JSON tree."""
    is_inside = isinstance(tree, (list, dict)) and len(tree) > 0
    if is_inside and (depth == 0 or random.random() < 0.75):
        keys = sorted(tree) if isinstance(tree, dict) else range(len(tree))
        key = random.choice(keys)
        kind = random.randrange(12)
        if kind == 0:
            return (
                {k: v for k, v in tree.items() if k != key}
                if isinstance(tree, dict)
                else [v for i, v in enumerate(tree) if i != key]
            )
        if kind == 1 and isinstance(tree, list):
            return tree * random.choice((2, 3, 50))
        if kind == 2:
            other = tree[random.choice(keys)]
            return (
                {**tree, key: other}
                if isinstance(tree, dict)
                else [*tree[:key], other, *tree[key:]]
            )
        changed = dict(tree) if isinstance(tree, dict) else list(tree)
        changed[key] = _changed_tree(tree[key], random, depth + 1)
        return changed
    if isinstance(tree, (int, float)) and not isinstance(tree, bool):
        return random.choice((tree + 1, -tree, tree * 1000, random.choice(_ODD_VALUES)))
    return random.choice(_ODD_VALUES)


def _changed_array(array: np.ndarray, random: Random) -> np.ndarray:
    """Change the dtype, the shape or some values of an array."""
    kind = random.randrange(5)
    if kind == 0:
        with np.errstate(all="ignore"):
            return array.astype(random.choice(_DTYPES))
    if kind == 1:
        return np.ascontiguousarray(
            array.reshape(-1)[: random.randrange(array.size + 1)]
        )
    if kind == 2:
        return np.ascontiguousarray(array[None] if random.random() < 0.5 else array.T)
    changed = array.copy()
    if changed.size:
        flat = changed.reshape(-1)
        place = random.randrange(flat.size)
        with np.errstate(all="ignore"):
            value = np.array(random.choice(_ODD_NUMBERS)).astype(changed.dtype)
        if kind == 3:
            flat[place] = value
        else:
            flat[:] = value
    return changed


def _text_of(tree: Any) -> str:
    try:
        return json.dumps(tree)
    except (ValueError, RecursionError):
        return "{}"
