"""DSEC-Detection as it is unpacked: a folder a sequence, its events in HDF5, its labels in `tracks.npy`.

    SEQUENCE/events/left/events.h5                `events/{x,y,p,t}`, `ms_to_idx`, `t_offset`
             events/left/rectify_map.h5           not needed, see below
             object_detections/left/tracks.npy    boxes, fields as in Prophesee's `_bbox.npy`

Labels have the time of the other sensors, from which `t_offset` leads to that of the events. They are in the left event
camera's view as it recorded, distorted, like the events themselves, so that neither is rectified.
Source: https://github.com/uzh-rpg/dsec-det (readme, sections Remapped Images and Data Format) and
https://github.com/uzh-rpg/DSEC (README, section Events).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...events.hdf5 import DSEC_SIZE_HW
from ...events.recording import Recording
from ...reading import entries
from .frame_sources import RecordingSource
from .labels import Pairing, read_boxes

EVENTS, TRACKS = Path("events", "left", "events.h5"), Path("object_detections", "left", "tracks.npy")


@dataclass(frozen=True)
class DsecSource(RecordingSource):
    """Folders of DSEC's sequences, or single ones."""

    sensor_size_hw: tuple[int, int] | None = DSEC_SIZE_HW

    @property
    def expected(self) -> str:
        """What a folder must hold."""
        return f"SEQUENCE/{EVENTS.as_posix()} and SEQUENCE/{TRACKS.as_posix()}"

    def pair(self, folder: Path) -> Pairing:
        """See `Source`; the folder is a sequence, or holds some."""
        if not os.path.isdir(folder):
            raise DataError(f"{folder}: no such folder; give one with DSEC's sequences")
        parts = (EVENTS, TRACKS)
        single = any(os.path.isfile(folder / part) for part in parts)
        sequences = [folder] if single else [path for path in entries(folder) if os.path.isdir(path)]
        there = {path: tuple(os.path.isfile(path / part) for part in parts) for path in sequences}
        return Pairing(
            tuple((path, path / TRACKS) for path, found in there.items() if found == (True, True)),
            tuple(path for path, found in there.items() if found == (True, False)),
            tuple(path / TRACKS for path, found in there.items() if found == (False, True)),
        )

    def pair_of(self, file: Path) -> tuple[Path, Path]:
        """See `RecordingSource`; the file of events stands for its sequence."""
        sequence = file.parents[len(EVENTS.parts) - 1] if len(file.parents) >= len(EVENTS.parts) else file.parent
        return sequence, sequence / TRACKS

    def events_file(self, path: Path) -> Path:
        """See `RecordingSource`."""
        return path / EVENTS

    def boxes(self, labels: Path, recording: Recording) -> np.ndarray:
        """See `RecordingSource`."""
        boxes = read_boxes(labels)
        boxes["t"] -= recording.t_offset_us
        return boxes
