"""The labelled instants of a folder of recordings: read once, kept in a small file beside the description."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...events.event_input import EventInput
from ...events.recording import READERS, open_recording
from ...events.types import BOX_DTYPE
from ...progress import progress_bar
from .description import EventDescription
from .labels import BOX_RULES, Pairing, clean_boxes, describe, pair_recordings, read_boxes
from .rvt import open_rvt, pair_sequences, sequence_files

INDEX_VERSION = 2
CACHE_FOLDER = ".spikeyolo"
SHOWN = 5


@dataclass(frozen=True)
class EventIndex:
    """Recordings and what is labelled on them.

    Attributes:
        names: class names by class index.
        recordings: (R) files, or folders of RVT's sequences, in the order of their names.
        sensor_size_hw: of all of them.
        durations_us: (R,) int64.
        recording: (I,) int64, for each labelled instant its recording.
        t_us: (I,) int64, its time.
        starts: (I + 1,) int64, where its boxes begin in `boxes`, and where the last ones end.
        boxes: (N,) BOX_DTYPE, clipped to the sensor, in the order of the instants.
        findings: what was wrong with files, a line each.
        protocol: by which boxes are evaluated, see the description.
        frames: the name of RVT's frames, where the recordings are such sequences.
        made: how those frames were prepared.
    """

    names: tuple[str, ...]
    recordings: tuple[Path, ...]
    sensor_size_hw: tuple[int, int]
    durations_us: np.ndarray
    recording: np.ndarray
    t_us: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    findings: tuple[str, ...]
    protocol: str = "none"
    frames: str | None = None
    made: EventInput | None = None

    def __len__(self) -> int:
        return len(self.t_us)

    def recording_id(self, number: int) -> str:
        """How a recording is called in results."""
        return self.recordings[number].name

    def objects(self, instant: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) float32 xyxy in pixels of the sensor, and labels (N,) int64, of a labelled instant."""
        boxes = self.boxes[self.starts[instant] : self.starts[instant + 1]]
        return corners(boxes), boxes["class_id"].astype(np.int64)

    def labels_of(self, number: int) -> np.ndarray:
        """(N,) BOX_DTYPE, all boxes of a recording."""
        first, last = np.searchsorted(self.recording, [number, number + 1])
        return self.boxes[self.starts[first] : self.starts[last]]


def corners(boxes: np.ndarray) -> np.ndarray:
    """BOX_DTYPE (N,) -> (N, 4) float32 xyxy."""
    left, top = boxes["x"], boxes["y"]
    return np.stack([left, top, left + boxes["w"], top + boxes["h"]], axis=1)


def cache_file(description: EventDescription, split: str) -> Path:
    """Where the index of a split is kept."""
    return description.file.resolve().parent / CACHE_FOLDER / f"{description.file.name}-{split}-events.npz"


def load_event_index(
    description: EventDescription,
    split: str,
    strict: bool = False,
    progress: bool = True,
) -> EventIndex:
    """The labelled instants of a split; read again only when a file has changed, come or gone.

    A recording without boxes, boxes without a recording, a label that is not finite, has no size, lies beyond the
    sensor, outside the recording's time or of a class that has no name, is named in a warning and left out (clipped,
    where it reaches beyond the sensor); with `strict` it is an error.

    Args:
        description: of the data set.
        split: "train", "val" or "test".
        strict: refuse data of which anything had to be left out.
        progress: show a progress bar on standard error while recordings are read.

    Raises:
        ConfigError: no such split.
        DataError: no recording with boxes, one that cannot be read, or sensors of different sizes.
    """
    folder = description.folder(split)
    if description.frames is None:
        found = pair_recordings(folder, READERS)
        files = [*(path for pair in found.pairs for path in pair), *found.without_boxes, *found.without_recording]
    else:
        found = pair_sequences(folder, description.frames)
        paths = [*(path for path, _ in found.pairs), *found.without_boxes]
        files = [file for path in paths for file in sequence_files(path, description.frames)]
        files += found.without_recording
    sign = _signature(description, split, files)
    file = cache_file(description, split)
    index = _load(file, sign)
    if index is None:
        index = _read(description, folder, found, progress)
        _save(file, index, sign)
    if index.findings and strict:
        raise DataError(f"{description.file}: {split}: {'; '.join(_shown(description, index.findings))} (strict)")
    for line in _shown(description, index.findings):
        warnings.warn(line, stacklevel=2)
    made = None if description.frames is None else description.preparation
    return replace(index, protocol=description.protocol, frames=description.frames, made=made)


def _shown(description: EventDescription, findings: tuple[str, ...]) -> list[str]:
    more = len(findings) - SHOWN
    rest = f"and {more} more like these; 'spikeyolo events info {description.file}' names them all"
    return [*findings[:SHOWN], *([rest] if more > 0 else [])]


