"""What training does to recordings: to single events, and to frames and boxes together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError

if TYPE_CHECKING:  # the options of `train` come from here, and their help needs no torch
    from ...events.types import Events

Labelled = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Frames (T, C, H, W), boxes (N, 4) xyxy in their pixels, labels (N,)."""


@dataclass(frozen=True)
class EventAugmentation:
    """What training does to recordings.

    Attributes:
        hflip: probability of mirroring left and right.
        turn: probability of turning by a quarter, a half or three quarters, each as often as the others; where frames
            have not as many rows as columns, by a half.
        zoom: probability of zooming in or out around a random point.
        zoom_range: zoomed by at most this factor either way.
        drop: largest share of events left out at random, up to 1.
        jitter_us: standard deviation of a shift of each event in time, in microseconds.
        polarity: probability of swapping brighter and darker.
        min_visible: a box that keeps less than this share of its area is dropped.

    Raises:
        ConfigError: a value outside its range.
    """

    hflip: float = 0.5
    turn: float = 0.0
    zoom: float = 0.5
    zoom_range: float = 1.5
    drop: float = 0.1
    jitter_us: float = 0.0
    polarity: float = 0.0
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            low, high = {"zoom_range": (1.0, 4.0), "jitter_us": (0.0, 1e6)}.get(name, (0.0, 1.0))
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"event_augmentation.{name}: {value!r} is outside {low:g}..{high:g}")

    @classmethod
    def none(cls) -> EventAugmentation:
        """Return settings by which nothing happens."""
        return cls(hflip=0, turn=0, zoom=0, drop=0, jitter_us=0, polarity=0)

    def events(self, events: Events, rng: np.random.Generator) -> Events:
        """Drop events, shift them in time, swap polarities; the given ones stay as they are."""
        events = jittered(thinned(events, rng.random() * self.drop, rng), self.jitter_us, rng)
        return swapped(events) if rng.random() < self.polarity else events

    def drawn(self, rng: np.random.Generator, size_hw: tuple[int, int]) -> DrawnAugmentation:
        """Return what happens to all of a sequence, drawn once.

        Args:
            rng: where the randomness comes from.
            size_hw: rows and columns of the frames.
        """
        share = rng.random() * self.drop
        swap, flip, zoomed = (rng.random(3) < (self.polarity, self.hflip, self.zoom)).tolist()
        factor = float(np.exp(rng.uniform(-1, 1) * np.log(self.zoom_range)))
        centre = (rng.uniform(0, size_hw[1]), rng.uniform(0, size_hw[0]))
        quarters = self._quarters(rng, size_hw)
        return DrawnAugmentation(
            share, self.jitter_us, swap, flip, quarters, factor if zoomed else None, centre, self.min_visible
        )

    def frames(self, labelled: Labelled, rng: np.random.Generator, nothing: int = 0) -> Labelled:
        """Mirror, turn and zoom frames and boxes together; the given ones stay as they are.

        Args:
            labelled: frames, boxes in their pixels, labels.
            rng: where the randomness comes from.
            nothing: what a pixel without events holds.
        """
        if rng.random() < self.hflip:
            labelled = mirror(*labelled)
        labelled = turned(*labelled, self._quarters(rng, labelled[0].shape[-2:]))
        if rng.random() < self.zoom:
            rows, columns = labelled[0].shape[-2:]
            factor = float(np.exp(rng.uniform(-1, 1) * np.log(self.zoom_range)))
            centre = (rng.uniform(0, columns), rng.uniform(0, rows))
            labelled = zoom(*labelled, factor, centre, self.min_visible, nothing)
        return labelled

    def _quarters(self, rng: np.random.Generator, size_hw: tuple[int, ...]) -> int:
        """By how many quarters to turn; without `turn` nothing is drawn, so that all else is as it was before it."""
        if self.turn == 0 or rng.random() >= self.turn:
            return 0
        return int(rng.integers(1, 4)) if size_hw[0] == size_hw[1] else 2


