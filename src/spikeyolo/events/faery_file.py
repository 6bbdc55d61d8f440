"""Other vendors' event files through the optional package faery: EVT2 and EVT3 `.raw`, `.aedat4`, `.es`.

They can be read from the start only, so opening one decodes it whole into memory, 13 bytes an event; write it to a
`.dat` (`write_dat`) to read windows of a long one. An `.aedat4` is decoded by a process of its own, because faery does
not check what it reads there: 0.3 s more. Times are the file's own, except that those of `.aedat4`, which
count from 1970, are counted from the first event (`t_offset_us` says where that is).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..optional import optional_module
from ..reading import file_size, naming
from .event_file import BACKWARDS, BEYOND, LATEST_US, checked_size, non_falling, on_sensor
from .types import Events

SUFFIXES = (".raw", ".aedat4", ".es")
UNCHECKED = (".aedat4",)
DEFAULT_SIZE_HW = (720, 1280)  # of a .raw whose header names no size: the largest sensor that writes it
MAX_EVENTS = 1 << 28  # of a file: 3.5 GB
CHILD_BYTES, CHILD_SECONDS = 1 << 30, 30  # for a small file: Python and its libraries take most of them
CHILD = """
import json, runpy, sys
sys.path[:] = json.loads(sys.argv.pop(1))
runpy.run_path(sys.argv.pop(1), run_name="child")
"""


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

    def time(self, number: int) -> int:
        """See `EventStore`."""
        return int(self._events.t_us[number])

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """See `EventStore`."""
        return self._events[start:stop], Counter()


def _decode(path: Path, sensor_size_hw: tuple[int, int] | None) -> tuple[Events, tuple[int, int]]:
    """All events, and rows and columns of the sensor."""
    faery, size = optional_module("faery", "events"), file_size(path)
    height, width = sensor_size_hw or DEFAULT_SIZE_HW
    with naming(path, "cannot be read by faery"):
        if path.suffix.lower() in UNCHECKED:
            joined, (columns, rows) = _decode_apart(path, faery.EVENTS_DTYPE, (width, height), size)
        else:
            if path.suffix.lower() == ".raw":
                _check_raw(path)
            stream = faery.events_stream_from_file(path, dimensions_fallback=(width, height))
            columns, rows = stream.dimensions()
            joined = np.concatenate(list(_bounded(stream)) or [np.zeros(0, faery.EVENTS_DTYPE)])
        polarity = joined["on"].astype(np.uint8)
        t_us = joined["t"].astype(np.int64)
        if len(t_us) and not 0 <= t_us.min() <= t_us.max() < LATEST_US:
            raise DataError(f"{path}: times from {t_us.min()} to {t_us.max()}: not microseconds, of at most 285 years")
        return Events(t_us, joined["x"].copy(), joined["y"].copy(), polarity), (rows, columns)


def _bounded(stream: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The parts of a stream, as long as they fit in memory."""
    count = 0
    for events in stream:
        count += len(events)
        if count > MAX_EVENTS:
            raise ValueError(f"more than {MAX_EVENTS} events, which are decoded whole; cut it, or convert it to .dat")
        yield events


def _decode_apart(
    path: Path, dtype: np.dtype, size: tuple[int, int], file_bytes: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """All events, and columns and rows of the sensor, by a process of its own; see `faery_child`."""
    import subprocess

    program = [sys.executable, "-I", "-c", CHILD, json.dumps(sys.path), str(Path(__file__).with_name("faery_child.py"))]
    limits = [*map(str, size), str(CHILD_BYTES + 64 * file_bytes)]
    ended = subprocess.run(
        [*program, str(path), *limits], capture_output=True, check=False, timeout=CHILD_SECONDS + file_bytes / 1e6
    )
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ValueError(said[-1] if said else f"the decoder ended with {ended.returncode}")
    header, _, content = ended.stdout.partition(b"\n")
    columns, rows = map(int, header.split())
    return np.frombuffer(content, dtype), (columns, rows)


def _check_raw(path: Path) -> None:
    """Refuses what faery would decode to random events."""
    with open(path, "rb") as file:
        start = file.read(1)
    if start != b"%":
        raise DataError(f"{path}: not a Prophesee .raw file: it does not start with header lines of '% ...'")
