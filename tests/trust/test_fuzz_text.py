"""Thousands of damaged files for each reader of text and images: a result or one line, soon and in little memory.

The short form is in the suite; the long one (`pytest -m long`) tries 10,000 files a format.
"""

from __future__ import annotations

import io
import json
import random
import resource
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.images import write_image

from spikeyolo.data.images.inspect_file import inspect_image, quiet_decoders
from spikeyolo.data.open import open_data
from spikeyolo.errors import SpikeYOLOError
from spikeyolo.evaluation.ground_truth import GroundTruth
from spikeyolo.imaging.io import read_rgb
from spikeyolo.metering.technology import read_technologies
from spikeyolo.training.settings import TrainSettings, read_settings

SHORT, LONG = 150, 10_000
SECONDS, MEGABYTES = 2.0, 500

WORDS = (
    *(
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        ", ",
        "? ",
        "&a ",
        "*a",
        "<<: *a",
        "!!python/name:os.system ",
        "!!int ",
        "!!set ",
    ),
    *("\n", "\n  ", "\t", '"', "'", "|", ">", "#", "%", "---\n", "...\n", "\0", "\x1b[31m", "\ufeff", "\ud83d"),
    *("null", "true", "~", ".inf", ".nan", "NaN", "Infinity", "1e400", "-1", "0x", "1:2:3", "2024-13-45", "9" * 5000),
    *("../../etc/passwd", "/dev/zero", "x" * 5000, "[" * 2000, "{a: " * 500, "\\ud83d", "\\u0000"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**30, 10**400, 0.5, 1e300, float("inf"), float("nan"), "", "x", "1", "a\0b"),
    *("\ud83d", "../x", "/dev/zero", [], [1], [[[]]], {}, {"a": 1}, "x" * 5000, [0] * 5),
)


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to four bytes changed, removed, or doubled, or the file cut."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(found):
            found[place] = rng.randrange(256)
        elif kind == 1:
            del found[place : place + rng.randint(1, 20)]
        elif kind == 2:
            found[place:place] = found[place : place + rng.randint(1, 200)]
        elif kind == 3:
            found[place:place] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
        elif rng.random() < 0.2:
            del found[place:]
    return bytes(found)


def damaged_values(content: Any, rng: random.Random) -> Any:
    """A copy of plain values in which one, anywhere, has become another."""
    if isinstance(content, dict | list) and content and rng.random() < 0.9:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = rng.choice(list(keys))
        copy = dict(content) if isinstance(content, dict) else list(content)
        if rng.random() < 0.05:
            del copy[key]
        else:
            copy[key] = damaged_values(content[key], rng)
        return copy
    return rng.choice(VALUES)


