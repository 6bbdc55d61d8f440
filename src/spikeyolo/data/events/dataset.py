from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...events.event_input import EventInput
from ...events.recording import Recording, open_recording
from ...events.render import frames_of, on_canvas
from ...structures import Batch, Placement, Targets
from .augmentation import EventAugmentation
from .description import check_frames
from .index import EventIndex
from .rvt import RvtSequence, open_rvt

Key = tuple[int, int]

OPEN_RECORDINGS = 128  # each holds a file open; processes are often allowed 1024


@dataclass(frozen=True)
class EventSample:
    """The window before a labelled instant, as the network sees it.

    Attributes:
        frames: (T, C, H, W) float32, or uint8 grey values.
        boxes: (N, 4) float32 xyxy in its pixels.
        labels: (N,) int64.
        placement: how the sensor lies on the canvas.
        image_id: number of the instant in the index.
    """

    frames: Tensor
    boxes: Tensor
    labels: Tensor
    placement: Placement
    image_id: int


class EventDataset(Dataset[EventSample]):
    """The labelled instants of an index, rendered from the recordings as they are asked for; nothing is prepared.

    What a sample looks like depends on (seed, epoch, instant) alone. RVT's frames are taken as they are: augmentation
    of single events (drop, jitter, polarity) does nothing to them.

    Args:
        index: the instants.
        preparation: how recordings become frames.
        augmentation: what happens to them; None for evaluation.
        seed: of the randomness.

    Raises:
        ConfigError: frames that were prepared in another way.
    """

    def __init__(
        self,
        index: EventIndex,
        preparation: EventInput,
        augmentation: EventAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.index, self.preparation, self.seed = index, preparation, seed
        self.augmentation = augmentation or EventAugmentation.none()
        self._open: OrderedDict[int, Recording | RvtSequence] = OrderedDict()
        if index.made is not None:
            check_frames(preparation, index.made, str(index.frames))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | Key) -> EventSample:
        epoch, instant = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng((self.seed, epoch, instant))
        p, size_hw = self.preparation, self.index.sensor_size_hw
        end_us = int(self.index.t_us[instant])
        recording = self._recording(int(self.index.recording[instant]))
        if isinstance(recording, RvtSequence):
            frames = recording.before(end_us, p.timesteps).astype(np.float32)
        else:
            events = self.augmentation.events(recording.window(end_us - p.window_us, end_us), rng)
            frames = frames_of(events, end_us, size_hw, p)
        boxes, labels = self.index.objects(instant)
        frames, scaled, labels = self.augmentation.frames((frames, boxes / p.downscale, labels), rng, p.nothing)
        canvas, placement = on_canvas(p.in_order(frames, rng), size_hw, p)
        on_sensor = torch.from_numpy((scaled * p.downscale).astype(np.float32))
        return EventSample(
            torch.from_numpy(canvas), placement.to_canvas(on_sensor), torch.from_numpy(labels), placement, instant
        )

    def _recording(self, number: int) -> Recording | RvtSequence:
        if number not in self._open:
            if len(self._open) >= OPEN_RECORDINGS:
                self._open.popitem(last=False)
            path, frames = self.index.recordings[number], self.index.frames
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the index has told it
                size_hw = self.index.sensor_size_hw
                self._open[number] = open_rvt(path, frames) if frames else open_recording(path, size_hw)
        self._open.move_to_end(number)
        return self._open[number]

    @staticmethod
    def collate(samples: Sequence[EventSample]) -> Batch:
        """Samples of one size -> Batch: images (T, B, C, H, W)."""
        return Batch(
            images=torch.stack([sample.frames for sample in samples], dim=1),
            targets=Targets.from_images([s.labels for s in samples], [s.boxes for s in samples]),
            placements=tuple(sample.placement for sample in samples),
            image_ids=tuple(sample.image_id for sample in samples),
        )
