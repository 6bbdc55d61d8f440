"""Prophesee's `_bbox.npy` files: labelled boxes of a recording, and the rules for bad ones."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError, quote
from ...events.numpy_files import load_numpy
from ...events.recording import is_recording
from ...files import whole_file
from ...reading import entries, naming

BOX_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "u1"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)
"""A labelled box in Prophesee's words: t in microseconds, x and y of the top left corner, all in pixels."""

NOT_FINITE, ZERO_SIZE, OUTSIDE, OFF_SENSOR, WRONG_TIME = (
    "not finite",
    "zero size",
    "beyond the sensor",
    "off the sensor",
    "outside the recording's time",
)

BOX_RULES = {
    NOT_FINITE: "a number that is NaN or infinite: box dropped",
    ZERO_SIZE: "no width or no height: box dropped",
    OUTSIDE: "box clipped to the sensor",
    OFF_SENSOR: "nothing of it is on the sensor: box dropped",
    WRONG_TIME: "before the start, or more than 0.1 s after the last event: box dropped",
}
"""What was wrong with boxes, and what is done about it."""

MIN_SIDE = 0.01  # pixels; a box narrower or lower than this has no size
ROUNDING = 0.01  # pixels by which a box may leave the sensor unnoticed
TIME_SLACK_US = 100_000  # the last label may stand at the end of a recording whose last moments were still

# Other names of fields, and what to take where a field is missing.
_OLDER_NAMES = {"t": "ts", "class_confidence": "confidence"}
_DEFAULTS = {"track_id": 0, "class_confidence": 1.0}

ALONE = ("without_boxes", "without_recording")
_EVENTS_END, _BOXES_END = "_td", "_bbox.npy"


