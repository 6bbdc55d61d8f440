"""The images of one split, and the samples that a network learns from or is evaluated on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import DataError
from ...events.event_input import EventInput
from ...imaging.header import MAX_PIXELS
from ...imaging.image_input import ImageInput
from ..data_set import expect_input
from .augmentation import Augmentation
from .columns import ImageColumns
from .dataset import ImageDataset
from .scan_report import KINDS, Finding, ScanReport

ARRAYS = ("sizes_hw", "starts", "boxes", "labels", "crowd")
TUPLES = ("names", "paths", "image_ids", "category_ids")


@dataclass(frozen=True)
class ImageIndex(ImageColumns):
    """The images and boxes of a split; see `ImageColumns` for what it holds."""

    def dataset(
        self,
        input: ImageInput | EventInput,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        cache_mb: float = 0,
    ) -> ImageDataset:
        """Return the samples that a network with this input sees.

        Args:
            input: the network's.
            augmentation: what happens to the images; None for evaluation.
            seed: of the randomness.
            epochs: length of the training; None: mosaic is never closed.
            cache_mb: keep so many megabytes of decoded images in shared memory.

        Raises:
            ConfigError: the network takes recordings, or there is not so much shared memory.
        """
        seen = expect_input(input, ImageInput)
        return ImageDataset(self, seen.size_hw, augmentation, epochs=epochs, seed=seed, cache_mb=cache_mb)

    def seen_by(self, input: Any) -> ImageIndex:
        """Return the index itself: a network sees whole images."""
        return self

    def train_augmentation(self, settings: Any) -> Augmentation:
        """Return what happens to images while training by these settings."""
        return settings.augmentation


def to_cache(index: ImageIndex, report: ScanReport) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return what a scan found as arrays and plain values."""
    meta = {
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
    return {name: getattr(index, name) for name in ARRAYS}, meta


def from_cache(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> tuple[ImageIndex, ScanReport]:
    """Return what a scan found; the inverse of `to_cache`.

    Raises:
        DataError: arrays or values that no scan finds.
    """
    columns: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    columns |= {name: tuple(meta[name]) for name in TUPLES}
    index = ImageIndex(annotation_file=meta["annotation_file"], **columns)
    _check(index)
    kept = meta["report"]
    report = ScanReport(str(kept["source"]), len(index), int((~index.crowd).sum()))
    report.add(Finding(kind, str(file), str(detail)) for kind, file, detail in kept["examples"] if kind in KINDS)
    report.counts = Counter({kind: int(kept["counts"][kind]) for kind in report.examples})
    return index, report


def _check(index: ImageIndex) -> None:
    images, boxes, sizes = len(index), len(index.boxes), index.sizes_hw
    kinds = {"sizes_hw": "i", "starts": "i", "boxes": "f", "labels": "i", "crowd": "b"}
    shapes = {
        "sizes_hw": (images, 2),
        "starts": (images + 1,),
        "boxes": (boxes, 4),
        "labels": (boxes,),
        "crowd": (boxes,),
    }
    holds = (
        all(getattr(index, name).shape == shape for name, shape in shapes.items())
        and all(getattr(index, name).dtype.kind == kind for name, kind in kinds.items())
        and index.starts[0] == 0
        and index.starts[-1] == boxes
        and (np.diff(index.starts) >= 0).all()
        and (sizes > 0).all()
        and (sizes.prod(axis=1, dtype=float) <= MAX_PIXELS).all()
        and np.isfinite(index.boxes).all()
        and ((index.labels >= 0) & (index.labels < len(index.names))).all()
        and len(index.image_ids) == len(set(index.image_ids)) == images
        and {*map(type, index.paths), type(index.annotation_file), *map(type, index.names)} == {str}
        and {*map(type, index.image_ids)} <= {int, str}
        and len(index.category_ids) == len(index.names)
        and all(type(key) is int for key in index.category_ids)
    )
    if not holds:
        raise DataError("the index does not hold what a scan finds")
