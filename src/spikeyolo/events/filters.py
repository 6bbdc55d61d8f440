"""Steps that take events out of a recording before they become frames: noise, and pixels beside a region.

The filters are pure functions of events in the order of time and of what is known of those before: they return which
events stay, and what is known after them, so that parts of a recording one after the other give what one pass gives.
`Filtering` keeps that knowledge along a recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ..errors import ConfigError, quote
from .types import Events

Region = tuple[int, int, int, int]
REFRACTORY, BACKGROUND, OUTSIDE = "refractory", "background", "beside the region"
MAX_PERIOD_US = 1_000_000
NEVER = -(1 << 62)
LOOK_BACK = 10  # refractory periods before a window
PIECE = 1 << 16  # events looked at together at most: what is computed on the way stays in the processor's cache


@dataclass(frozen=True)
class EventFilters:
    """Which events of a recording become frames; as it is, all of them. The steps are taken in this order.

    Attributes:
        refractory_us: an event less than so many microseconds after the last one of its pixel that was kept is dropped;
            0: none is.
        background_us: an event is kept only where one of the 8 pixels around it had one in so many microseconds before
            it; 0: all are.
        region: x0, y0, x1, y1 in pixels of the sensor, the last two not included: events beside it are dropped, and
            frames have its size; None: the whole sensor.

    Raises:
        ConfigError: a time out of range, or a region without pixels.
    """

    refractory_us: int = 0
    background_us: int = 0
    region: Region | None = None

    def __post_init__(self) -> None:
        for name in ("refractory_us", "background_us"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PERIOD_US:
                raise ConfigError(f"{name}: {quote(value)} is not an integer in 0..{MAX_PERIOD_US}")
        if self.region is None:
            return
        sides = tuple(self.region) if isinstance(self.region, list | tuple) else ()
        whole = len(sides) == 4 and all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
        if not whole or not (0 <= sides[0] < sides[2] and 0 <= sides[1] < sides[3]):
            raise ConfigError(
                f"region: {quote(self.region)} is not x0, y0, x1, y1: whole pixels from 0 on, x0 < x1 and y0 < y1"
            )
        object.__setattr__(self, "region", sides)

    def __bool__(self) -> bool:
        """Whether anything is dropped."""
        return self != EventFilters()

    def __str__(self) -> str:
        said = [f"{name} {getattr(self, name)}" for name in (f.name for f in fields(self)) if getattr(self, name)]
        return ", ".join(said) or "no filters"

    @property
    def look_back_us(self) -> int:
        """How long before a window the filters begin to look, where windows are taken one by one.

        For the neighbours that is exact. A pixel that fired without a pause of a refractory period for the ten before
        the window may keep other events than in one pass, as many of them.
        """
        return LOOK_BACK * self.refractory_us + self.background_us

    @property
    def offset_xy(self) -> tuple[int, int]:
        """Pixel of the sensor that is the frames' left top one."""
        return (0, 0) if self.region is None else self.region[:2]

    def size_hw(self, sensor_size_hw: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns that are left; ConfigError for a region that the sensor does not have."""
        if self.region is None:
            return sensor_size_hw
        x0, y0, x1, y1 = self.region
        if y1 > sensor_size_hw[0] or x1 > sensor_size_hw[1]:
            raise ConfigError(
                f"region: {x0}, {y0}, {x1}, {y1} reaches beyond the sensor of {sensor_size_hw[1]} columns and "
                f"{sensor_size_hw[0]} rows"
            )
        return y1 - y0, x1 - x0


def refractory(events: Events, period_us: int, last_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep an event unless its pixel kept one less than a period before.

    Args:
        events: N, in the order of time.
        period_us: after which a pixel may keep another one.
        last_us: (H, W) int64, when each pixel last kept one; NEVER where it has not.

    Returns:
        (N,) bool, which are kept, and `last_us` after them.

    Source: the dead time of the pixels themselves, Lichtsteiner, Posch and Delbruck, IEEE JSSC 43(2), 2008, section
    III; as a filter in jAER's RefractoryFilter.
    """
    last = last_us.copy()
    flat, kept = last.ravel(), np.zeros(len(events), bool)
    pixels, first = _pixels(events, last_us.shape[1]), np.zeros(last_us.size, np.int32)
    # Within less than a period each pixel keeps one event at most: the first that may be.
    for start, stop in _pieces(events.t_us, period_us - 1):
        t_us, pixel = events.t_us[start:stop], pixels[start:stop]
        ready = np.flatnonzero(t_us - flat[pixel] >= period_us)
        # Of several values for one pixel numpy keeps the last one written.
        first[pixel[ready[::-1]]] = ready[::-1]
        ready = ready[first[pixel[ready]] == ready]
        kept[start + ready] = True
        flat[pixel[ready]] = t_us[ready]
    return kept, last


def background(events: Events, support_us: int, last_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep an event if one of the 8 pixels around its own had an event before it, at most so long ago.

    Those that are not kept count as such events, too.

    Args:
        events: N, in the order of time.
        support_us: how long an event speaks for its neighbours.
        last_us: (H, W) int64, when each pixel last had an event; NEVER where it had none.

    Returns:
        (N,) bool, which are kept, and `last_us` after them.

    Source: Delbruck, Frame-free dynamic digital vision, Intl. Symp. on Secure-Life Electronics, 2008, background
    activity filter.
    """
    height, width = last_us.shape
    last = np.full((height + 2, width + 2), NEVER)  # with a border, so that every pixel has 8 neighbours
    last[1:-1, 1:-1] = last_us
    flat, kept = last.ravel(), np.zeros(len(events), bool)
    around = [row * (width + 2) + column for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]
    pixels = _pixels(events, width + 2) + (width + 3)
    far = np.iinfo(np.int32).max
    first = np.full(last.size, far, np.int32)
    # Within that time every earlier neighbour is near enough: only the first of each pixel matters.
    for start, stop in _pieces(events.t_us, support_us):
        t_us, pixel = events.t_us[start:stop], pixels[start:stop]
        order = np.arange(stop - start, dtype=np.int32)
        first[pixel[::-1]] = order[::-1]
        alone = order
        for step in around:
            beside = pixel[alone] + step
            alone = alone[(first[beside] >= alone) & (t_us[alone] - flat[beside] > support_us)]
        kept[start:stop] = True
        kept[start + alone] = False
        first[pixel] = far
        flat[pixel] = t_us
    return kept, last[1:-1, 1:-1].copy()


def inside(events: Events, region: Region) -> np.ndarray:
    """Return which events lie in a region, (N,) bool."""
    x0, y0, x1, y1 = region
    return (events.x >= x0) & (events.x < x1) & (events.y >= y0) & (events.y < y1)


class Filtering:
    """The filters along one recording: given its events part by part, it returns those of the frames.

    Args:
        filters: which.
        sensor_size_hw: rows and columns of the sensor.

    Attributes:
        dropped: events that each step dropped so far.

    Raises:
        ConfigError: a region that the sensor does not have.
    """

    def __init__(self, filters: EventFilters, sensor_size_hw: tuple[int, int]) -> None:
        filters.size_hw(sensor_size_hw)
        self.filters, self.dropped = filters, Counter[str]()
        self._kept_us = self._seen_us = np.full(sensor_size_hw, NEVER)

    def __call__(self, events: Events) -> Events:
        """Return what is left of the events that follow the ones given before, in pixels of the region."""
        f = self.filters
        if f.refractory_us:
            kept, self._kept_us = refractory(events, f.refractory_us, self._kept_us)
            events = self._left(REFRACTORY, events, kept)
        if f.background_us:
            kept, self._seen_us = background(events, f.background_us, self._seen_us)
            events = self._left(BACKGROUND, events, kept)
        if f.region is not None:
            events = self._left(OUTSIDE, events, inside(events, f.region))
            x0, y0 = (np.uint16(side) for side in f.offset_xy)
            events = Events(events.t_us, events.x - x0, events.y - y0, events.polarity)
        return events

    def _left(self, step: str, events: Events, kept: np.ndarray) -> Events:
        self.dropped[step] += len(events) - int(kept.sum())
        return events[kept]


def _pixels(events: Events, width: int) -> np.ndarray:
    """(N,) intp, row * width + column."""
    return events.y.astype(np.intp) * width + events.x


def _pieces(t_us: np.ndarray, longest_us: int) -> Iterator[tuple[int, int]]:
    """Where pieces begin and end of which the last event comes at most so long after the first."""
    start = 0
    while start < len(t_us):
        stop = min(start + PIECE, len(t_us))
        if t_us[stop - 1] - t_us[start] > longest_us:
            stop = start + int(np.searchsorted(t_us[start:stop], t_us[start] + longest_us, "right"))
        yield start, stop
        start = stop
