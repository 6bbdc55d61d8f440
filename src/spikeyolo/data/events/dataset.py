"""The labelled instants of an index as samples: rendered when they are needed, nothing is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ...events.event_input import EventInput
from ...events.render import on_canvas
from ...structures import Batch, Placement, Targets
from ..sampler import Key
from .augmentation import EventAugmentation
from .columns import EventColumns
from .open_recordings import OpenRecordings


@dataclass(frozen=True)
class EventSample:
    """The window before a labelled instant, as the network sees it.

    Attributes:
        frames: (T, C, H, W) uint8 grey values, int8 or int16 counts, or float32; see `frames_of`.
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
    """The labelled instants of an index, rendered from the recordings as they are needed; nothing is prepared.

    A sample depends on (seed, epoch, instant) alone. Frames that lie on disk are taken as they are: augmentation of
    single events (drop, jitter, polarity) does nothing to them.

    Args:
        index: the instants, an `EventIndex`.
        event_input: how recordings become frames.
        augmentation: what happens to them; None for evaluation.
        seed: of the randomness.

    Raises:
        ConfigError: frames that the index's source does not have.
    """

    def __init__(
        self,
        index: EventColumns,
        event_input: EventInput,
        augmentation: EventAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> None:
        index.source.check(event_input)
        self.index, self.event_input, self.seed = index, event_input, seed
        self.augmentation = augmentation or EventAugmentation.none()
        self.recordings = OpenRecordings(index)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: int | Key) -> EventSample:
        epoch, instant = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng((self.seed, epoch, instant))
        p, size_hw = self.event_input, self.index.sensor_size_hw
        end_us = int(self.index.t_us[instant])
        recording = self.recordings[int(self.index.recording[instant])]
        frames = recording.frames(end_us, p, lambda events: self.augmentation.events(events, rng))
        boxes, labels = self.index.objects(instant)
        shift = np.array(p.filters.offset_xy * 2, np.float32)
        frames, scaled, labels = self.augmentation.frames(
            (frames, (boxes - shift) / p.downscale, labels), rng, p.nothing
        )
        canvas, placement = on_canvas(p.in_order(frames, rng), size_hw, p)
        on_sensor = torch.from_numpy((scaled * p.downscale + shift).astype(np.float32))
        return EventSample(
            torch.from_numpy(canvas), placement.to_canvas(on_sensor), torch.from_numpy(labels), placement, instant
        )

    @staticmethod
    def collate(samples: Sequence[EventSample]) -> Batch:
        """Join samples of one size to a Batch: images (T, B, C, H, W), in a type that holds those of all."""
        return Batch(
            images=joined([sample.frames for sample in samples]),
            targets=Targets.from_images([s.labels for s in samples], [s.boxes for s in samples]),
            placements=tuple(sample.placement for sample in samples),
            image_ids=tuple(sample.image_id for sample in samples),
        )


def joined(frames: Sequence[Tensor]) -> Tensor:
    """Join frames (T, C, H, W) of several samples to (T, B, C, H, W), in a type that holds those of all."""
    dtype, timesteps = reduce(torch.promote_types, [one.dtype for one in frames]), len(frames[0])
    of_one_type = [one.to(dtype) for one in frames]
    # By the one function that writes into memory which a worker shares: nothing is copied to send it.
    flat: Tensor = default_collate([one[step] for step in range(timesteps) for one in of_one_type])
    return flat.unflatten(0, (timesteps, len(frames)))