def _read(description: EventDescription, folder: Path, found: Pairing, progress: bool) -> EventIndex:
    findings = found.describe()
    durations, sizes, labels = [], [], []
    unnamed = np.zeros(256, dtype=np.int64)
    with progress_bar(f"reading {folder.name}", len(found.pairs), show=progress) as tell:
        for path, boxes_file in found.pairs:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                duration_us, size_hw, boxes = _read_one(description, path, boxes_file)
            findings += [str(warning.message) for warning in caught]
            durations.append(duration_us)
            sizes.append(size_hw)
            boxes, wrong = clean_boxes(boxes, size_hw, duration_us)
            if wrong:
                findings.append(f"{boxes_file}: {describe(wrong, BOX_RULES)}")
            unnamed += np.bincount(boxes["class_id"], minlength=256)
            labels.append(boxes[boxes["class_id"] < len(description.names)])
            tell(len(labels), len(found.pairs))
    unnamed[: len(description.names)] = 0
    if unnamed.any():
        ids = ", ".join(map(str, np.flatnonzero(unnamed).tolist()))
        findings.append(f"{unnamed.sum()} boxes of class ids without a name ({ids}): left out")
    used = [path for path, _ in found.pairs]
    if not any(len(boxes) for boxes in labels):
        expected = "NAME_td.dat with NAME_bbox.npy beside it"
        if description.frames is not None:
            expected = f"SEQUENCE/event_representations_v2/{description.frames} and SEQUENCE/labels_v2"
        what = "; ".join(findings[:SHOWN]) or f"expected {expected}"
        raise DataError(f"{folder}: no recording with boxes: {what}")
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise DataError(
            f"{used[other]}: a sensor of {sizes[other]} rows and columns, {used[0].name} has {sizes[0]}; "
            "one data set, one sensor"
        )
    return _joined(description, used, sizes[0], durations, labels, findings)


def _read_one(description: EventDescription, path: Path, boxes_file: Path) -> tuple[int, tuple[int, int], np.ndarray]:
    """Duration in microseconds, rows and columns of the sensor, and boxes in its pixels."""
    if description.frames is None:
        recording = open_recording(path, description.sensor_size_hw)
        return recording.duration_us, recording.sensor_size_hw, read_boxes(boxes_file)
    sequence, factor = open_rvt(path, description.frames), description.preparation.downscale
    if sequence.halved != (factor == 2):
        raise DataError(f"{path}: frames of another scale than those of the other sequences")
    if (channels := sequence.shape[1]) != description.preparation.channels:
        raise DataError(f"{path}: {channels} channels; {description.frames} has {description.preparation.channels}")
    boxes = sequence.boxes.copy()
    for side in ("x", "y", "w", "h"):
        boxes[side] *= factor
    # A label's time is that of its frame, from which it differs by rounding at most.
    boxes["t"] = np.repeat(sequence.end_us[sequence.label_frames], np.diff(sequence.first_boxes))
    size_hw = (sequence.shape[2] * factor, sequence.shape[3] * factor)
    return int(sequence.end_us[-1]), size_hw, boxes


def _joined(
    description: EventDescription,
    used: list[Path],
    size_hw: tuple[int, int],
    durations: list[int],
    labels: list[np.ndarray],
    findings: list[str],
) -> EventIndex:
    numbers, times, counts = [], [], []
    for number, boxes in enumerate(labels):
        instants, count = np.unique(boxes["t"], return_counts=True)
        numbers.append(np.full(len(instants), number))
        times.append(instants)
        counts.append(count)
    return EventIndex(
        names=description.names,
        recordings=tuple(used),
        sensor_size_hw=size_hw,
        durations_us=np.array(durations, dtype=np.int64),
        recording=np.concatenate(numbers).astype(np.int64),
        t_us=np.concatenate(times).astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        boxes=np.concatenate(labels).astype(BOX_DTYPE),
        findings=tuple(findings),
    )


def _signature(description: EventDescription, split: str, files: list[Path]) -> str:
    """What the index depends on: our version, the names, and path, size and time of change (ns) of each file."""
    stats = [(str(path), status.st_size, status.st_mtime_ns) for path in files for status in (path.stat(),)]
    given = (description.names, split, description.sensor_size_hw, description.frames)
    content = json.dumps([INDEX_VERSION, *given, stats])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


ARRAYS = ("durations_us", "recording", "t_us", "starts")


def _save(file: Path, index: EventIndex, sign: str) -> None:
    """Writes beside and renames; a folder that cannot be written only costs the next start its time.

    Boxes are kept field by field, which is smaller: neighbouring times, classes and tracks are alike.
    """
    meta = {
        "signature": sign,
        "names": index.names,
        "recordings": [str(path) for path in index.recordings],
        "sensor_size_hw": index.sensor_size_hw,
        "findings": index.findings,
    }
    arrays = {name: getattr(index, name) for name in ARRAYS}
    arrays |= {f"box_{name}": index.boxes[name] for name in BOX_DTYPE.names or ()}
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")  # processes of one run may read side by side
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **arrays)
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _load(file: Path, sign: str) -> EventIndex | None:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            if meta["signature"] != sign:
                return None
            columns = {name: stored[f"box_{name}"] for name in BOX_DTYPE.names or ()}
            boxes = np.empty(len(columns["t"]), BOX_DTYPE)
            for name, column in columns.items():
                boxes[name] = column
            return EventIndex(
                names=tuple(meta["names"]),
                recordings=tuple(map(Path, meta["recordings"])),
                sensor_size_hw=(meta["sensor_size_hw"][0], meta["sensor_size_hw"][1]),
                findings=tuple(meta["findings"]),
                boxes=boxes,
                **{name: stored[name] for name in ARRAYS},
            )
    except Exception:  # whatever is wrong with a cache, reading again mends it
        return None