@dataclass(frozen=True)
class DrawnAugmentation:
    """What happens to every stretch of a sequence: the same throughout, so that what moves goes on moving.

    Only which events are left out, and by how much each is shifted, is drawn for each stretch.

    Attributes:
        drop: share of events left out.
        jitter_us: standard deviation of a shift of each event in time, in microseconds.
        swap: brighter and darker are swapped.
        flip: left and right are mirrored.
        quarters: of a turn, clockwise.
        factor: of the zoom; None: there is none.
        centre: (x, y) of the zoom, in pixels of the frames.
        min_visible: a box that keeps less than this share of its area is dropped.
    """

    drop: float
    jitter_us: float
    swap: bool
    flip: bool
    quarters: int
    factor: float | None
    centre: tuple[float, float]
    min_visible: float

    def events(self, events: Events, rng: np.random.Generator) -> Events:
        """Drop events, shift them in time, swap polarities; the given ones stay as they are."""
        events = jittered(thinned(events, self.drop, rng), self.jitter_us, rng)
        return swapped(events) if self.swap else events

    def frames(self, labelled: Labelled, nothing: int = 0) -> Labelled:
        """Mirror, turn and zoom frames and boxes together; see `EventAugmentation.frames`."""
        if self.flip:
            labelled = mirror(*labelled)
        labelled = turned(*labelled, self.quarters)
        if self.factor is not None:
            labelled = zoom(*labelled, self.factor, self.centre, self.min_visible, nothing)
        return labelled


def thinned(events: Events, share: float, rng: np.random.Generator) -> Events:
    """Leave out a share of the events, at random."""
    return events[rng.random(len(events)) >= share] if share > 0 else events


def jittered(events: Events, jitter_us: float, rng: np.random.Generator) -> Events:
    """Shift each event in time by a random number of that standard deviation."""
    if jitter_us <= 0 or not len(events):
        return events
    shifted = events.t_us + rng.normal(0, jitter_us, len(events)).round().astype(np.int64)
    order = np.argsort(shifted, kind="stable")
    return replace(events[order], t_us=shifted[order])


def swapped(events: Events) -> Events:
    """Swap brighter and darker."""
    return replace(events, polarity=1 - events.polarity)


def mirror(frames: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> Labelled:
    """Swap left and right."""
    columns = frames.shape[-1]
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = columns - boxes[:, [2, 0]]
    return frames[..., ::-1], mirrored, labels


def turned(frames: np.ndarray, boxes: np.ndarray, labels: np.ndarray, quarters: int) -> Labelled:
    """Turn clockwise by so many quarters."""
    for _ in range(quarters % 4):
        rows = frames.shape[-2]
        frames = np.rot90(frames, -1, axes=(-2, -1))
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([rows - y2, x1, rows - y1, x2], axis=1)
    return frames, boxes, labels


def zoom(
    frames: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    factor: float,
    centre: tuple[float, float],
    min_visible: float = 0.0,
    nothing: int = 0,
) -> Labelled:
    """Scale by a factor around a point (x, y) that stays in place; what comes in from outside holds `nothing`.

    Each pixel takes the value of the nearest one, as counts cannot be blended.
    """
    rows, columns = frames.shape[-2:]
    (at_row, row), (at_column, column) = (
        _sources(size, middle, factor) for size, middle in ((rows, centre[1]), (columns, centre[0]))
    )
    zoomed = np.full_like(frames, nothing)
    zoomed[:, :, at_row, at_column] = frames.take(row, axis=2).take(column, axis=3)
    middle_xyxy = np.array([*centre, *centre])
    moved = (boxes - middle_xyxy) * factor + middle_xyxy
    clipped = np.clip(moved, 0, [columns, rows, columns, rows])
    whole, left = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (moved, clipped))
    kept = (left > 0) & (left >= min_visible * whole)
    return zoomed, clipped[kept].astype(boxes.dtype), labels[kept]


def _sources(size: int, middle: float, factor: float) -> tuple[slice, np.ndarray]:
    """The positions of an axis that are filled from inside it, and for each of them the position it is filled from."""
    source = np.floor((np.arange(size) + 0.5 - middle) / factor + middle).astype(np.int64)
    inside = np.searchsorted(source, [0, size])  # sources rise
    return slice(*inside), source[slice(*inside)]
