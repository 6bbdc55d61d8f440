"""Numpy files of events: (N, 4) whole numbers, a row an event: time in microseconds, column, row, polarity (1 or 0).

So PEDRo has its samples of 40 ms. Source: https://github.com/SSIGPRO/PEDRo-Event-Based-Dataset, README and the files in
its folder `examples` (int64, times since 1970).

Rules for what the format leaves open:
- Sensor size: the one given, else the 260 x 346 of PEDRo's DAVIS346; the file names none.
- Time counts from the first event; `t_offset_us` is that event's own.
- Polarity: 1 where it is above 0. Time that runs backwards: an event takes the latest time before it in what is read at
  once.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_left
from collections import Counter
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..reading import file_size, naming
from .event_file import BACKWARDS, BEYOND, LATEST_US, checked_size, non_falling, on_sensor, pixels_of, read_at
from .numpy_files import array_header
from .types import Events

DAVIS346_SIZE_HW = (260, 346)
COLUMNS = 4  # t, x, y, polarity


class NpyFile:
    """A `.npy` file of events, read in parts; see `EventStore`. Like a `.dat` it is not mapped into memory."""

    decoded_bytes = 0

    def __init__(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> None:
        self.path = path
        self.sensor_size_hw = checked_size(path, sensor_size_hw, None) or DAVIS346_SIZE_HW
        size = file_size(path)
        with naming(path, "cannot be read as a numpy file"), open(path, "rb") as file:
            shape, self._by_column, self._dtype = array_header(file, size)
            self._offset = file.tell()
        if len(shape) != 2 or shape[1] != COLUMNS or self._dtype.kind not in "iu":
            said = f"{self._dtype} {shape}"
            raise DataError(f"{path}: no events; expected (N, 4) whole numbers t, x, y, polarity, got {said[:100]}")
        self._count = shape[0]
        with naming(path):
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        self.t_offset_us = 0
        times = [self.time(place) for place in (0, self._count - 1)] if self._count else [0]
        if not all(abs(t_us) < LATEST_US for t_us in times):
            raise DataError(f"{path}: t from {times[0]} to {times[-1]}: not microseconds, of at most 285 years")
        self.t_offset_us = times[0]
        self.start_us, self.end_us = 0, max(0, times[-1] - times[0]) + 1 if self._count else 0
        self.problems: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def index(self, t_us: int) -> int:
        """See `EventStore`."""
        return bisect_left(range(self._count), t_us, key=self.time)

    def time(self, number: int) -> int:
        """See `EventStore`."""
        return int(self._column(0, number, number + 1)[0]) - self.t_offset_us

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        stop = max(start, stop)
        if self._by_column:
            t, x, y, p = (self._column(place, start, stop) for place in range(COLUMNS))
        else:
            t, x, y, p = self._numbers(start * COLUMNS, stop * COLUMNS).reshape(-1, COLUMNS).T
        t_us, backwards = non_falling(t.astype(np.int64) - self.t_offset_us)
        events = Events(t_us, pixels_of(x), pixels_of(y), (p > 0).astype(np.uint8))
        events, beyond = on_sensor(events, self.sensor_size_hw)
        return events, +Counter({BACKWARDS: backwards, BEYOND: beyond})

    def _column(self, place: int, start: int, stop: int) -> np.ndarray:
        """A column of some events."""
        if self._by_column:
            return self._numbers(place * self._count + start, place * self._count + stop)
        return self._numbers(start * COLUMNS, stop * COLUMNS)[place::COLUMNS]

    def _numbers(self, start: int, stop: int) -> np.ndarray:
        """Numbers of the file, in its own order."""
        size = self._dtype.itemsize
        with naming(self.path):
            content = read_at(self._file, (stop - start) * size, self._offset + start * size)
        if len(content) < (stop - start) * size:
            raise DataError(f"{self.path}: was cut short while it was read, near number {start}")
        return np.frombuffer(content, self._dtype)