def read_boxes(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the boxes of a `_bbox.npy`, BOX_DTYPE (N,), in the order of time, as the file has them: see `clean_boxes`.

    Fields may stand in any order; older files say `ts` for `t` and `confidence` for `class_confidence`. Where there is
    no `track_id` it is 0, where no confidence 1. Nothing that a file contains is run: pickled objects are refused.

    Raises:
        DataError: not such a file.
    """
    return boxes_from(path, load_numpy(path))


def boxes_from(path: str | os.PathLike[str], content: object) -> np.ndarray:
    """Return the content of a file as `read_boxes` does."""
    if not isinstance(content, np.ndarray) or content.dtype.names is None or content.ndim != 1:
        raise DataError(f"{path}: not a list of boxes with the fields {', '.join(BOX_DTYPE.names or ())}")
    boxes = np.zeros(len(content), BOX_DTYPE)
    # Numbers beyond our types become infinite, or a time at which there is no recording: `clean_boxes` drops both.
    with naming(Path(path), "the fields of its boxes cannot be read"), np.errstate(over="ignore", invalid="ignore"):
        for name in BOX_DTYPE.names or ():
            boxes[name] = _column(path, content, name)
    return boxes[np.argsort(boxes["t"], kind="stable")]


def _column(path: str | os.PathLike[str], content: np.ndarray, name: str) -> np.ndarray | float:
    """A field of a file, by its name or its older one, its values unchanged by the type of ours."""
    names = content.dtype.names or ()
    found = next((n for n in (name, _OLDER_NAMES.get(name)) if n in names), None)
    if found is None:
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise DataError(f"{path}: no field '{name}' among {quote(names)}")
    column, ours = content[found], BOX_DTYPE[name]
    if column.dtype.kind not in "iuf" or column.ndim != 1:
        raise DataError(f"{path}: field '{found}' holds {quote(str(column.dtype))}, not numbers")
    if ours.kind != "f":
        limits = np.iinfo(ours)
        # NaN is in no range either.
        if not ((column >= limits.min) & (column <= limits.max)).all():
            raise DataError(f"{path}: field '{found}' has a value outside {limits.min}..{limits.max}")
    return column


def write_boxes(path: str | os.PathLike[str], boxes: np.ndarray) -> None:
    """Write boxes BOX_DTYPE (N,) as `_bbox.npy`; the file is there whole or not at all.

    Raises:
        DataError: not such an array, or the file cannot be written.
    """
    if boxes.dtype != BOX_DTYPE or boxes.ndim != 1:
        raise DataError(f"{path}: not written: expected boxes of BOX_DTYPE (N,), got {boxes.dtype} {boxes.shape}")
    with whole_file(path) as file:
        np.save(file, boxes, allow_pickle=False)


def clean_boxes(
    boxes: np.ndarray, sensor_size_hw: tuple[int, int], duration_us: int | None = None
) -> tuple[np.ndarray, Counter[str]]:
    """Return boxes repaired by `BOX_RULES`, and how many met each rule. Boxes that met none keep every bit.

    Args:
        boxes: BOX_DTYPE (N,).
        sensor_size_hw: rows and columns of the sensor.
        duration_us: of the recording; without it, times are not looked at.
    """
    found: Counter[str] = Counter()

    def drop(kind: str, bad: np.ndarray) -> None:
        nonlocal boxes
        found[kind] += int(bad.sum())
        boxes = boxes[~bad]

    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h", "class_confidence")], axis=1)
    drop(NOT_FINITE, np.isnan(numbers).any(1) | np.isinf(numbers).any(1))
    drop(ZERO_SIZE, (boxes["w"] < MIN_SIDE) | (boxes["h"] < MIN_SIDE))
    if duration_us is not None:
        drop(WRONG_TIME, (boxes["t"] < 0) | (boxes["t"] > duration_us + TIME_SLACK_US))
    off = np.zeros(len(boxes), bool)
    clipped, boxes = np.zeros(len(boxes), bool), boxes.copy()
    for corner, side, limit in (("x", "w", sensor_size_hw[1]), ("y", "h", sensor_size_hw[0])):
        # Both corners first, then the side from them: so what stays of the box stays where it is.
        first = boxes[corner].astype(np.float64)
        last = first + boxes[side]
        outside = (first < -ROUNDING) | (last > limit + ROUNDING)
        first, last = first.clip(0, limit), last.clip(0, limit)
        boxes[corner][outside] = first[outside]
        boxes[side][outside] = (last - first)[outside]
        off |= last - first < MIN_SIDE
        clipped |= outside
    found[OUTSIDE] += int((clipped & ~off).sum())
    drop(OFF_SENSOR, off)
    return boxes, +found


def describe(problems: Counter[str], rules: dict[str, str]) -> str:
    """Return one line: `3 zero size (no width or no height: box dropped), ...`; empty if there were none."""
    return ", ".join(f"{count} {kind} ({rules[kind]})" for kind, count in problems.items())


@dataclass(frozen=True)
class Pairing:
    """The recordings of a folder and their labels.

    Attributes:
        pairs: (recording, boxes), in the order of names.
        without_boxes: recordings that have no labels.
        without_recording: files of boxes that have no recording.
    """

    pairs: tuple[tuple[Path, Path], ...]
    without_boxes: tuple[Path, ...]
    without_recording: tuple[Path, ...]

    @classmethod
    def joined(cls, parts: Sequence[Pairing]) -> Pairing:
        """Return those of several folders together.

        Raises:
            DataError: two recordings of one name, by which results call them.
        """
        pairs = tuple(pair for part in parts for pair in part.pairs)
        named: dict[str, Path] = {}
        for path, _ in pairs:
            if (other := named.setdefault(path.name, path)) is not path:
                raise DataError(f"{path}: {other} has the same name; a split takes each recording once, by its name")
        alone = (tuple(path for part in parts for path in getattr(part, name)) for name in ALONE)
        return cls(pairs, *alone)

    def describe(self) -> list[str]:
        """Return a line for each that is alone."""
        return [
            *(f"{path}: a recording without boxes: left out" for path in self.without_boxes),
            *(f"{path}: boxes without a recording: left out" for path in self.without_recording),
        ]


def boxes_path(recording: str | os.PathLike[str]) -> Path:
    """Return where the boxes of a recording are: `NAME_td.dat`, or `NAME.h5`, has `NAME_bbox.npy` beside it.

    RVT's own copies of Gen1 and 1 Mpx are called `NAME_td.dat.h5`.
    """
    recording = Path(recording)
    return recording.with_name(recording.stem.removesuffix(".dat").removesuffix(_EVENTS_END) + _BOXES_END)


def pair_recordings(folder: str | os.PathLike[str]) -> Pairing:
    """Pair the recordings in a folder with their boxes.

    Raises:
        DataError: no such folder, or two recordings that would share their boxes.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder; give one with NAME_td.dat and NAME_bbox.npy")
    files = [file for file in entries(folder) if os.path.isfile(file)]
    owners: dict[Path, Path] = {}
    for file in files:
        if is_recording(file):
            other = owners.setdefault(boxes_path(file), file)
            if other is not file:
                raise DataError(f"{file}: {boxes_path(file).name} would belong to {other.name} too; rename one")
    labels = {file for file in files if file.name.endswith(_BOXES_END)}
    return Pairing(
        tuple((recording, boxes) for boxes, recording in owners.items() if boxes in labels),
        tuple(recording for boxes, recording in owners.items() if boxes not in labels),
        tuple(sorted(labels - owners.keys())),
    )
