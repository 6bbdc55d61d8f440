"""Prophesee's `.dat` files of events.

ASCII header lines that start with `%`, then two bytes (event type, event size = 8), then little-endian records: u32
time in microseconds, u32 with x in bits 0-13, y in bits 14-27 and polarity in bit 28.
Source: https://docs.prophesee.ai/stable/data/file_formats/dat.html

Rules for what the format leaves open:
- Sensor size: `% Width` and `% Height`, else the size given, else 240 x 304: files that name none are from the time
  when Gen1's ATIS was the only sensor.
- Time overflows 32 bits after 71 minutes: a fall by more than half the range is an overflow, any other fall is time
  that runs backwards. Overflows are looked for in the first events of blocks of 16384; one that lies in a block of more
  than 35 minutes (fewer than 8 events a second) is not seen.
- Time that runs backwards: an event takes the latest time before it in its block, within the times of the first events
  of its block and of the next. So times depend on the file alone, whatever window is read.
- A last record that is cut short is left out. Events beyond the sensor are left out. See `event_file.REPAIRS`.
"""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import DataError, quote
from ..files import whole_file
from ..reading import file_size, naming
from .event_file import BACKWARDS, BEYOND, CUT_SHORT, checked_size, on_sensor, read_at
from .types import Events

RECORD = 8  # bytes
EVENT_TYPES = (0x00, 0x0C)  # Event2d and EventCD: the same record
DEFAULT_SIZE_HW = (240, 304)
BLOCK = 1 << 14  # records from one known time to the next: small enough to be decoded for the sake of one event
OVERFLOW = 1 << 32  # us
COORDINATE = (1 << 14) - 1
MAX_HEADER = 1 << 16  # bytes


