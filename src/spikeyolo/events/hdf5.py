"""HDF5 files of events: datasets `x`, `y`, `p`, `t` (microseconds), in the group `events` or at the top.

DSEC's files have beside them `ms_to_idx`, for each millisecond the first event at or after it, and `t_offset`, what to
add to get the time of the other sensors. Source: https://dsec.ifi.uzh.ch/data-format. The files that RVT reads, and
eTraM's, are of the same kind and name the sensor's size as `events/height` and `events/width`.

Rules for what the format leaves open:
- Sensor size: `height` and `width` as datasets or attributes, else the size given, else DSEC's 480 x 640 where
  `ms_to_idx` is there; without any of these the file is refused.
- Polarity: 1 where `p` is above 0, so -1 and 1 are read too.
- Time that runs backwards: an event takes the latest time before it in what is read at once.
- `ms_to_idx` is believed as far as the times of the events at its places agree with it.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..reading import naming
from .event_file import BACKWARDS, BEYOND, LATEST_US, checked_size, non_falling, on_sensor, pixels_of
from .hdf5_reading import dataset, is_group, member, number, open_hdf5
from .types import Events

DSEC_SIZE_HW = (480, 640)
MAX_TABLE = 1 << 24  # milliseconds, 4.6 hours, whose first events are kept in memory
MAX_MILLISECOND = 1 << 20  # events of one that are read at once


class Hdf5File:
    """An HDF5 file of events; see `EventStore`."""

    def __init__(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> None:
        self.path, self._process = path, os.getpid()
        self._data = self._open()
        self._count = len(self._data["t"])
        if len({data.shape for data in self._data.values()}) > 1:
            raise DataError(f"{path}: x, y, p and t are not lists of one length; the file may be cut short")
        file = self._data["t"].file
        table = dataset(path, file, "ms_to_idx", 1)
        self.sensor_size_hw = self._size(sensor_size_hw, table is not None)
        self._ms_to_idx = self._table(table)
        self.t_offset_us = number(path, file, "t_offset") or 0
        times = [self.time(place) for place in (0, self._count - 1)] if self._count else []
        if not all(abs(t_us) < LATEST_US for t_us in times):
            raise DataError(f"{path}: t from {times[0]} to {times[-1]}: not microseconds, of at most 285 years")
        self.start_us, self.end_us = (times[0], max(times) + 1) if times else (0, 0)
        self.problems: Counter[str] = Counter()
        self.decoded_bytes = 0

    def __len__(self) -> int:
        return self._count

    def index(self, t_us: int) -> int:
        """See `EventStore`; among the events of one millisecond where the file says which they are."""
        begin, end = self._near(t_us)
        if end - begin <= MAX_MILLISECOND:
            found = begin + int(np.searchsorted(self._read("t", begin, end), t_us))
        else:
            found = bisect_left(range(self._count), t_us, begin, end, key=self.time)
        if begin < found < end or (found == begin == 0) or (found == end == self._count):
            return found
        self._ms_to_idx = None  # it is wrong, and left alone from now on
        return bisect_left(range(self._count), t_us, key=self.time)

    def _near(self, t_us: int) -> tuple[int, int]:
        """The events of a millisecond by the file's table, with one before and one after them; or all there are."""
        table = self._ms_to_idx
        if table is None or not len(table):
            return 0, self._count
        ms = min(max(t_us // 1000, 0), len(table) - 1)
        last = int(table[ms + 1]) if ms + 1 < len(table) else self._count
        return max(int(table[ms]) - 1, 0), min(last + 1, self._count)

    def time(self, number: int) -> int:
        """See `EventStore`."""
        return int(self._read("t", number, number + 1)[0])

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        t_us, backwards = non_falling(self._read("t", start, stop).astype(np.int64))
        x, y = (pixels_of(self._read(name, start, stop)) for name in "xy")
        polarity = (self._read("p", start, stop) > 0).astype(np.uint8)
        events, beyond = on_sensor(Events(t_us, x, y, polarity), self.sensor_size_hw)
        return events, +Counter({BACKWARDS: backwards, BEYOND: beyond})

    def _open(self) -> dict[str, Any]:
        """The datasets x, y, p and t."""
        file = open_hdf5(self.path)
        if member(self.path, file, "CD") is not None:
            raise DataError(f"{self.path}: Prophesee's own HDF5 needs their ECF codec; convert it to .raw or .dat")
        group = member(self.path, file, "events") or file
        kinds = {"t": "iu", "x": "iuf", "y": "iuf", "p": "iufb"}
        found = {name: dataset(self.path, group, name, 1, kinds[name]) for name in "txyp"} if is_group(group) else {}
        missing = [name for name in "xypt" if found.get(name) is None]
        if missing:
            raise DataError(f"{self.path}: no events/{missing[0]}; expected datasets x, y, p and t in the group events")
        return found

    def _table(self, table: Any) -> np.ndarray | None:
        """The first event of each millisecond; None where there are too many for memory, or they are not in order."""
        if table is None or len(table) > MAX_TABLE:
            return None
        with naming(self.path, "ms_to_idx cannot be read"):
            found = table[:].astype(np.int64)
        ordered = (found[1:] >= found[:-1]).all() and (not len(found) or 0 <= found[0] <= found[-1] <= self._count)
        return found if ordered else None

    def _size(self, given: tuple[int, int] | None, dsec: bool) -> tuple[int, int]:
        in_file, group = None, self._data["t"].parent
        for holder in (group, group.attrs, group.file, group.file.attrs):
            height, width = (number(self.path, holder, side) for side in ("height", "width"))
            if height is not None and width is not None:
                in_file = (height, width)
                break
        size = checked_size(self.path, given, in_file) or (DSEC_SIZE_HW if dsec else None)
        if size is None:
            raise DataError(f"{self.path}: does not name the size of the sensor; give sensor_size_hw")
        return size

    def _read(self, name: str, start: int, stop: int) -> np.ndarray:
        # A file that was opened before a fork must not be read after it: both would move one position.
        if self._process != os.getpid():
            self._data, self._process = self._open(), os.getpid()
        with naming(self.path, f"events/{name} cannot be read"):
            return self._data[name][start:stop]
