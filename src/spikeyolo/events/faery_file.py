"""Other vendors' event files through the optional package faery: EVT2 and EVT3 `.raw`, `.aedat4`, `.es`.

They can be read from the start only, so opening one decodes it whole into memory, 13 bytes an event; write it to a
`.dat` (`write_dat`) to read windows of a long one. Times are the file's own, except that those of `.aedat4`, which
count from 1970, are counted from the first event (`t_offset_us` says where that is).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..optional import optional_module
from .event_file import BACKWARDS, BEYOND, checked_size, non_falling, on_sensor
from .types import Events

SUFFIXES = (".raw", ".aedat4", ".es")
DEFAULT_SIZE_HW = (720, 1280)  # of a .raw whose header names no size: the largest sensor that writes it


class DecodedFile:
    """Events in memory; see `EventStore`."""

    def __init__(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> None:
        events, in_file = _decode(path, sensor_size_hw)
        self.sensor_size_hw = checked_size(path, sensor_size_hw, in_file) or in_file
        self.t_offset_us = int(events.t_us[0]) if path.suffix.lower() == ".aedat4" and len(events) else 0
        t_us, backwards = non_falling(events.t_us - self.t_offset_us)
        repaired = Events(t_us, events.x, events.y, events.polarity)
        self._events, beyond = on_sensor(repaired, self.sensor_size_hw)
        self.decoded_bytes = self._events.nbytes
        self.problems = +Counter({BACKWARDS: backwards, BEYOND: beyond})
        self.start_us, self.end_us = (int(t_us[0]), int(t_us[-1]) + 1) if len(t_us) else (0, 0)

    def __len__(self) -> int:
        return len(self._events)

    def index(self, t_us: int) -> int:
        """See `EventStore`."""
        return int(np.searchsorted(self._events.t_us, t_us))

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        return self._events[start:stop], Counter()


def _decode(path: Path, sensor_size_hw: tuple[int, int] | None) -> tuple[Events, tuple[int, int]]:
    """All events, and rows and columns of the sensor."""
    faery = optional_module("faery", "events")
    if path.suffix.lower() == ".raw":
        _check_raw(path)
    height, width = sensor_size_hw or DEFAULT_SIZE_HW
    try:
        stream = faery.events_stream_from_file(path, dimensions_fallback=(width, height))
        size = stream.dimensions()
        columns = [np.zeros(0, faery.EVENTS_DTYPE), *stream]
    except Exception as error:  # faery raises bare exceptions
        raise DataError(f"{path}: cannot be read by faery ({str(error).splitlines()[0]})") from error
    joined = np.concatenate(columns)
    polarity = joined["on"].astype(np.uint8)
    return Events(joined["t"].astype(np.int64), joined["x"].copy(), joined["y"].copy(), polarity), (size[1], size[0])


def _check_raw(path: Path) -> None:
    """Refuses what faery would decode to random events."""
    try:
        with open(path, "rb") as file:
            start = file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if start != b"%":
        raise DataError(f"{path}: not a Prophesee .raw file: it does not start with header lines of '% ...'")
