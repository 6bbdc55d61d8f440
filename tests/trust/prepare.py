"""What a case does to the user's folder before its command runs."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

NAMES = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in pairwise(NAMES)
)
"""Of aliases: a billion values in a few lines."""

Prepare = Callable[[Path], None]


def wrote(name: str, content: str | bytes) -> Prepare:
    """The user's file of that name holds this."""
    encoded = content if isinstance(content, bytes) else content.encode()

    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded)

    return prepare


def pipe(name: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return prepare


def holes(name: str, size: int) -> Prepare:
    """A sparse file: it claims so many bytes and takes none."""

    def prepare(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return prepare


def in_place_of_a_file(name: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return prepare


def linked(name: str, target: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return prepare


def coco(part: str, **changes: Any) -> Prepare:
    """The first image, annotation or category of coco.json has other fields; one that is ... is missing."""

    def prepare(folder: Path) -> None:
        content = json.loads((folder / "coco.json").read_text())
        content[part][0].update(changes)
        content[part][0] = {key: value for key, value in content[part][0].items() if value is not ...}
        (folder / "coco.json").write_text(json.dumps(content))

    return prepare


def many_categories(folder: Path) -> None:
    content = {"images": [], "annotations": [], "categories": [{"id": i, "name": str(i)} for i in range(20_001)]}
    (folder / "coco.json").write_text(json.dumps(content))


def evil_module(folder: Path) -> None:
    """A module that leaves a file where it is imported, and a recipe that names it."""
    (folder / "evilmod.py").write_text("open('ran', 'w').close()\nclass E: pass\n")
    (folder / "recipe.yaml").write_text("augmentation: {class_path: evilmod.E}\n")


@cache
def png(columns: int, rows: int) -> bytes:
    """A grey PNG of that size, all black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, line = zlib.compressobj(1), bytes(1 + -(-columns // 8))
    lines = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", columns, rows, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def black(folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(png(32_000, 32_000))


def jpeg_claims(columns: int, rows: int) -> Prepare:
    """The photo's header claims another size."""

    def prepare(folder: Path) -> None:
        content = bytearray((folder / "photo.jpg").read_bytes())
        start = content.index(b"\xff\xc0")
        content[start + 5 : start + 9] = struct.pack(">HH", rows, columns)
        (folder / "photo.jpg").write_bytes(content)

    return prepare


def all_of(*steps: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def huge_everywhere(folder: Path) -> None:
    for file in (folder / "images").rglob("*.jpg"):
        file.write_bytes(png(32_000, 32_000) if file.name in ("val0.jpg", "train0.jpg") else b"")


def lying_index(folder: Path) -> None:
    """An index that fits the folder and holds something else."""
    from spikeyolo.data.open import open_data

    home = os.environ["XDG_CACHE_HOME"]
    index, _ = open_data("data.yaml").scan("val", progress=False)
    assert len(index)
    for file in [*folder.glob(".spikeyolo_cache/*.npz"), *Path(home).rglob("*.npz")]:
        with np.load(file) as stored:
            arrays = dict(stored)
        arrays["boxes"] = np.zeros((3, 1))
        np.savez(file, **arrays)


def run_of(config: str) -> Prepare:
    return wrote("run/config.yaml", config)


def tech(**changes: str) -> Prepare:
    fields = {
        "label": "x",
        "mac_pj": "1",
        "ac_pj": "1",
        "weight_bits": "8",
        "potential_bits": "8",
        "sram_pj": "null",
        "source": "x",
    }
    return wrote("tech.yaml", "mine: {" + ", ".join(f"{k}: {v}" for k, v in (fields | changes).items()) + "}\n")
