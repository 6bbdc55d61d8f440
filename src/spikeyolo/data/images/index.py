"""The images and boxes of one split in columns, and its copy on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .description import Description, read_coco_json
from .report import Finding, Report

INDEX_VERSION = 1  # raised whenever what a scan finds or how it is stored changes
CACHE_FOLDER = ".spikeyolo_cache"
ARRAYS = ("sizes_hw", "starts", "boxes", "labels", "crowd")
TUPLES = ("names", "paths", "image_ids", "category_ids")


@dataclass(frozen=True)
class Index:
    """P images and N boxes.

    Attributes:
        names: class names by class index.
        paths: P image files.
        image_ids: P ids: COCO's integers, or the paths.
        sizes_hw: (P, 2) int64, rows and columns of the upright image.
        starts: (P + 1,) int64, the boxes of image i are rows starts[i]..starts[i + 1].
        boxes: (N, 4) float64 xyxy in pixels of the upright image, crowds too.
        labels: (N,) int64 class indices.
        crowd: (N,) bool.
        annotation_file: the COCO JSON the boxes came from, or "".
        category_ids: the file's id for each class (YOLO: 1, 2, ...).
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    image_ids: tuple[int | str, ...]
    sizes_hw: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    annotation_file: str
    category_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def objects(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        """The boxes (n, 4) float32 and labels (n,) int64 of one image that training uses: no crowds."""
        rows = slice(self.starts[image], self.starts[image + 1])
        single = ~self.crowd[rows]
        return self.boxes[rows][single].astype(np.float32), self.labels[rows][single]

    def ground_truth(self) -> dict[str, Any]:
        """A COCO dictionary to evaluate against.

        From COCO data it is the annotation file itself: original image and category ids, crowds, areas, nothing mended.
        From YOLO data it is built here: image i has id i + 1 (and its path as `file_name`), class c the category id
        c + 1, annotation ids start at 1.
        """
        if self.annotation_file:
            return read_coco_json(Path(self.annotation_file))
        image_of = np.repeat(np.arange(len(self)), np.diff(self.starts))
        xywh = np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1)
        return {
            "images": [
                {"id": i + 1, "file_name": path, "height": int(rows), "width": int(columns)}
                for i, (path, (rows, columns)) in enumerate(zip(self.paths, self.sizes_hw, strict=True))
            ],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": int(image_of[row]) + 1,
                    "category_id": self.category_ids[self.labels[row]],
                    "bbox": xywh[row].tolist(),
                    "area": float(xywh[row, 2] * xywh[row, 3]),
                    "iscrowd": int(self.crowd[row]),
                }
                for row in range(len(self.boxes))
            ],
            "categories": [{"id": i, "name": name} for i, name in zip(self.category_ids, self.names, strict=True)],
        }


def signature(description: Description, split: str, files: list[tuple[str, int, int]]) -> str:
    """What the index depends on: our version, the names, and path, size and time of change (ns) of each file."""
    content = json.dumps([INDEX_VERSION, description.names, split, files])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def cache_file(description: Description, split: str) -> Path:
    """Where the index is kept: beside the description if that folder can be written, else in the user's cache."""
    file = description.file.resolve()
    # The mode is asked too: the superuser may write anywhere, and should not into what someone locked.
    if os.access(file.parent, os.W_OK) and file.parent.stat().st_mode & 0o222:
        return file.parent / CACHE_FOLDER / f"{file.name}-{split}.npz"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikeyolo"
    return folder / f"{hashlib.blake2b(str(file).encode(), digest_size=8).hexdigest()}-{split}.npz"


def save_index(file: Path, index: Index, report: Report, sign: str) -> None:
    """Writes beside and renames; a folder that cannot be written or a full disk only costs the next start its time."""
    meta = {
        "signature": sign,
        "annotation_file": index.annotation_file,
        **{name: getattr(index, name) for name in TUPLES},
        "report": {
            "source": report.source,
            "images": report.images,
            "boxes": report.boxes,
            "counts": report.counts,
            "examples": [[f.kind, f.file, f.detail] for found in report.examples.values() for f in found],
        },
    }
    arrays = {name: getattr(index, name) for name in ARRAYS}
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")  # processes of one run may scan side by side
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_cached(file: Path, sign: str) -> tuple[Index, Report] | None:
    """The kept index, or None when there is none, it is damaged, or any file changed since."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            if meta["signature"] != sign:
                return None
            columns: dict[str, Any] = {name: stored[name] for name in ARRAYS}
        columns |= {name: tuple(meta[name]) for name in TUPLES}
        index = Index(annotation_file=meta["annotation_file"], **columns)
        kept = meta["report"]
        report = Report(kept["source"], kept["images"], kept["boxes"])
        report.add(Finding(*example) for example in kept["examples"])
        report.counts = Counter(kept["counts"])
        return index, report
    except Exception:  # whatever is wrong with a cache, scanning again mends it
        return None