class Folder:
    """A data set of images with every file that is read, and a way to read each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("train/a", "train/b", "val/c"):
            write_image(root / f"images/{name}.png", 8, 12, value=90)
            label = root / f"labels/{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.4 0.4\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n")
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 4.5], "area": 20, "iscrowd": 0}
        self.coco = {
            "images": [{"id": 1, "file_name": "images/val/c.png", "width": 12, "height": 8}],
            "annotations": [box, {**box, "id": 2, "category_id": 2, "segmentation": [[1, 1, 2, 2, 1, 2]]}],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        self.yaml = b"path: .\ntrain: [images/train]\nval: images/val\nnc: 2\nnames:\n  0: &a cat\n  1: dog\n"
        (root / "data.yaml").write_bytes(self.yaml)
        self.settings = TrainSettings(data="data.yaml", model="t", patience=3, freeze=["backbone"]).to_yaml().encode()
        technology = Path(read_technologies.__code__.co_filename).with_name("technologies.yaml")
        self.technologies = technology.read_bytes()
        self.photos = [(root / "images/val/c.png").read_bytes()]
        write_image(root / "photo.jpg", 16, 24)
        self.photos.append((root / "photo.jpg").read_bytes())

    def descriptions(self, rng: random.Random) -> None:
        (self.root / "data.yaml").write_bytes(damaged_bytes(self.yaml, rng))
        data = open_data(self.root / "data.yaml")
        data.scan("val", cache=False, progress=False)

    def annotations(self, rng: random.Random) -> None:
        if rng.random() < 0.3:
            content = damaged_bytes(json.dumps(self.coco).encode(), rng)
        else:
            values: Any = self.coco
            for _ in range(rng.randint(1, 3)):
                values = damaged_values(values, rng)
            content = json.dumps(values).encode()
        (self.root / "coco.json").write_bytes(content)
        index, report = open_data(self.root / "coco.json").scan("val", cache=False, progress=False)
        report.raise_if_unusable()
        GroundTruth.from_coco(index.ground_truth())

    def labels(self, rng: random.Random) -> None:
        file = self.root / "labels/val/c.txt"
        file.write_bytes(
            damaged_bytes(b"0 0.5 0.5 0.4 0.4\n1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n0 1e2 nan inf -3\n", rng)
        )
        index, _ = open_data(self.root / "data.yaml").scan("val", cache=False, progress=False)
        assert np.isfinite(index.boxes).all()
        assert set(index.labels.tolist()) <= {0, 1}

    def configs(self, rng: random.Random) -> None:
        (self.root / "config.yaml").write_bytes(damaged_bytes(self.settings, rng))
        read_settings(self.root / "config.yaml")

    def costs(self, rng: random.Random) -> None:
        (self.root / "tech.yaml").write_bytes(damaged_bytes(self.technologies[: rng.randint(500, 2000)], rng))
        for technology in read_technologies(self.root / "tech.yaml").values():
            if technology.sram_pj is not None:
                assert technology.access_pj(8, 10_000) < 1e30

    def images(self, rng: random.Random) -> None:
        content = bytearray(rng.choice(self.photos))
        if content.startswith(b"\x89PNG") and rng.random() < 0.5:  # another header, its checksum right
            content[16 + rng.randrange(13)] = rng.randrange(256)
            content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        else:
            content = bytearray(damaged_bytes(bytes(content), rng))
        (self.root / "damaged.jpg").write_bytes(content)
        with quiet_decoders():
            size_hw, findings = inspect_image(str(self.root / "damaged.jpg"))
            assert size_hw is not None or findings
            read_rgb(self.root / "damaged.jpg", reduce=rng.choice((1, 8)))

    def indices(self, rng: random.Random) -> None:
        data = open_data(self.root / "data.yaml")
        first, _ = data.scan("train", progress=False)
        (file,) = (self.root / ".spikeyolo_cache").glob("*-train.npz")
        content = file.read_bytes()
        if rng.random() < 0.5:
            file.write_bytes(damaged_bytes(content, rng))
        else:
            with np.load(io.BytesIO(content)) as stored:
                arrays = dict(stored)
            meta = json.loads(arrays.pop("meta").tobytes())
            if rng.random() < 0.5:
                name = rng.choice(list(arrays))
                changes = (lambda a: a[:-1], lambda a: a.astype(object), lambda a: a * 0 - 1, lambda a: a.ravel()[:0])
                arrays[name] = rng.choice(changes)(arrays[name])
            else:
                damaged = damaged_values(meta, rng)
                meta = {**damaged, "signature": meta["signature"]} if isinstance(damaged, dict) else damaged
            np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
        found, report = data.scan("train", progress=False)
        report.raise_if_unusable()
        report.table()
        assert found.paths == first.paths
        for number in range(len(found)):
            found.objects(number)
        GroundTruth.from_coco(found.ground_truth())
        file.write_bytes(content)


FORMATS = ("descriptions", "annotations", "labels", "configs", "costs", "images", "indices")


def attempt(read: Callable[[random.Random], None], seed: str) -> tuple[str, float]:
    """Read one damaged file; return what came of it, and the seconds it took."""
    start = time.process_time()
    try:
        read(random.Random(seed))
        said = ""
    except SpikeYOLOError as error:
        said = str(error)
        assert len(said) < 700, (seed, len(said), said[:300])
    return said, time.process_time() - start


def try_many(folder: Path, name: str, count: int) -> str:
    """Read so many damaged files of a format; return the figures."""
    read, refused, slowest = getattr(Folder(folder), name), 0, 0.0
    attempt(read, "warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        try:
            said, seconds = attempt(read, f"{name} {number}")
        except Exception as error:
            raise AssertionError(f"{name} {number}: {type(error).__name__}: {error}") from error
        refused, slowest = refused + bool(said), max(slowest, seconds)
        assert seconds < SECONDS, (name, number, seconds)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES
    return f"{name}: {count} files, {refused} refused, the slowest {slowest:.2f} s, {grown:.0f} MB more than before"


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(tmp_path, name):
    try_many(tmp_path, name, SHORT)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_damaged_files(tmp_path, name):
    print(try_many(tmp_path, name, LONG))
