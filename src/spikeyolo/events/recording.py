"""One recording of an event camera, whatever its file format."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, DataError
from .dat import DatFile
from .event_file import REPAIRS, EventStore
from .faery_file import SUFFIXES, DecodedFile
from .foreign import file_size
from .hdf5 import Hdf5File
from .types import Events

Opener = Callable[[Path, "tuple[int, int] | None"], EventStore]

READERS: dict[str, Opener] = {
    ".dat": DatFile,
    ".h5": Hdf5File,
    ".hdf5": Hdf5File,
    **dict.fromkeys(SUFFIXES, DecodedFile),
}

_PART = 1 << 20  # events read at once where all are


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that is read in parts; made by `open_recording`.

    Bad events are repaired by `event_file.REPAIRS`, with one warning a kind of problem; `check` counts all of them.
    Pickling keeps the path and the size of the sensor and opens the file again.

    Attributes:
        path: the file.
    """

    path: Path
    _store: EventStore = field(repr=False)
    _warned: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self._warn(self._store.problems)

    def __len__(self) -> int:
        """Events in the file, those beyond the sensor included."""
        return len(self._store)

    def __reduce__(self) -> tuple[Callable[..., Recording], tuple[Path, tuple[int, int]]]:
        return open_recording, (self.path, self.sensor_size_hw)

    @property
    def sensor_size_hw(self) -> tuple[int, int]:
        """Rows and columns of the sensor."""
        return self._store.sensor_size_hw

    @property
    def start_us(self) -> int:
        """Time of the first event; 0 if there is none."""
        return self._store.start_us

    @property
    def duration_us(self) -> int:
        """Time just after the last event, so that `window(0, duration_us)` holds every event; 0 if there is none."""
        return self._store.end_us

    @property
    def t_offset_us(self) -> int:
        """What to add to a time to get that of the camera's own clock."""
        return self._store.t_offset_us

    @property
    def decoded_bytes(self) -> int:
        """Memory that the events take while it is open; 0 for a file that is read in parts."""
        return self._store.decoded_bytes

    def window(self, start_us: int, end_us: int) -> Events:
        """Return the events with start_us <= t < end_us.

        Raises:
            ConfigError: a window that ends before it starts.
        """
        if end_us < start_us:
            raise ConfigError(f"{self.path}: a window from {start_us} to {end_us} us ends before it starts")
        events = self._read(self._store.index(int(start_us)), self._store.index(int(end_us)))
        if len(events) and events.t_us[-1] >= end_us:
            # Only where time runs backwards in a format whose times are not repaired for the file as a whole.
            return Events(events.t_us.clip(max=end_us - 1), events.x, events.y, events.polarity)
        return events

    def check(self) -> Counter[str]:
        """Read the whole file and count what is wrong with it, by the kinds of `event_file.REPAIRS`."""
        problems = Counter(self._store.problems)
        for start in range(0, len(self), _PART):
            problems += self._store.read(start, min(start + _PART, len(self)))[1]
        return problems

    def _read(self, start: int, stop: int) -> Events:
        events, problems = self._store.read(start, stop)
        self._warn(problems)
        return events

    def _warn(self, problems: Counter[str]) -> None:
        for kind in problems.keys() - self._warned:
            self._warned.add(kind)
            warnings.warn(f"{self.path}: {problems[kind]} {kind} ({REPAIRS[kind]})", stacklevel=4)


def open_recording(path: str | os.PathLike[str], sensor_size_hw: tuple[int, int] | None = None) -> Recording:
    """Open a recording by the ending of its name: `.dat`, `.h5`, `.hdf5`, `.raw`, `.aedat4`, `.es`.

    Args:
        path: the file.
        sensor_size_hw: rows and columns of the sensor, for files that do not name them.

    Raises:
        DataError: no such file, an unknown ending, a file that is not what its ending says, a size other than the
            file's own, or a package that is not installed.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: not an event recording by its name; known are {', '.join(READERS)}")
    file_size(path)
    return Recording(path, reader(path, sensor_size_hw))
