"""The labelled instants of one split in columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .description import ProtocolName
from .frame_sources import RecordingSource, Source


@dataclass(frozen=True)
class EventColumns:
    """R recordings, I labelled instants and N boxes.

    Attributes:
        names: class names by class index.
        recordings: (R) files, or folders of sequences, in the order of their names.
        sensor_size_hw: of all of them.
        durations_us: (R,) int64.
        decoded_bytes: (R,) int64, memory that each takes as long as it is open; 0 where it is read in parts.
        recording: (I,) int64, for each labelled instant its recording.
        t_us: (I,) int64, its time.
        starts: (I + 1,) int64, where its boxes begin in `boxes`, and where the last ones end.
        boxes: (N,) BOX_DTYPE, clipped to the sensor, in the order of the instants.
        findings: what was wrong with files, a line each.
        protocol: by which boxes are evaluated, see the description.
        source: how recordings are read.
    """

    names: tuple[str, ...]
    recordings: tuple[Path, ...]
    sensor_size_hw: tuple[int, int]
    durations_us: np.ndarray
    decoded_bytes: np.ndarray
    recording: np.ndarray
    t_us: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    findings: tuple[str, ...]
    protocol: ProtocolName = "none"
    source: Source = field(default_factory=RecordingSource)

    def __len__(self) -> int:
        return len(self.t_us)

    def recording_id(self, number: int) -> str:
        """Return how a recording is called in results."""
        return self.recordings[number].name

    def objects(self, instant: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes (N, 4) float32 xyxy in pixels of the sensor, and labels (N,) int64, of an instant."""
        boxes = self.boxes[self.starts[instant] : self.starts[instant + 1]]
        return corners(boxes), boxes["class_id"].astype(np.int64)

    def labels_of(self, number: int) -> np.ndarray:
        """Return (N,) BOX_DTYPE, all boxes of a recording."""
        first, last = np.searchsorted(self.recording, [number, number + 1])
        return self.boxes[self.starts[first] : self.starts[last]]


def corners(boxes: np.ndarray) -> np.ndarray:
    """Return BOX_DTYPE (N,) as (N, 4) float32 xyxy."""
    left, top = boxes["x"], boxes["y"]
    return np.stack([left, top, left + boxes["w"], top + boxes["h"]], axis=1)
