"""Reading the labels of every recording of a split once."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...progress import progress_bar
from ..index_cache import IndexCache
from .description import EventDescription
from .frame_sources import LabelledRecording
from .index import EventIndex, from_cache, to_cache
from .labels import BOX_DTYPE, BOX_RULES, Pairing, clean_boxes, describe

SCAN_VERSION = 4  # raised whenever what a scan finds or how it is stored changes
MAX_SHOWN = 5


def scan(description: EventDescription, split: str, *, progress: bool = True) -> EventIndex:
    """Return the labelled instants of a split; read again only when a file has changed, come or gone.

    Args:
        description: of the data set.
        split: "train", "val" or "test".
        progress: show a progress bar on standard error while recordings are read.

    Raises:
        ConfigError: no such split.
        DataError: no recording with boxes, one that cannot be read, or sensors of different sizes.
    """
    source, paired = description.source, description.pair(split)
    depends_on = (SCAN_VERSION, description.names, description.classes.tolist(), split, source.depends_on)
    kept = IndexCache.of(description.base or description.file, split, depends_on, source.files(paired))
    index = kept.load(from_cache)
    if (
        index is None
        or index.names != description.names
        or not set(index.recordings) <= {path for path, _ in paired.pairs}
    ):
        index = _read(description, split, paired, progress)
        kept.save(*to_cache(index))
    return replace(index, protocol=description.protocol, source=source)


def shown(description: EventDescription, findings: tuple[str, ...]) -> list[str]:
    """Return the first findings, and a line that counts the others."""
    more = len(findings) - MAX_SHOWN
    rest = f"and {more} more like these; 'spikeyolo events info {description.file} --all' names them all"
    return [*findings[:MAX_SHOWN], *([rest] if more > 0 else [])]


def _read(description: EventDescription, split: str, paired: Pairing, progress: bool) -> EventIndex:
    findings = paired.describe()
    found: list[LabelledRecording] = []
    labels: list[np.ndarray] = []
    classes = description.classes
    unnamed = np.zeros(len(classes), dtype=np.int64)
    with progress_bar(f"reading {split}", len(paired.pairs), show=progress) as advance:
        for path, boxes_file in paired.pairs:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found.append(description.source.read(path, boxes_file))
            findings += [str(warning.message) for warning in caught]
            boxes, wrong = clean_boxes(found[-1].boxes, found[-1].sensor_size_hw, found[-1].duration_us)
            if wrong:
                findings.append(f"{boxes_file}: {describe(wrong, BOX_RULES)}")
            named = classes[boxes["class_id"]] >= 0
            unnamed += np.bincount(boxes["class_id"][~named], minlength=len(classes))
            labels.append(boxes[named])
            labels[-1]["class_id"] = classes[labels[-1]["class_id"]]
            found[-1] = replace(found[-1], boxes=labels[-1])
            advance(len(labels), len(paired.pairs))
    if unnamed.any():
        ids = ", ".join(map(str, np.flatnonzero(unnamed).tolist()))
        findings.append(f"{unnamed.sum()} boxes of class ids without a name ({ids}): left out")
    paths = tuple(path for path, _ in paired.pairs)
    if not any(len(boxes) for boxes in labels):
        what = "; ".join(findings[:MAX_SHOWN]) or f"expected {description.source.expected}"
        raise DataError(f"{_shown_folders(description, split)}: no recording with boxes: {what}")
    sizes = [one.sensor_size_hw for one in found]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise DataError(
            f"{paths[other]}: a sensor of {sizes[other]} rows and columns, {paths[0].name} has {sizes[0]}; "
            "one data set, one sensor"
        )
    return _joined(description.names, paths, found, findings)


def _shown_folders(description: EventDescription, split: str) -> str:
    first, *others = description.folders[split]
    return f"{first} and {len(others)} more" if others else f"{first}"


def _joined(
    names: tuple[str, ...], paths: tuple[Path, ...], found: list[LabelledRecording], findings: list[str]
) -> EventIndex:
    numbers, times, counts = [], [], []
    for number, one in enumerate(found):
        instants, count = np.unique(one.boxes["t"], return_counts=True)
        numbers.append(np.full(len(instants), number))
        times.append(instants)
        counts.append(count)
    return EventIndex(
        names=names,
        recordings=paths,
        sensor_size_hw=found[0].sensor_size_hw,
        durations_us=np.array([one.duration_us for one in found], dtype=np.int64),
        decoded_bytes=np.array([one.decoded_bytes for one in found], dtype=np.int64),
        recording=np.concatenate(numbers).astype(np.int64),
        t_us=np.concatenate(times).astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        boxes=np.concatenate([one.boxes for one in found]).astype(BOX_DTYPE),
        findings=tuple(findings),
    )
