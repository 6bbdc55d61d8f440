"""One recording of an event camera, whatever its file format."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, DataError
from ..reading import file_size
from .dat import DatFile
from .event_file import LATEST_US, REPAIRS, EventStore
from .faery_file import SUFFIXES, DecodedFile
from .hdf5 import Hdf5File
from .npy import NpyFile
from .types import Events

Opener = Callable[[Path, "tuple[int, int] | None"], EventStore]

READERS: dict[str, Opener] = {
    ".dat": DatFile,
    ".h5": Hdf5File,
    ".hdf5": Hdf5File,
    ".npy": NpyFile,
    **dict.fromkeys(SUFFIXES, DecodedFile),
}

RVT_FRAMES = ("event_representations.h5", "event_representations_ds2_nearest.h5")
"""Names of RVT's files of frames, of full and of halved size."""

BESIDE = ("_bbox.npy", "tracks.npy", "rectify_map.h5", *RVT_FRAMES, "timestamps_us.npy", "objframe_idx_2_repr_idx.npy")
"""Ends of the names of files that data sets keep beside recordings, or in place of them: labels of Prophesee's and
DSEC's, DSEC's maps, RVT's frames and their times."""

_PART = 1 << 20  # events read at once where all are
MAX_EVENTS = 1 << 26  # of one window: they take 900 MB, and frames of them more
STILL_US, MAX_STRETCHES = 10_000_000, 1000


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
            DataError: it holds more than 67 million events, or the file cannot be read.
        """
        if end_us < start_us:
            raise ConfigError(f"{self.path}: a window from {start_us} to {end_us} us ends before it starts")
        first, stop = self.index(start_us), self.index(end_us)
        return self.part(first, stop, end_us)

    def index(self, t_us: int) -> int:
        """Return how many events of the file come before a time."""
        return self._store.index(min(max(int(t_us), -LATEST_US), LATEST_US))

    def time(self, number: int) -> int:
        """Return the time of an event of the file."""
        return self._store.time(number)

    def part(self, first: int, stop: int, end_us: int = LATEST_US) -> Events:
        """Return events by their numbers in the file, which come before a time; those beyond the sensor are left out.

        Raises:
            DataError: more than 67 million events, or the file cannot be read.
        """
        if stop - first > MAX_EVENTS and not self.decoded_bytes:
            raise DataError(
                f"{self.path}: {stop - first} events up to {min(end_us, self.duration_us)} us, more than {MAX_EVENTS} "
                "at once; give a shorter window"
            )
        events, problems = self._store.read(first, stop)
        self._warn(problems)
        if len(events) and events.t_us[-1] >= end_us:
            # Only where time runs backwards in a format whose times are not repaired for the file as a whole.
            return Events(events.t_us.clip(max=end_us - 1), events.x, events.y, events.polarity)
        return events

    def steps(self, step_us: int, first_us: int, until_us: int = 0) -> list[range]:
        """Return the ends of windows that follow each other, from the first until every event was seen.

        Time in which nothing happens for long is left out: a few wrong bytes may put one event hours or centuries after
        the others. It is looked at in pieces of 10 s, so that a gap of 20 s is always left out, one of 10 s never.

        Args:
            step_us: length of a window, and from one end to the next.
            first_us: end of the first.
            until_us: go on to this time where the events end before.

        Returns:
            A range for each stretch of time; between two of them there is no event.

        Raises:
            DataError: more than 1000 stretches.
        """
        stretches = self._stretches() or [(0, 0)]
        stretches[-1] = (stretches[-1][0], max(stretches[-1][1], until_us))
        found, next_us = list[range](), first_us
        for start_us, end_us in stretches:
            next_us += max(0, start_us - next_us + step_us) // step_us * step_us
            found.append(range(next_us, end_us + step_us, step_us))
            next_us = found[-1][-1] + step_us if found[-1] else next_us
        return found

    def _stretches(self) -> list[tuple[int, int]]:
        """Start and end of the times in which there are events."""
        found, piece, pieces = (
            list[tuple[int, int]](),
            max(self.start_us, 0) // STILL_US,
            -(-self.duration_us // STILL_US),
        )
        while piece < pieces:
            first, before = piece, self._store.index(piece * STILL_US)
            while piece < pieces and (after := self._store.index((piece + 1) * STILL_US)) > before:
                piece, before = piece + 1, after
            if piece > first:
                found.append((first * STILL_US, min(piece * STILL_US, self.duration_us)))
            if len(found) > MAX_STRETCHES:
                raise DataError(
                    f"{self.path}: more than {MAX_STRETCHES} times nothing for 10 s and longer; cut it into recordings"
                )
            if piece < pieces:
                following = self._store.time(before) if before < len(self) else self.duration_us
                piece = max(following // STILL_US, piece + 1)
        return found

    def check(self) -> Counter[str]:
        """Read the whole file and count what is wrong with it, by the kinds of `event_file.REPAIRS`."""
        problems = Counter(self._store.problems)
        for start in range(0, len(self), _PART):
            problems += self._store.read(start, min(start + _PART, len(self)))[1]
        return problems

    def _warn(self, problems: Counter[str]) -> None:
        for kind in problems.keys() - self._warned:
            self._warned.add(kind)
            warnings.warn(f"{self.path}: {problems[kind]} {kind} ({REPAIRS[kind]})", stacklevel=4)


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a recording by its name."""
    name = os.path.basename(os.fspath(path)).lower()
    return os.path.splitext(name)[1] in READERS and not name.endswith(BESIDE)


def open_recording(path: str | os.PathLike[str], sensor_size_hw: tuple[int, int] | None = None) -> Recording:
    """Open a recording by the ending of its name: `.dat`, `.h5`, `.hdf5`, `.npy`, `.raw`, `.aedat4`, `.es`.

    Args:
        path: the file.
        sensor_size_hw: rows and columns of the sensor, for files that do not name them.

    Raises:
        DataError: no such file, an unknown ending, a file that is not what its ending says, a size other than the
            file's own, or a package that is not installed.
    """
    path = Path(path)
    file_size(path)  # first: a mistyped ending is no file, too
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: not an event recording by its name; known are {', '.join(READERS)}")
    return Recording(path, reader(path, sensor_size_hw))
