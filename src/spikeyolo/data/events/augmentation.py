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
        return cls(hflip=0, zoom=0, drop=0, jitter_us=0, polarity=0)

    def events(self, events: Events, rng: np.random.Generator) -> Events:
        """Drop events, shift them in time, swap polarities; the given ones stay as they are."""
        share = rng.random() * self.drop
        if share > 0:
            events = events[rng.random(len(events)) >= share]
        if self.jitter_us > 0 and len(events):
            shifted = events.t_us + rng.normal(0, self.jitter_us, len(events)).round().astype(np.int64)
            order = np.argsort(shifted, kind="stable")
            events = replace(events[order], t_us=shifted[order])
        if rng.random() < self.polarity:
            events = replace(events, polarity=1 - events.polarity)
        return events

    def frames(self, labelled: Labelled, rng: np.random.Generator, nothing: int = 0) -> Labelled:
        """Mirror and zoom frames and boxes together; the given ones stay as they are.

        Args:
            labelled: frames, boxes in their pixels, labels.
            rng: where the randomness comes from.
            nothing: what a pixel without events holds.
        """
        if rng.random() < self.hflip:
            labelled = mirror(*labelled)
        if rng.random() < self.zoom:
            rows, columns = labelled[0].shape[-2:]
            factor = float(np.exp(rng.uniform(-1, 1) * np.log(self.zoom_range)))
            centre = (rng.uniform(0, columns), rng.uniform(0, rows))
            labelled = zoom(*labelled, factor, centre, self.min_visible, nothing)
        return labelled


def mirror(frames: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> Labelled:
    """Swap left and right."""
    columns = frames.shape[-1]
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = columns - boxes[:, [2, 0]]
    return frames[..., ::-1], mirrored, labels


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
