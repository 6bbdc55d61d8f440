"""Prediction on recordings of event cameras, step after step, as if they came from the camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..detection.thresholds import Thresholds
from ..errors import ConfigError, DataError
from ..events import EventInput, Events, Recording, RepresentationConfig, open_recording
from ..events.filters import Filtering
from ..events.live import STANDARD_INPUT, LiveRecording, growing_file, standard_input
from ..events.render import render_window
from ..events.stream import StreamWindow, StreamWindows, one_timestep
from ..events.windows import Window
from ..imaging.tensors import frames_image
from ..model.detecting import Detecting, Outputs, State
from ..structures import Detections, Placement
from .ahead import Ahead
from .result import FrameResult
from .settings import PredictionSettings, Summary
from .sources import Frame, Source
from .tracking import Tracker

STAGES = READ, RENDER, NETWORK, BOXES = "read", "render", "network", "boxes"
"""From events to boxes; of what is read as it comes, `read` is from its newest event to the whole window."""

RunBy = Callable[[Detecting, EventInput, "tuple[int, int]", bool, "int | None"], Detecting]
"""Gives a model, its input, a sensor's rows and columns, whether potentials are carried and how many timesteps are
coming (None: nobody knows) to what runs it fastest."""

DRAWN_SIDE = 640  # pixels that the longer side of a video may have by enlarging


@dataclass(frozen=True)
class Step:
    """What a stream gives at an instant.

    Attributes:
        start_us: where the step began.
        end_us: the instant: events before it were seen.
        events: those of this step alone.
        detections: on the CPU, boxes in pixels of the sensor.
        logits: of the timesteps of this step alone, as the network gives them; of an exported one what its graph gives.
        stages_ms: how long each of `STAGES` took.
        latency_ms: time from events to boxes: of a file that was there the sum of the stages; of what is read as it
            comes the time since its newest event was there, waiting included.
    """

    start_us: int
    end_us: int
    events: Events
    detections: Detections
    logits: Outputs
    stages_ms: dict[str, float]
    latency_ms: float


@dataclass(frozen=True)
class _Seen:
    """A step as the network takes it, and when its events were there, or began to be read."""

    step: StreamWindow
    ready: float
    images: Any
    placement: Placement
    stages_ms: dict[str, float]


class EventStream:
    """A detector that looks at a recording step by step.

    Without `carry` every step is a whole window of T timesteps from rest, as in training. With it every step is one
    timestep, a T-th of a window: the neurons' potentials go on from step to step, and boxes are read off the mean
    logits of the last T timesteps, as many as in training. So there are boxes T times as often for the same
    computation, and the first whole window gives what it gives without `carry`. Where nothing happens for long there
    are no steps, and the network starts from rest after it; see `StreamWindows`, which
    also says what steps by a number of events are.

    The next windows are read and rendered while the network runs.

    Args:
        model: trained on recordings, or of the Gen1 checkpoint.
        recording: what to look at; a live one once.
        seen: how events become frames.
        carry: keep the potentials.
        thresholds: which detections are kept.

    Attributes:
        waited_s: of a live recording, how long the network has waited for windows.

    Raises:
        ConfigError: an input that cannot be streamed.
    """

    def __init__(
        self,
        model: Detecting,
        recording: Recording | LiveRecording,
        seen: EventInput,
        *,
        carry: bool = False,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.model, self.recording, self.carry = model, recording, carry
        self.thresholds, self.waited_s = thresholds or Thresholds(), 0.0
        if carry:
            model.check_carry()
        self._together = seen.timesteps if carry else 1
        self.windows = StreamWindows(recording, seen, carry) if isinstance(recording, Recording) else None
        self.seen = self._seen_live(seen) if self.windows is None else self.windows.seen
        self.step_us: int = (self.seen.window_us or 1) if self.windows is None else self.windows.step_us

    def _seen_live(self, seen: EventInput) -> EventInput:
        if seen.window_events is not None:
            raise ConfigError("window_events: what is still being made is cut by time; give --window-us")
        Filtering(seen.filters, self.recording.sensor_size_hw)  # refuses a region
        return one_timestep(seen) if self.carry else seen

    @property
    def total(self) -> int | None:
        """Steps of a recording that is whole, where that is known; the last may reach beyond the last event."""
        return None if self.windows is None else self.windows.total

    def __iter__(self) -> Iterator[Step]:
        live = isinstance(self.recording, LiveRecording)
        ahead = Ahead(self._all_seen())
        state: State = {}
        recent: deque[Outputs] = deque(maxlen=self.model.timesteps if self.carry else 1)
        try:
            while True:
                began = time.perf_counter()
                if (seen := next(ahead, None)) is None:
                    return
                start, step = time.perf_counter(), seen.step
                self.waited_s += start - began if live else 0.0
                if step.fresh:
                    state = {}
                    recent.clear()
                with torch.inference_mode():
                    logits, state = self.model.look(seen.images, state if self.carry else None)
                    looked = time.perf_counter()
                    recent.append(logits)
                    (found,) = self.model.detect(_mean(recent), self.thresholds, [seen.placement])
                    found = found.to("cpu")
                end = time.perf_counter()
                took = seen.stages_ms | {NETWORK: (looked - start) * 1e3, BOXES: (end - looked) * 1e3}
                latency = (end - seen.ready) * 1e3 if live else sum(took.values())
                yield Step(step.start_us, step.end_us, step.events, found, logits, took, latency)
        finally:
            if isinstance(self.recording, LiveRecording):
                self.recording.close()
            ahead.close()

    def _all_seen(self) -> Iterator[_Seen]:
        """Every window as the network takes it; this runs in another thread."""
        for ready, step in self._steps():
            read = time.perf_counter()
            frames, placement = render_window(step.window, self.recording.sensor_size_hw, self.seen)
            images = self.model.prepare(torch.from_numpy(np.ascontiguousarray(frames)).unsqueeze(1))
            took = {READ: (read - ready) * 1e3, RENDER: (time.perf_counter() - read) * 1e3}
            yield _Seen(step, ready, images, placement, took)

    def _steps(self) -> Iterator[tuple[float, StreamWindow]]:
        """What follows next, and when its events were there, or began to be read."""
        if isinstance(self.recording, LiveRecording):
            filtering = Filtering(self.seen.filters, self.recording.sensor_size_hw)
            for live in self.recording.windows(self.step_us, self._together):
                window = Window(filtering(live.events), live.end_us)
                yield live.ready, StreamWindow(live.first, live.end_us - self.step_us, live.end_us, live.events, window)
            return
        assert self.windows is not None
        steps, ready = iter(self.windows), time.perf_counter()
        while (step := next(steps, None)) is not None:
            yield ready, step
            ready = time.perf_counter()


def _mean(recent: Sequence[Outputs]) -> Outputs:
    """The mean logits of the last steps, level by level."""
    if len(recent) == 1:
        return recent[0]
    return [sum(level[1:], level[0]) / len(recent) for level in zip(*recent, strict=True)]


def found_on_recordings(
    model: Detecting,
    sources: Sequence[Source],
    seen: EventInput,
    settings: PredictionSettings,
    summary: Summary,
    *,
    carry: bool = False,
    run_by: RunBy | None = None,
) -> Iterator[FrameResult]:
    """Run the detector over recordings; yield what it finds, step by step.

    Memory does not grow with the length of a recording. Windows are drawn only where their image is asked for.

    Args:
        model: the detector.
        sources: recordings.
        seen: how they become frames.
        settings: how to look.
        summary: is kept.
        carry: see `EventStream`.
        run_by: gives the detector to another engine for a sensor.

    Raises:
        DataError: a recording cannot be read, or none has events.
        ConfigError: an input that cannot be streamed.
    """
    summary.total = 0
    if carry:  # before anything is waited for
        model.check_carry()
        one_timestep(seen)
    for source in sources:
        recording = _opened(source, settings.follow)
        stream = EventStream(model, recording, seen, carry=carry, thresholds=settings.thresholds)
        if run_by is not None:
            steps = None if stream.total is None else stream.total * stream.seen.timesteps
            stream.model = run_by(model, seen, recording.sensor_size_hw, carry, steps)
        summary.total = None if stream.total is None or summary.total is None else summary.total + stream.total
        summary.step_us = stream.step_us
        yield from _followed(stream, source, settings, summary)
    if not summary.frames:
        raise DataError(f"{recording.path}: no events in it")


def _opened(source: Source, follow: float | None) -> Recording | LiveRecording:
    if source.path == STANDARD_INPUT:
        return standard_input()
    return open_recording(Path(source.path)) if follow is None else growing_file(Path(source.path), follow)


def _followed(
    stream: EventStream, source: Source, settings: PredictionSettings, summary: Summary
) -> Iterator[FrameResult]:
    """What is found on one recording."""
    size_hw, before, began = stream.recording.sensor_size_hw, summary.seconds, time.perf_counter()
    source = replace(source, enlarged=max(1, DRAWN_SIDE // max(size_hw)), step_us=stream.step_us)
    tracker, seen_us = Tracker(source.fps) if settings.track else None, 0
    for index, step in enumerate(stream):
        seen_us += step.end_us - step.start_us
        if stream.seen.window_events is not None and stream.total is None:  # steps of both bounds: their mean so far
            summary.step_us = max(seen_us // (index + 1), 1)
        draw = partial(events_image, step.events, step.start_us, step.end_us, size_hw)
        frame = Frame(source, index, size_hw, draw, step.end_us)
        found = step.detections.with_names(stream.model.names)
        kept, tracks = tracker.follow(found) if tracker else (found, None)
        result = FrameResult(frame, kept, tracks, step.latency_ms)
        summary.add(result.detections)
        summary.add_step(step.stages_ms, step.latency_ms)
        yield result
        summary.seconds = before + time.perf_counter() - began - stream.waited_s


def events_image(events: Events, start_us: int, end_us: int, sensor_size_hw: tuple[int, int]) -> np.ndarray:
    """Return events, brighter ones in red and darker ones in blue on white, (H, W, 3) uint8 RGB."""
    counts = RepresentationConfig().render(events, start_us, end_us, sensor_size_hw, 1)
    return frames_image(torch.from_numpy(counts))
