"""What is in one recording and in the labels beside it, and what is wrong with them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...events.event_file import REPAIRS
from ...events.filters import EventFilters, Filtering
from ...events.recording import Recording, open_recording
from .frame_sources import RecordingSource
from .labels import BOX_RULES, clean_boxes, describe

_PART = 1 << 20  # events read at once where all are


@dataclass(frozen=True)
class InspectedRecording:
    """What is in a recording.

    Attributes:
        path: the file.
        name: of the recording in its layout.
        sensor_size_hw: rows and columns.
        start_us: time of its first event.
        duration_us: just after its last one.
        events: how many.
        file_bytes: its size on disk.
        instants: that are labelled; None where there is no file of labels.
        boxes: by class id.
        notes: a line for each thing that is wrong with its files.
        dropped: events that each filter drops; empty without filters.
    """

    path: Path
    name: str
    sensor_size_hw: tuple[int, int]
    start_us: int
    duration_us: int
    events: int
    file_bytes: int
    instants: int | None
    boxes: Counter[int]
    notes: tuple[str, ...]
    dropped: Counter[str]

    @property
    def seconds(self) -> float:
        """From the first event to the last one."""
        return (self.duration_us - self.start_us) / 1e6

    @property
    def rate(self) -> float | None:
        """Events a second; None where there is no time."""
        return self.events / self.seconds if self.seconds else None


def inspect_recording(
    path: Path,
    layout: tuple[RecordingSource, Path, Path],
    sensor_size_hw: tuple[int, int] | None,
    filters: EventFilters,
    *,
    check: bool = False,
) -> InspectedRecording:
    """Look at a recording and its labels.

    Args:
        path: the file.
        layout: what reads its labels, the recording that it is there, and where its labels are.
        sensor_size_hw: of files that do not name it.
        filters: what to count; without any, events are not read for it.
        check: read every event and count what is wrong with them.

    Raises:
        DataError: it, or its labels, cannot be read.
        ConfigError: filters of a region that the sensor does not have.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = open_recording(path, sensor_size_hw)
        dropped = _dropped(recording, filters)
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    if check and (problems := recording.check()):
        notes = [f"{path}: {describe(problems, REPAIRS)}"]  # what opening it found is among them
    (source, name, labels), instants, counts = layout, None, Counter[int]()
    if os.path.isfile(labels):
        boxes, wrong = clean_boxes(source.boxes(labels, recording), recording.sensor_size_hw, recording.duration_us)
        if wrong:
            notes.append(f"{labels}: {describe(wrong, BOX_RULES)}")
        counts, instants = Counter(boxes["class_id"].tolist()), len(set(boxes["t"].tolist()))
    return InspectedRecording(
        path,
        name.name,
        recording.sensor_size_hw,
        recording.start_us,
        recording.duration_us,
        len(recording),
        path.stat().st_size,
        instants,
        counts,
        tuple(notes),
        dropped,
    )


def _dropped(recording: Recording, filters: EventFilters) -> Counter[str]:
    """How many of a recording's events each filter drops."""
    filtering = Filtering(filters, recording.sensor_size_hw)
    if filters:
        for first in range(0, len(recording), _PART):
            filtering(recording.part(first, min(first + _PART, len(recording))))
    return filtering.dropped
