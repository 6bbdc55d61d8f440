"""Prediction on recordings of event cameras, step after step, as if they came from the camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..detection.thresholds import Thresholds
from ..errors import DataError
from ..events import EventInput, Events, Recording, RepresentationConfig, open_recording
from ..events.render import render_window
from ..events.stream import StreamWindows
from ..events.windows import Window
from ..imaging.tensors import frames_image
from ..model.detecting import Detecting, Outputs, State
from ..structures import Detections, Placement
from .result import FrameResult
from .settings import PredictionSettings, Summary
from .sources import Frame, Source
from .tracking import Tracker

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
        latency_ms: time from events to boxes.
    """

    start_us: int
    end_us: int
    events: Events
    detections: Detections
    logits: Outputs
    latency_ms: float


class EventStream:
    """A detector that looks at a recording step by step.

    Without `carry` every step is a whole window of T timesteps from rest, as in training. With it every step is one
    timestep, a T-th of a window: the neurons' potentials go on from step to step, and boxes are read off the mean
    logits of the last T timesteps, as many as in training. So there are boxes T times as often for the same
    computation, and the first whole window gives what it gives without `carry`. Where nothing happens for long there
    are no steps, and the network starts from rest after it; see `StreamWindows`, which
    also says what steps by a number of events are.

    Args:
        model: trained on recordings, or of the Gen1 checkpoint.
        recording: what to look at.
        seen: how events become frames.
        carry: keep the potentials.
        thresholds: which detections are kept.

    Raises:
        ConfigError: an input that cannot be streamed.
    """

    def __init__(
        self,
        model: Detecting,
        recording: Recording,
        seen: EventInput,
        *,
        carry: bool = False,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.model, self.recording, self.carry = model, recording, carry
        self.thresholds = thresholds or Thresholds()
        if carry:
            model.check_carry()
        self.windows = StreamWindows(recording, seen, carry)
        self.step_us = self.windows.step_us

    def __iter__(self) -> Iterator[Step]:
        state: State | None = None
        recent: deque[Outputs] = deque(maxlen=self.model.timesteps if self.carry else 1)
        windows = iter(self.windows)
        while True:
            start = time.perf_counter()
            if (step := next(windows, None)) is None:
                return
            images, placement = self._images(step.window)
            if step.fresh or not self.carry:
                state = {} if self.carry else None
                recent.clear()
            with torch.inference_mode():
                logits, state = self.model.look(images, state)
                recent.append(logits)
                (found,) = self.model.detect(_mean(recent), self.thresholds, [placement])
            latency_ms = (time.perf_counter() - start) * 1e3
            yield Step(step.start_us, step.end_us, step.events, found.to("cpu"), logits, latency_ms)

    def _images(self, window: Window) -> tuple[Any, Placement]:
        """The events before an instant as the network takes them, and how the sensor lies on them."""
        frames, placement = render_window(window, self.recording.sensor_size_hw, self.windows.seen)
        images = torch.from_numpy(np.ascontiguousarray(frames)).unsqueeze(1)
        return self.model.prepare(images), placement


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
) -> Iterator[FrameResult]:
    """Run the detector over recordings; yield what it finds, step by step.

    Memory does not grow with the length of a recording, but for one number a step. Windows are drawn only where their
    image is asked for.

    Args:
        model: the detector.
        sources: recordings.
        seen: how they become frames.
        settings: how to look.
        summary: is kept.
        carry: see `EventStream`.

    Raises:
        DataError: a recording cannot be read, or none has events.
        ConfigError: an input that cannot be streamed.
    """
    summary.total = 0
    for source in sources:
        recording = open_recording(Path(source.path))
        stream = EventStream(model, recording, seen, carry=carry, thresholds=settings.thresholds)
        total, summary.step_us = stream.windows.total, stream.step_us
        summary.total = None if total is None or summary.total is None else summary.total + total
        size_hw = recording.sensor_size_hw
        source = replace(source, enlarged=max(1, DRAWN_SIDE // max(size_hw)), step_us=stream.step_us)
        tracker, seen_us = Tracker(source.fps) if settings.track else None, 0
        for index, step in enumerate(stream):
            seen_us += step.end_us - step.start_us
            if stream.windows.total is None:  # steps of both bounds: their mean so far
                summary.step_us = max(seen_us // (index + 1), 1)
            draw = partial(events_image, step.events, step.start_us, step.end_us, size_hw)
            frame = Frame(source, index, size_hw, draw, step.end_us)
            found = step.detections.with_names(model.names)
            result = FrameResult(frame, *(tracker.follow(found) if tracker else (found,)))
            summary.add(result.detections)
            summary.latencies_ms.append(step.latency_ms)
            yield result
    if not summary.frames:
        raise DataError(f"{sources[0].path}: no events in it")


def events_image(events: Events, start_us: int, end_us: int, sensor_size_hw: tuple[int, int]) -> np.ndarray:
    """Return events, brighter ones in red and darker ones in blue on white, (H, W, 3) uint8 RGB."""
    counts = RepresentationConfig().render(events, start_us, end_us, sensor_size_hw, 1)
    return frames_image(torch.from_numpy(counts))
