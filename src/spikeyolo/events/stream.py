"""A recording as windows that follow each other, each event in one of them, as if they came from the camera."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .event_input import EventInput
from .filters import Filtering
from .recording import STILL_US, Recording
from .types import COLUMNS, Events
from .windows import Span, Window, joined, span_of


@dataclass(frozen=True)
class StreamWindow:
    """What follows next.

    Attributes:
        fresh: the network starts from rest.
        start_us: where the one before ended.
        end_us: events before it were seen.
        events: those of it, as the camera gave them.
        window: what the network sees of them.
    """

    fresh: bool
    start_us: int
    end_us: int
    events: Events
    window: Window


def one_timestep(seen: EventInput) -> EventInput:
    """Return what a network sees of a T-th of a window, when its potentials are carried on.

    Raises:
        ConfigError: timesteps that are not equal or not in the order of time.
    """
    seen.check_in_order("carry")
    if seen.window_events is None:
        return replace(seen, window_us=seen.equal_steps_us("carry"), timesteps=1)
    return replace(seen, window_us=seen.timestep_us, window_events=seen.timestep_events, timesteps=1)


class StreamWindows:
    """The windows of a recording, or with `carry` its timesteps, one after the other.

    Of a number of events, one ends with each N-th event, and the last with what there is; a timestep each N / T. With a
    bound of time beside it a timestep ends at the latest `window_us` / T after its start, and a window is T of them. A
    last window of fewer has empty timesteps before them. Time before the first event is left out, and time in which
    nothing happens for long; see `Recording.steps`.

    Args:
        recording: what to look at.
        seen: how events become frames.
        carry: timestep by timestep.

    Attributes:
        seen: how one of them becomes frames.
        total: how many there are; None where both bounds decide it as they go.
        step_us: length of one: mean, or longest where both bounds decide.

    Raises:
        ConfigError: with `carry`, timesteps that are not equal or not in the order of time; or a region that the sensor
            does not have.
    """

    def __init__(self, recording: Recording, seen: EventInput, carry: bool = False) -> None:
        whole = seen.timesteps if carry else 1  # steps of a window, which begin with one without `carry`
        if carry:
            seen = one_timestep(seen)
        Filtering(seen.filters, recording.sensor_size_hw)  # refuses a region
        self.recording, self.seen = recording, seen
        self.total: int | None = None
        self._stretches = list[range]()
        if seen.window_events is None:
            assert seen.window_us is not None
            self.step_us = seen.window_us
            self._stretches = recording.steps(self.step_us, first_us=self.step_us)
            self.total = sum(map(len, self._stretches))
            still = -(-recording.duration_us // self.step_us) - self.total
            if still > 0:
                self._warn(f"{still} steps left out, {still * self.step_us / 1e6:g} s")
            if self._stretches:  # the clock of a camera may be set long before its first event
                first = self._stretches[0]
                begins_us = recording.start_us // (whole * self.step_us) * whole * self.step_us
                before = max(0, (begins_us - first.start) // self.step_us + 1)
                self._stretches[0], self.total = first[before:], self.total - before
        elif seen.window_us is None:
            self.total = -(-len(recording) // seen.window_events)
            self.step_us = max((recording.duration_us - recording.start_us) // max(self.total, 1), 1)
        else:
            self.step_us = seen.window_us

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self.recording.path}: {what} in which there is no event for 10 s and longer", stacklevel=4)

    def __iter__(self) -> Iterator[StreamWindow]:
        filtering = Filtering(self.seen.filters, self.recording.sensor_size_hw)
        return self._of_time(filtering) if self.seen.window_events is None else self._of_numbers(filtering)

    def _of_time(self, filtering: Filtering) -> Iterator[StreamWindow]:
        for stretch in self._stretches:
            for number, end_us in enumerate(stretch):
                events = self.recording.window(end_us - self.step_us, end_us)
                window = Window(filtering(events), end_us)
                yield StreamWindow(number == 0, end_us - self.step_us, end_us, events, window)

    def _of_numbers(self, filtering: Filtering) -> Iterator[StreamWindow]:
        recording, p = self.recording, self.seen
        start_us = max(recording.start_us, 0) // p.timestep_us * p.timestep_us if p.timestep_us else 0
        group, fresh, number = list[tuple[Events, Events, Span]](), True, 0
        while number < len(recording):
            if p.timestep_us is not None and (later_us := self._after_silence(number, start_us)) > start_us:
                if group:
                    yield self._window(group, fresh)
                    group = []
                start_us, fresh = later_us, True
            stop, end_us = self._step(number, start_us)
            events = recording.part(number, stop, end_us)
            group.append((events, filtering(events), span_of(events.t_us, end_us, p)))
            number, start_us = stop, end_us
            if len(group) == p.timesteps or number == len(recording):
                yield self._window(group, fresh)
                group, fresh = [], False

    def _step(self, number: int, start_us: int) -> tuple[int, int]:
        """The event after the timestep that begins with an event, at a time; and where it ends."""
        recording, p = self.recording, self.seen
        stop = min(number + p.timestep_events, len(recording))
        if p.timestep_us is not None:
            stop = min(stop, max(recording.index(start_us + p.timestep_us), number))
            if stop - number < p.timestep_events:
                return stop, start_us + p.timestep_us
        return stop, max(recording.time(stop - 1) + 1, start_us)

    def _after_silence(self, number: int, start_us: int) -> int:
        """Where to go on, given the next event: at the same time, but after a silence of 20 s."""
        silence_us = self.recording.time(number) - start_us
        if silence_us < 2 * STILL_US:
            return start_us
        assert self.seen.timestep_us is not None
        self._warn(f"{silence_us / 1e6:g} s left out,")
        return start_us + silence_us // self.seen.timestep_us * self.seen.timestep_us

    def _window(self, group: list[tuple[Events, Events, Span]], fresh: bool) -> StreamWindow:
        """Of so many timesteps, and empty ones before them up to T."""
        raw, filtered, spans = zip(*group, strict=True)
        missing, start_us = self.seen.timesteps - len(group), spans[0][0]
        window = joined(
            [*(Events.empty() for _ in range(missing)), *filtered],
            [*((start_us - 1, start_us) for _ in range(missing)), *spans],
        )
        columns = [np.concatenate([getattr(part, name) for part in raw]) for name in COLUMNS]
        return StreamWindow(fresh, start_us, window.end_us, Events(*columns), window)
