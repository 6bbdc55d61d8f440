"""Which events a network sees at an instant, and into which timesteps they fall.

A timestep reaches back from its end over at most `window_us` / T of time and at most `window_events` / T events,
whichever comes first; the one before it ends where it begins. With one of the two bounds alone all timesteps are
equally long, or hold equally many events; the oldest ones of a window at the start of a recording hold what there is.
Events of one microsecond may fall into two timesteps: they are counted one by one, as the file has them, before the
filters.

A timestep that is full, or whose time has no bound, is rendered from its first event to just after its last one:
between events time stands still. Any other one is rendered over its whole time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .event_input import EventInput
from .filters import Filtering
from .recording import Recording
from .types import COLUMNS, Events

Span = tuple[int, int]


@dataclass(frozen=True)
class Timestep:
    """Events that become one of the T frames.

    Attributes:
        events: those in it.
        start_us: where it begins.
        end_us: where it ends; later than all of its events.
    """

    events: Events
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Window:
    """Events that become T frames.

    Attributes:
        events: all of them, in pixels of the frames before `downscale`.
        end_us: the instant.
        timesteps: T of them, the oldest first; None where they are equal parts of time.
    """

    events: Events
    end_us: int
    timesteps: tuple[Timestep, ...] | None = None

    def changed(self, change: Callable[[Events], Events]) -> Window:
        """Return the window with its events changed by a function of all of them together."""
        events = change(self.events)
        if self.timesteps is None:
            return replace(self, events=events)
        if len(events) == len(self.events):
            stops = np.cumsum([len(one.events) for one in self.timesteps])
        else:
            stops = np.searchsorted(events.t_us, [_first_us(one) for one in [*self.timesteps[1:], None]])
            stops[-1] = len(events)
        starts = [0, *stops[:-1].tolist()]
        parts = [events[start:stop] for start, stop in zip(starts, stops.tolist(), strict=True)]
        return Window(
            events,
            self.end_us,
            tuple(replace(one, events=part) for one, part in zip(self.timesteps, parts, strict=True)),
        )


def _first_us(timestep: Timestep | None) -> int:
    """Where the events of a timestep begin."""
    if timestep is None:
        return 0
    return int(timestep.events.t_us[0]) if len(timestep.events) else timestep.start_us


def window_before(recording: Recording, end_us: int, event_input: EventInput) -> Window:
    """Return what a network sees of a recording at an instant, read with as little else as possible.

    Args:
        recording: where the events are.
        end_us: the instant; its own events are not part of the window.
        event_input: how.

    Raises:
        ConfigError: a region that the sensor does not have.
        DataError: the file cannot be read, or holds too many events in that time.
    """
    p = event_input
    if p.window_events is None:
        assert p.window_us is not None
        start_us = end_us - p.window_us
        parts = _filtered(recording, [recording.window(start_us, end_us)], start_us, p)
        return Window(parts[0], end_us)
    stop = recording.index(end_us)
    first = max(stop - p.window_events, 0)
    if p.window_us is not None:
        first = max(first, recording.index(end_us - p.window_us))
    events = recording.part(first, stop, end_us)
    places = cut(events.t_us, end_us, p)
    raw = [events[place:following] for place, following, _ in places]
    return joined(_filtered(recording, raw, end_us, p, first + places[0][0]), [span for *_, span in places])


def cut(t_us: np.ndarray, end_us: int, event_input: EventInput) -> list[tuple[int, int, Span]]:
    """Return which of the events before an instant fall into each timestep, (first, after the last), and its time.

    Args:
        t_us: of the events, never falling.
        end_us: the instant.
        event_input: with a bound of events.
    """
    found, stop, step_us = list[tuple[int, int, Span]](), len(t_us), event_input.timestep_us
    for _ in range(event_input.timesteps):
        first = max(stop - event_input.timestep_events, 0)
        if step_us is not None:
            first = max(first, int(np.searchsorted(t_us[:stop], end_us - step_us)))
        found.append((first, stop, span_of(t_us[first:stop], end_us, event_input)))
        stop, end_us = first, found[-1][2][0]
    return found[::-1]


def span_of(t_us: np.ndarray, end_us: int, event_input: EventInput) -> Span:
    """Return from when to when a timestep is rendered, given its events and where it ends."""
    step_us = event_input.timestep_us
    if len(t_us) and (step_us is None or len(t_us) == event_input.timestep_events):
        return int(t_us[0]), int(t_us[-1]) + 1
    start_us = end_us - (step_us or 1)
    return min(start_us, int(t_us[0])) if len(t_us) else start_us, end_us


def _filtered(
    recording: Recording, parts: list[Events], start_us: int, event_input: EventInput, first: int | None = None
) -> list[Events]:
    """What the filters leave of parts that follow each other, the first from a time, or an event, on."""
    if not event_input.filters:
        return parts
    filtering, back_us = Filtering(event_input.filters, recording.sensor_size_hw), event_input.filters.look_back_us
    if back_us and (there := [part for part in parts if len(part)]):
        if first is None:
            first = recording.index(start_us)
        else:
            start_us = int(there[0].t_us[0])
        filtering(recording.part(recording.index(start_us - back_us), first))
    return [filtering(part) for part in parts]


def joined(parts: Sequence[Events], spans: Sequence[Span]) -> Window:
    """Return the window of timesteps with these events and times."""
    # Events of the microsecond in which a timestep ends may still be its own.
    timesteps = [
        Timestep(part, start, max(end, int(part.t_us[-1]) + 1) if len(part) else end)
        for part, (start, end) in zip(parts, spans, strict=True)
    ]
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS]
    return Window(Events(*columns), timesteps[-1].end_us, tuple(timesteps))
