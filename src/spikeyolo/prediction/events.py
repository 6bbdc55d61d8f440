"""Prediction on recordings of event cameras, window after window, as if they came from the camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..detection.anchors import decode
from ..detection.nms import non_maximum_suppression
from ..errors import ConfigError, DataError
from ..events import READERS, EventInput, Recording, RepresentationConfig, open_recording, render
from ..imaging.tensors import frames_image
from ..model.detector import SpikeYOLO
from ..model.inputs import chosen_input
from ..spiking import NeuronState
from ..structures import STRIDES, Detections
from .images import PredictionSettings, Summary, open_writers
from .sources import Clip, Frame
from .tracking import Tracker
from .writers import Found

LARGEST_FPS = 1000.0
DRAWN_SIDE = 640  # pixels that the longer side of a video may have by enlarging


@dataclass(frozen=True)
class RecordingClip(Clip):
    """A recording as a video that runs at the recording's own pace.

    Attributes:
        step_us: time from one image to the next.
    """

    step_us: int = 40_000

    @property
    def fps(self) -> float:
        """Images a second."""
        return min(1e6 / self.step_us, LARGEST_FPS)


@dataclass(frozen=True)
class Step:
    """What a stream gives at an instant.

    Attributes:
        end_us: the instant: events before it were seen.
        detections: on the CPU, boxes in pixels of the sensor.
        logits: of the timesteps of this step alone, as the network gives them.
        latency_ms: time from events to boxes.
    """

    end_us: int
    detections: Detections
    logits: tuple[Tensor, ...]
    latency_ms: float


class EventStream:
    """A detector that looks at a recording step by step.

    Without `carry` every step is a whole window of T timesteps from rest, as in training. With it every step is one
    timestep, a T-th of a window: the neurons' potentials go on from step to step, and boxes are read off the mean
    logits of the last T timesteps, as many as in training. So there are boxes T times as often for the same
    computation, and the first whole window gives what it gives without `carry`.

    Args:
        model: trained on recordings, or of the Gen1 checkpoint.
        recording: what to look at.
        preparation: how events become frames.
        carry: keep the potentials.
        conf: least score of a detection.
        iou: overlap over which the weaker of two boxes of a class is dropped.
        max_det: most detections of a step.

    Raises:
        ConfigError: a preparation that cannot be streamed.
    """

    def __init__(
        self,
        model: SpikeYOLO,
        recording: Recording,
        preparation: EventInput,
        *,
        carry: bool = False,
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
    ) -> None:
        self.model, self.recording, self.carry = model.eval(), recording, carry
        self.conf, self.iou, self.max_det = conf, iou, max_det
        if carry:
            if preparation.order != "oldest-first":
                raise ConfigError(
                    f"carry: the network sees the timesteps of a window {preparation.order}, not in order"
                )
            if preparation.window_us % preparation.timesteps:
                raise ConfigError(
                    f"carry: a window of {preparation.window_us} us has no {preparation.timesteps} equal timesteps; "
                    "give another --window-us"
                )
            step_us = preparation.window_us // preparation.timesteps
            preparation = replace(preparation, timesteps=1, window_us=step_us)
        self.preparation, self.step_us = preparation, preparation.window_us

    def __len__(self) -> int:
        """Steps; the last may reach beyond the last event."""
        return -(-self.recording.duration_us // self.step_us)

    def __iter__(self) -> Iterator[Step]:
        state = NeuronState()
        recent: deque[tuple[Tensor, ...]] = deque(maxlen=self.model.config.timesteps if self.carry else 1)
        for number in range(1, len(self) + 1):
            end_us, start = number * self.step_us, time.perf_counter()
            frames, placement = render(self.recording, end_us, self.preparation)
            images = torch.from_numpy(np.ascontiguousarray(frames)).unsqueeze(1).to(self.model.device)
            images = images.to(self.model.dtype) / (255 if images.dtype == torch.uint8 else 1)
            with torch.inference_mode():
                if self.carry:
                    logits, state = self.model(images, state)
                else:
                    logits = self.model(images)
                recent.append(logits)
                mean = [sum(level) / len(recent) for level in zip(*recent, strict=True)] if len(recent) > 1 else logits
                boxes, scores = decode([level.float() for level in mean], STRIDES)
                (found,) = non_maximum_suppression(boxes, scores, conf=self.conf, iou=self.iou, max_det=self.max_det)
            detections = Detections(placement.to_original(found.boxes), found.scores, found.labels).to("cpu")
            yield Step(end_us, detections, logits, (time.perf_counter() - start) * 1e3)


@dataclass
class StreamSummary(Summary):
    """A summary with the speed of a stream.

    Attributes:
        step_us: a step's length in the recording's time.
        total: steps of the recordings so far.
        latencies_ms: of each step so far.
    """

    step_us: int = 0
    total: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def speed(self) -> str:
        """A line with the latency of a step beside its length."""
        median, slow = np.percentile(self.latencies_ms, [50, 95])
        length = self.step_us / 1e3
        keeps = "keeps" if slow <= length else "does not keep"
        return (
            f"a step of {length:g} ms takes {median:.1f} ms (median), {slow:.1f} ms (95 %), from events to boxes; "
            f"real-time factor {median / length:.2f}: {keeps} up with the camera"
        )


def predict_recordings(
    model: SpikeYOLO,
    files: Sequence[Path],
    settings: PredictionSettings,
    *,
    carry: bool = False,
    preparation: str | None = None,
    window_us: int | None = None,
) -> Iterator[StreamSummary]:
    """Runs the detector over recordings; yields the running summary after each step.

    Memory does not grow with the length of a recording, but for one number a step.

    Raises:
        DataError: a recording cannot be read, or nothing can be written.
        ConfigError: a threshold out of range, or a preparation that is missing or does not fit the network.
    """
    prepared = chosen_input(model, preparation=preparation, window_us=window_us, kind="recordings")
    assert isinstance(prepared, EventInput)
    limits = {"conf": settings.conf, "iou": settings.iou, "max_det": settings.max_det}
    summary = StreamSummary()
    with open_writers(model, settings) as writer:
        for file, name in zip(files, _names(files), strict=True):
            stream = EventStream(model, open_recording(file), prepared, carry=carry, **limits)  # type: ignore[arg-type]
            summary.total += len(stream)
            summary.step_us = stream.step_us
            enlarged = max(1, DRAWN_SIDE // max(stream.recording.sensor_size_hw))
            clip = RecordingClip(str(file), name, True, enlarged, stream.step_us)
            tracker = Tracker(clip.fps) if settings.track else None
            for index, step in enumerate(stream):
                image = window_image(stream.recording, step.end_us - stream.step_us, step.end_us)
                frame = Frame(image, clip, index, step.end_us)
                found = Found(frame, *tracker.follow(step.detections)) if tracker else Found(frame, step.detections)
                writer.write(found)
                summary.detections.update(model.names[i] for i in found.detections.labels.tolist())
                summary.frames += 1
                summary.latencies_ms.append(step.latency_ms)
                yield summary
    if not summary.frames:
        raise DataError(f"{files[0]}: no events in it")


def find_recordings(sources: Sequence[str]) -> list[Path]:
    """The recordings among files and folders; empty if there are none.

    Raises:
        DataError: recordings beside other sources, which cannot be looked at in one run.
    """
    found, others = [], []
    for source in sources:
        path = Path(source)
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        recordings = [file for file in inside if file.suffix.lower() in READERS]
        (found.extend(recordings) if recordings else others.append(source))
    if found and others:
        raise DataError(f"{others[0]}: no recording, but {found[0]} is one; name either images or recordings")
    return found


def window_image(recording: Recording, start_us: int, end_us: int) -> np.ndarray:
    """The events of a window, brighter ones in red and darker ones in blue on white, (H, W, 3) uint8 RGB."""
    counts = RepresentationConfig().render(
        recording.window(start_us, end_us), start_us, end_us, recording.sensor_size_hw, 1
    )
    return frames_image(torch.from_numpy(counts))


def _names(files: Sequence[Path]) -> list[str]:
    """For what is written about each file; no two the same."""
    names: list[str] = []
    for file in files:
        name, number = file.stem, 2
        while name in names:
            name, number = f"{file.stem}_{number}", number + 1
        names.append(name)
    return names