class DatFile:
    """A `.dat` file read block by block; see `EventStore`. Only the time of every 16384th event is read on opening.

    It is not mapped into memory: of a file that is cut short while it is read, a map would end the program.
    """

    t_offset_us = 0
    decoded_bytes = 0

    def __init__(self, path: Path, sensor_size_hw: tuple[int, int] | None = None) -> None:
        self.path = path
        size = file_size(path)
        self._offset, in_header = read_header(path)
        self.sensor_size_hw = checked_size(path, sensor_size_hw, in_header) or DEFAULT_SIZE_HW
        self._count, rest = divmod(size - self._offset, RECORD)
        self.problems = +Counter({CUT_SHORT: rest})
        with naming(path):
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)
        raw = np.fromiter((self._words(first, 1)[0, 0] for first in range(0, self._count, BLOCK)), np.int64)
        self._overflowed_us = _overflows(raw)
        self._block_starts = np.maximum.accumulate(raw + self._overflowed_us)
        self.start_us = int(self._block_starts[0]) if self._count else 0
        self.end_us = int(self._block(len(raw) - 1)[0][-1]) + 1 if self._count else 0

    def __len__(self) -> int:
        return self._count

    def index(self, t_us: int) -> int:
        """See `EventStore`: a binary search on the first times of blocks, then one in a block."""
        block = int(np.searchsorted(self._block_starts, t_us)) - 1
        if block < 0:
            return 0
        return block * BLOCK + int(np.searchsorted(self._block(block)[0], t_us))

    def time(self, number: int) -> int:
        """See `EventStore`."""
        return int(self._block(number // BLOCK)[0][number % BLOCK])

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        count, backwards = max(stop - start, 0), 0
        t_us, x = np.empty(count, np.int64), np.empty(count, np.uint16)
        y, polarity = np.empty(count, np.uint16), np.empty(count, np.uint8)
        # Block by block, so that what is computed on the way stays in the processor's cache.
        for block in range(start // BLOCK, -(-stop // BLOCK) if count else 0):
            first = block * BLOCK
            times, repaired, word = self._block(block)
            part = slice(max(start - first, 0), stop - first)
            to = slice(max(first, start) - start, min(first + BLOCK, stop) - start)
            t_us[to], word = times[part], word[part]
            x[to] = word & COORDINATE
            y[to] = word >> 14 & COORDINATE
            polarity[to] = word >> 28 & 1
            backwards += int(repaired[part].sum()) if repaired is not None else 0
        events, beyond = on_sensor(Events(t_us, x, y, polarity), self.sensor_size_hw)
        return events, +Counter({BACKWARDS: backwards, BEYOND: beyond})

    def _words(self, first: int, count: int) -> np.ndarray:
        """(count, 2) u32, records from the first on, as on disk."""
        with naming(self.path):
            content = read_at(self._file, count * RECORD, self._offset + first * RECORD)
        if len(content) < count * RECORD:
            raise DataError(f"{self.path}: was cut short while it was read, near byte {self._offset + first * RECORD}")
        return np.frombuffer(content, "<u4").reshape(-1, 2)

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Times of a block, int64 us and never falling; where they were repaired; and the other word of its records."""
        records = self._words(block * BLOCK, min(BLOCK, self._count - block * BLOCK))
        raw, word = records[:, 0], records[:, 1]
        t_us = raw.astype(np.int64)
        t_us += self._overflowed_us[block]
        first_us, following = self._block_starts[block], self._block_starts[block + 1 : block + 2]
        last_us = following[0] if len(following) else None
        if t_us[0] == first_us and (raw[1:] >= raw[:-1]).all() and (last_us is None or t_us[-1] <= last_us):
            return t_us, None, word
        t_us += _overflows(raw.astype(np.int64))
        repaired = np.maximum.accumulate(np.clip(t_us, first_us, last_us))
        return repaired, repaired != t_us, word


def _overflows(raw: np.ndarray) -> np.ndarray:
    """What to add to 32-bit times (N,) int64, in the order of events, for the overflows since the first."""
    fall = np.diff(raw, prepend=raw[:1]) < -(OVERFLOW // 2)
    return OVERFLOW * np.cumsum(fall)


def read_header(path: Path) -> tuple[int, tuple[int, int] | None]:
    """Return where the records of a `.dat` file start, and the sensor's rows and columns if the header names them.

    Raises:
        DataError: not such a file, or one cut short in the header.
    """
    with naming(path), open(path, "rb") as file:
        return header_of(path, file.read(MAX_HEADER))


class IncompleteError(DataError):
    """More bytes might make a header of it."""


def header_of(path: str | os.PathLike[str], head: bytes) -> tuple[int, tuple[int, int] | None]:
    """Return the same of the first bytes of such a file.

    Raises:
        IncompleteError: the header does not end within them.
        DataError: no such file.
    """
    if not head.startswith(b"%"):
        raise DataError(f"{path}: not a Prophesee .dat file: it does not start with header lines of '% ...'")
    at, fields = 0, {}
    while head[at : at + 1] == b"%":
        line, newline, _ = head[at:].partition(b"\n")
        if not newline:
            raise IncompleteError(f"{path}: not a Prophesee .dat file, or cut short: a header line without end")
        key, _, value = line[1:].decode("ascii", "replace").strip().partition(" ")
        fields[key.lower()] = value.strip()
        at += len(line) + 1
    if len(head) < at + 2:
        raise IncompleteError(f"{path}: cut short: nothing follows the header")
    if head[at] not in EVENT_TYPES or head[at + 1] != RECORD:
        raise DataError(f"{path}: holds events of type {head[at]} and {head[at + 1]} bytes, not camera events of 8")
    if not {"width", "height"} <= set(fields):
        return at + 2, None
    try:
        return at + 2, (int(fields["height"]), int(fields["width"]))
    except ValueError as error:
        said = " x ".join(quote(fields[side]) for side in ("width", "height"))
        raise DataError(f"{path}: header: {said} is no size") from error


def write_dat(path: str | os.PathLike[str], chunks: Iterable[Events], sensor_size_hw: tuple[int, int]) -> None:
    """Write a `.dat` file chunk by chunk; it is there whole or not at all.

    Args:
        path: the file.
        chunks: events in the order of time, through all chunks.
        sensor_size_hw: rows and columns of the sensor.

    Raises:
        DataError: events that the format cannot hold (out of order, beyond the sensor, before time 0, or 35 minutes
            without an event where 32 bits overflow), or a file that cannot be written.
    """
    path = Path(path)
    height, width = checked_size(path, sensor_size_hw, None) or sensor_size_hw
    last_us = 0
    with whole_file(path) as file:
        header = f"% Data file containing CD events\n% Version 2\n% Width {width}\n% Height {height}\n"
        file.write(header.encode("ascii") + bytes([EVENT_TYPES[1], RECORD]))
        for chunk in chunks:
            if len(chunk):
                _check(path, chunk, last_us, (height, width))
                last_us = int(chunk.t_us[-1])
                file.write(_records(chunk).tobytes())


def _records(events: Events) -> np.ndarray:
    """(N, 2) u32, as on disk."""
    records = np.empty((len(events), 2), "<u4")
    records[:, 0] = events.t_us & (OVERFLOW - 1)
    records[:, 1] = events.x
    records[:, 1] |= events.y.astype(np.uint32) << 14
    records[:, 1] |= events.polarity.astype(np.uint32) << 28
    return records


def _check(path: Path, events: Events, last_us: int, sensor_size_hw: tuple[int, int]) -> None:
    """Raise DataError for events that could not be read back."""
    t_us = np.concatenate([[last_us], events.t_us])
    if events.t_us[0] < 0:
        raise DataError(f"{path}: not written: an event at {events.t_us[0]} us, before time 0")
    if (t_us[1:] < t_us[:-1]).any():
        raise DataError(f"{path}: not written: events out of the order of time after {last_us} us")
    if on_sensor(events, sensor_size_hw)[1] or events.polarity.max() > 1:
        raise DataError(f"{path}: not written: an event beyond the sensor, or of a polarity other than 0 and 1")
    if ((np.diff(t_us // OVERFLOW) > 0) & (np.diff(t_us) >= OVERFLOW // 2)).any():
        raise DataError(f"{path}: not written: 35 minutes without an event where 32 bits overflow")
