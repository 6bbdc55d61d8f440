"""What every reader of event files gives, and the rules by which all of them repair bad events."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import DataError, quote
from .types import Events

CUT_SHORT, BACKWARDS, BEYOND = "cut short", "time runs backwards", "beyond the sensor"

REPAIRS = {
    CUT_SHORT: "bytes after the last whole event: left out",
    BACKWARDS: "events earlier than one before them: each takes the latest time before it",
    BEYOND: "events at pixels that the sensor does not have: left out",
}
"""What was wrong with events, and what is done about it. Nothing else is ever changed or left out."""

MAX_SIDE, MAX_PIXELS = 1 << 14, 1 << 23  # of a sensor: the largest that are sold have 1 to 2 million pixels
LATEST_US = 1 << 53  # 285 years: a clock that counts from 1970 is far from it


class EventStore(Protocol):
    """A file of events in the order of time, read in parts.

    Attributes:
        sensor_size_hw: rows and columns of the sensor.
        start_us: time of the first event, 0 if there is none.
        end_us: time of the last event + 1, 0 if there is none.
        t_offset_us: what to add to a time to get that of the camera's own clock.
        problems: what opening the file found, counted.
        decoded_bytes: memory that the events take; 0 for a file that is read in parts.
    """

    sensor_size_hw: tuple[int, int]
    start_us: int
    end_us: int
    t_offset_us: int
    problems: Counter[str]
    decoded_bytes: int

    def __len__(self) -> int:
        """Events in the file."""

    def index(self, t_us: int) -> int:
        """Return how many events come before that time; never falls when the time rises."""

    def time(self, number: int) -> int:
        """Return the time of an event."""

    def read(self, start: int, stop: int) -> tuple[Events, Counter[str]]:
        """Return events number start to stop, exclusive, repaired, and what was repaired among them, counted."""


def non_falling(t_us: np.ndarray) -> tuple[np.ndarray, int]:
    """Return times (N,) by the rule for time that runs backwards, and how many were changed."""
    if (t_us[1:] >= t_us[:-1]).all():
        return t_us, 0
    repaired = np.maximum.accumulate(t_us)
    return repaired, int((repaired != t_us).sum())


def on_sensor(events: Events, sensor_size_hw: tuple[int, int]) -> tuple[Events, int]:
    """Return the events whose pixels exist, and how many were left out."""
    height, width = sensor_size_hw
    if not len(events) or (events.x.max() < width and events.y.max() < height):
        return events, 0
    inside = (events.x < width) & (events.y < height)
    return events[inside], len(events) - int(inside.sum())


def pixels_of(column: np.ndarray) -> np.ndarray:
    """Return coordinates (N,) as uint16; those that do not fit are beyond any sensor and stay so."""
    if column.dtype == np.uint16:
        return column
    top = np.iinfo(np.uint16).max
    return np.where((column >= 0) & (column <= top), column, top).astype(np.uint16)  # NaN is beyond it too


def _seek_and_read(file: int, count: int, offset: int) -> bytes:
    os.lseek(file, offset, os.SEEK_SET)
    return os.read(file, count)


# Where there is no pread there is no fork either, after which two processes would move one position.
read_at = getattr(os, "pread", _seek_and_read)
"""Bytes of an open file: (descriptor, count, offset)."""


def checked_size(path: Path, given: Sequence[int] | None, in_file: Sequence[int] | None) -> tuple[int, int] | None:
    """Return the sensor's rows and columns: those the file names, else those given, else None.

    Raises:
        DataError: the two differ, or are no size.
    """
    if given is not None and in_file is not None and tuple(given) != tuple(in_file):
        raise DataError(
            f"{path}: the file says that the sensor has {quote(in_file[0])} rows and {quote(in_file[1])} columns, "
            f"not {quote(given[0])} and {quote(given[1])}; leave the size out"
        )
    size = in_file if in_file is not None else given
    if size is None:
        return None
    if len(size) != 2 or not all(0 < side <= MAX_SIDE for side in size):
        raise DataError(f"{path}: sensor_size_hw: {quote(tuple(size))} is not the rows and columns of a sensor")
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(f"{path}: a sensor of {size[0]} rows and {size[1]} columns: more than {MAX_PIXELS} pixels")
    return int(size[0]), int(size[1])
