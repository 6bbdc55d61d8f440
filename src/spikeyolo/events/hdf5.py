"""HDF5 files of events: datasets `x`, `y`, `p`, `t` (microseconds), in the group `events` or at the top.

DSEC's files have beside them `ms_to_idx`, for each millisecond the first event at or after it, and `t_offset`, what to
add to get the time of the other sensors. Source: https://dsec.ifi.uzh.ch/data-format. The files that RVT reads, and
eTraM's, are of the same kind and name the sensor's size as `events/height` and `events/width`.

Rules for what the format leaves open:
- Sensor size: `height` and `width` as datasets or attributes, else the size given, else DSEC's 480 x 640 where
  `ms_to_idx` is there; without any of these the file is refused.
- Polarity: 1 where `p` is above 0, so -1 and 1 are read too.
- Time that runs backwards: an event takes the latest time before it in what is read at once.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..optional import optional_module
from .event_file import BACKWARDS, BEYOND, checked_size, non_falling, on_sensor
from .types import Events

DSEC_SIZE_HW = (480, 640)


class Hdf5File:
    """An HDF5 file of events; see `EventStore`."""

    def __init__(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> None:
        self.path, self._h5py = path, optional_module("h5py", "events")
        self._file, self._process = self._open(), os.getpid()
        columns = self._columns
        self._count = len(columns["t"])
        if len({columns[name].shape for name in "xypt"}) > 1 or columns["t"].ndim != 1:
            raise DataError(f"{path}: x, y, p and t are not lists of one length; the file may be cut short")
        if columns["t"].dtype.kind not in "iu":
            raise DataError(f"{path}: t holds {columns['t'].dtype}, not whole microseconds")
        self.sensor_size_hw = self._size(sensor_size_hw)
        self._ms_to_idx = np.asarray(self._file["ms_to_idx"], np.int64) if "ms_to_idx" in self._file else None
        self.t_offset_us = int(self._file["t_offset"][()]) if "t_offset" in self._file else 0
        self.start_us = int(columns["t"][0]) if self._count else 0
        self.end_us = int(columns["t"][-1]) + 1 if self._count else 0
        self.problems: Counter[str] = Counter()
        self.decoded_bytes = 0

    def __len__(self) -> int:
        return self._count

    def index(self, t_us: int) -> int:
        """See `EventStore`; among the events of one millisecond where the file says which they are."""
        first, last = 0, self._count
        if self._ms_to_idx is not None:
            ms = min(max(t_us // 1000, 0), len(self._ms_to_idx) - 1)
            first = int(self._ms_to_idx[ms])
            last = int(self._ms_to_idx[ms + 1]) if ms + 1 < len(self._ms_to_idx) else self._count
            return first + int(np.searchsorted(self._read("t", first, last), t_us))
        t = self._columns["t"]
        return bisect_left(range(self._count), t_us, key=lambda i: int(t[i]))

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        t_us, backwards = non_falling(self._read("t", start, stop).astype(np.int64))
        x, y = (self._coordinates(name, start, stop) for name in "xy")
        polarity = (self._read("p", start, stop) > 0).astype(np.uint8)
        events, beyond = on_sensor(Events(t_us, x, y, polarity), self.sensor_size_hw)
        return events, +Counter({BACKWARDS: backwards, BEYOND: beyond})

    @property
    def _columns(self) -> Any:
        # A file that was opened before a fork must not be read after it: both would move one position.
        if self._process != os.getpid():
            self._file, self._process = self._open(), os.getpid()
        return self._file.get("events", self._file)

    def _open(self) -> Any:
        try:
            file = self._h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(f"{self.path}: not an HDF5 file, or cut short ({str(error).splitlines()[0]})") from error
        if "CD" in file:
            raise DataError(f"{self.path}: Prophesee's own HDF5 needs their ECF codec; convert it to .raw or .dat")
        columns = file.get("events", file)
        missing = [name for name in "xypt" if not isinstance(columns, self._h5py.Group) or name not in columns]
        if missing:
            raise DataError(f"{self.path}: no events/{missing[0]}; expected datasets x, y, p and t in the group events")
        for name in "xypt":
            self._find_codec(columns[name])
        return file

    def _find_codec(self, dataset: Any) -> None:
        """Compression other than HDF5's own comes from hdf5plugin."""
        settings = dataset.id.get_create_plist()
        for number in range(settings.get_nfilters()):
            code, *_, name = settings.get_filter(number)
            if not self._h5py.h5z.filter_avail(code):
                optional_module("hdf5plugin", "events")
                if not self._h5py.h5z.filter_avail(code):
                    raise DataError(f"{self.path}: compressed with filter {code} ({name!r}), which hdf5plugin lacks")

    def _size(self, given: tuple[int, int] | None) -> tuple[int, int]:
        in_file = None
        for group in (self._columns, self._columns.attrs, self._file, self._file.attrs):
            if "height" in group and "width" in group:
                in_file = tuple(int(np.asarray(group[side])) for side in ("height", "width"))
                break
        size = checked_size(self.path, given, in_file) or (DSEC_SIZE_HW if "ms_to_idx" in self._file else None)
        if size is None:
            raise DataError(f"{self.path}: does not name the size of the sensor; give sensor_size_hw")
        return size

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        try:
            return self._columns[name][start:stop]
        except OSError as error:
            raise DataError(f"{self.path}: events/{name} cannot be read ({str(error).splitlines()[0]})") from error

    def _coordinates(self, name: str, start: int, stop: int) -> np.ndarray:
        """As uint16; those that do not fit are beyond any sensor and stay so."""
        column = self._read(name, start, stop)
        if column.dtype == np.uint16:
            return column
        top = np.iinfo(np.uint16).max
        return np.where((column < 0) | (column > top), top, column).astype(np.uint16)
