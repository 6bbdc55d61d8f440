"""Recordings that are still being made: `.dat` from standard input or from a file that grows, read as they come.

Windows, and what is done about bad events, are those of `Recording`, with what cannot be known before the rest is there
decided at once:
- Time that runs backwards: an event takes the latest time before it. One that lies 10 s and more from both of its
  neighbours, which lie nearer to each other, takes the time of the one before: a few wrong bytes do not stop the clock.
- Nothing for 10 s and longer: as in `Recording.steps`, however often it happens.

A window is whole when an event after it has come, or nothing more comes. So windows are at most 10 s long.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError
from ..limits import check_range
from ..reading import file_size, naming
from .dat import COORDINATE, DEFAULT_SIZE_HW, MAX_HEADER, OVERFLOW, RECORD, IncompleteError, header_of
from .event_file import BACKWARDS, BEYOND, CUT_SHORT, REPAIRS, checked_size, non_falling, on_sensor
from .recording import MAX_EVENTS, STILL_US
from .types import COLUMNS, Events

STANDARD_INPUT = "-"
AT_ONCE = 1 << 16  # bytes: what a pipe holds
LOOK = 0.05  # seconds from one look at what has come to the next
LONGEST_PATIENCE = 86_400  # seconds
LONGEST_MARK = 12  # bytes by which a kind of file is known
OTHERS = {b"\x89HDF": "HDF5", b"#!AER-DAT": "AEDAT", b"Event Stream": "Event Stream (.es)", b"% evt": "Prophesee's RAW"}


@dataclass(frozen=True)
class Window:
    """Events of a step of a recording.

    Attributes:
        end_us: where it ends; its own events are not part of it.
        events: in it.
        first: whether nothing is known of the time before it: the first of all, or after a pause.
        ready: when its newest event was there, by `time.perf_counter`.
    """

    end_us: int
    events: Events
    first: bool
    ready: float


class LiveRecording:
    """A `.dat` that is read once, from its start, as it comes.

    Args:
        name: for errors.
        read: waits for bytes and returns them; none where nothing more comes, or once the event is set.

    Attributes:
        path: the name.
        sensor_size_hw: rows and columns of the sensor.

    Raises:
        DataError: nothing comes, or something else than a `.dat`.
    """

    def __init__(self, name: str, read: Callable[[threading.Event], bytes]) -> None:
        self.path, self._read = name, read
        self._closed = threading.Event()
        self._warned: set[str] = set()
        self._rest, self._came = b"", time.perf_counter()
        self._doubted: np.ndarray | None = None
        self._last_raw: int | None = None
        self._last_us = self._overflowed_us = 0
        self.sensor_size_hw = self._header()

    def close(self) -> None:
        """Wait for nothing more; windows end."""
        self._closed.set()

    def _header(self) -> tuple[int, int]:
        while True:
            content = self._read(self._closed)
            self._rest, self._came = self._rest + content, time.perf_counter()
            if not self._rest:
                raise DataError(f"{self.path}: nothing came")
            if content and len(self._rest) < LONGEST_MARK:
                continue
            for start, kind in OTHERS.items():
                if start in (self._rest[: len(start)], self._rest[: len(start)].lower()):
                    raise DataError(
                        f"{self.path}: {kind}; only .dat can be read as it comes, give another recording as a file"
                    )
            try:
                at, size = header_of(self.path, self._rest)
            except IncompleteError:
                if content and len(self._rest) < MAX_HEADER:
                    continue
                raise
            self._rest = self._rest[at:]
            return checked_size(Path(self.path), None, size) or DEFAULT_SIZE_HW

    def windows(self, step_us: int, together: int = 1) -> Iterator[Window]:
        """Yield windows that follow each other, each as soon as it is whole, until every event was seen; once.

        Args:
            step_us: length of a window, and from one end to the next.
            together: the first one starts at a multiple of so many windows, the last one before the first event.

        Raises:
            ConfigError: windows of more than 10 s.
            DataError: a window of more than 67 million events, or what comes cannot be read.
        """
        if step_us > STILL_US:
            raise ConfigError(f"window_us: {step_us} us; of what is read as it comes at most {STILL_US}")
        open_, piece = _Open(self.path, step_us), -2
        for events, came in self._decoded():
            pieces = events.t_us // STILL_US
            pauses = np.flatnonzero(np.diff(pieces, prepend=piece) > 1).tolist()
            for start, stop in pairwise([*sorted({0, *pauses}), len(events)]):
                if start in pauses:
                    while piece >= 0 and open_.end_us < (piece + 1) * STILL_US + step_us:
                        yield open_.closed(came)
                    begins_us = (
                        0 if piece >= 0 else int(events.t_us[start]) // (together * step_us) * together * step_us
                    )
                    open_.pause(max(begins_us, int(pieces[start]) * STILL_US))
                part = events[start:stop]
                while (inside := int(np.searchsorted(part.t_us, open_.end_us))) < len(part):
                    open_.add(part[:inside], came)
                    yield open_.closed(came)
                    part = part[inside:]
                open_.add(part, came)
                piece = int(pieces[stop - 1])
        if piece >= 0:
            yield open_.closed(time.perf_counter())

    def _decoded(self) -> Iterator[tuple[Events, float]]:
        """Events as they come, never none, and when they came."""
        content = self._rest
        while True:
            whole = len(content) // RECORD * RECORD
            events = self._events(np.frombuffer(content[:whole], "<u4").reshape(-1, 2))
            content = content[whole:]
            if len(events):
                yield events, self._came
            more = self._read(self._closed)
            if not more:
                break
            content, self._came = content + more, time.perf_counter()
        if self._doubted is not None:
            doubted, self._doubted = self._doubted, None
            yield self._repaired(doubted), self._came
        self._warn({CUT_SHORT: len(content)})

    def _events(self, records: np.ndarray) -> Events:
        """Records (N, 2) as events, but for a last one whose time is doubted until another has come."""
        if self._doubted is not None and len(records):
            records, self._doubted = np.concatenate([self._doubted, records]), None
        if len(records) and self._is_doubtful(records[-2:, 0].tolist()):
            records, self._doubted = records[:-1], records[-1:]
        return self._repaired(records)

    def _is_doubtful(self, times: list[int]) -> bool:
        """Whether the last time lies far from what came before, and may be a stray."""
        last, before = times[-1], [time for time in (self._last_raw, *times[:-1]) if time is not None][-2:]
        far = [abs(last - time) >= STILL_US for time in before]
        return bool(far) and far[-1] and (len(times) < 2 or far[0])  # else the one before it is the stray

    def _repaired(self, records: np.ndarray) -> Events:
        raw, word = records[:, 0].astype(np.int64), records[:, 1]
        if not len(raw):
            return Events.empty()
        times, wrong = _without_strays(raw, self._last_raw)
        falls = np.diff(times, prepend=times[0] if self._last_raw is None else self._last_raw) < -(OVERFLOW // 2)
        t_us = times + self._overflowed_us + OVERFLOW * np.cumsum(falls)
        self._overflowed_us += OVERFLOW * int(falls.sum())
        t_us, backwards = non_falling(np.concatenate([[self._last_us], t_us]))
        self._last_raw, self._last_us = int(times[-1]), int(t_us[-1])
        x, y = ((word >> shift & COORDINATE).astype(np.uint16) for shift in (0, 14))
        events = Events(t_us[1:], x, y, (word >> 28 & 1).astype(np.uint8))
        events, beyond = on_sensor(events, self.sensor_size_hw)
        self._warn({BACKWARDS: wrong + backwards, BEYOND: beyond})
        return events

    def _warn(self, problems: dict[str, int]) -> None:
        for kind, count in problems.items():
            if count and kind not in self._warned:
                self._warned.add(kind)
                warnings.warn(f"{self.path}: {count} {kind} ({REPAIRS[kind]})", stacklevel=4)


def _without_strays(raw: np.ndarray, before: int | None) -> tuple[np.ndarray, int]:
    """Times (N,) with those that lie far from both neighbours set to the one before, and how many they are."""
    times = raw if before is None else np.concatenate([[before], raw])
    far = np.abs(np.diff(times)) >= STILL_US
    if far.any():
        near = np.abs(times[2:] - times[:-2]) < STILL_US
        (strays,) = np.nonzero(far[:-1] & far[1:] & near)
        times = times.copy()
        times[strays + 1] = times[strays]
        return times[len(times) - len(raw) :], len(strays)
    return raw, 0


class _Open:
    """The window that is being filled."""

    def __init__(self, name: str, step_us: int) -> None:
        self.name, self.step_us, self.end_us, self.first = name, step_us, step_us, True
        self._parts: list[Events] = []
        self._count, self._ready = 0, 0.0

    def add(self, part: Events, came: float) -> None:
        """Take the next events."""
        if not len(part):
            return
        self._parts.append(part)
        self._count, self._ready = self._count + len(part), came
        if self._count > MAX_EVENTS:
            raise DataError(
                f"{self.name}: more than {MAX_EVENTS} events within {self.step_us} us before {self.end_us} us; give a "
                "shorter window"
            )

    def closed(self, now: float) -> Window:
        """Return it, and begin the next one."""
        columns = [[getattr(part, name) for part in self._parts] for name in COLUMNS]
        events = Events(*map(np.concatenate, columns)) if self._parts else Events.empty()
        done = Window(self.end_us, events, self.first, self._ready if self._parts else now)
        self._parts, self._count = [], 0
        self.end_us, self.first = self.end_us + self.step_us, False
        return done

    def pause(self, until_us: int) -> None:
        """Go on with the window in which a time lies, where that is later."""
        self.end_us += max(0, until_us - self.end_us + self.step_us) // self.step_us * self.step_us
        self.first = True


def standard_input() -> LiveRecording:
    """Return the recording that another program writes into this one.

    Raises:
        DataError: nobody does, or something else than a `.dat`.
    """
    name = "standard input"
    try:
        file = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise DataError(f"{name}: there is none here; name a file") from error
    if os.isatty(file):
        raise DataError(f"{name}: a terminal; write a recording into it: cat RECORDING.dat | spikeyolo predict ...")

    def read(closed: threading.Event) -> bytes:
        with naming(name):
            while not closed.is_set():
                if os.name == "nt" or select.select([file], [], [], LOOK)[0]:  # Windows waits for sockets alone
                    return os.read(file, AT_ONCE)
        return b""

    return LiveRecording(name, read)


def growing_file(path: Path, patience_s: float) -> LiveRecording:
    """Return the recording of a `.dat` to which another program still adds.

    Args:
        path: the file.
        patience_s: it ends when nothing was added for so many seconds.

    Raises:
        ConfigError: a patience out of range.
        DataError: not a `.dat`, or nothing was added in that time.
    """
    check_range("follow", patience_s, LOOK, LONGEST_PATIENCE)
    if path.suffix.lower() != ".dat":
        raise DataError(f"{path}: only .dat can be read while it grows; leave out --follow when it is finished")
    file_size(path)
    with naming(path):
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def read(closed: threading.Event) -> bytes:
        with naming(path):
            waited_since = time.monotonic()
            while not (found := os.read(file, AT_ONCE)):
                if os.fstat(file).st_size < os.lseek(file, 0, os.SEEK_CUR):
                    raise DataError(f"{path}: was cut short while it was read")
                if time.monotonic() - waited_since > patience_s or closed.wait(LOOK):
                    return b""
        return found

    weakref.finalize(read, os.close, file)
    return LiveRecording(str(path), read)
