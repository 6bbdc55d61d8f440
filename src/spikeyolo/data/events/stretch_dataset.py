"""Stretches of recordings as samples: many timesteps, of which some are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...events.event_input import EventInput
from ...events.render import on_canvas
from ...structures import Placement, StretchBatch, Targets
from .augmentation import EventAugmentation
from .columns import EventColumns
from .dataset import joined
from .open_recordings import OpenRecordings
from .stretches import Stretches, StretchKey


@dataclass(frozen=True)
class StretchSample:
    """A row of a batch.

    Attributes:
        key: which stretch.
        frames: (L, C, H, W), typed as those of `EventSample`.
        steps: (M,) int64, the labelled timesteps.
        boxes: for each of them (N, 4) float32 xyxy in pixels of the frames.
        labels: for each of them (N,) int64.
        instants: (M) their numbers in the index.
        placement: how the sensor lies on the canvas.
    """

    key: StretchKey
    frames: Tensor
    steps: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    instants: list[int]
    placement: Placement


class StretchDataset(Dataset[StretchSample]):
    """Stretches of L timesteps, rendered as they are needed; a sample depends on the seed and its key alone.

    In training a timestep has the labels of one instant, the nearest to its end; in evaluation all of them.

    Args:
        index: recordings and their labels, an `EventIndex`.
        event_input: how windows of recordings become T frames.
        length: L.
        augmentation: what happens to a whole sequence; None for evaluation.
        seed: of the randomness.

    Attributes:
        stretches: of the recordings.

    Raises:
        ConfigError: an input that cannot be streamed, or frames that the index's source does not have.
    """

    def __init__(
        self,
        index: EventColumns,
        event_input: EventInput,
        length: int,
        augmentation: EventAugmentation | None = None,
        *,
        seed: int = 0,
    ) -> None:
        step_us = event_input.equal_steps_us("sequence")
        index.source.check(event_input)
        self.index, self.seed, self.augmentation = index, seed, augmentation
        self.event_input = replace(event_input, timesteps=length, window_us=length * step_us)
        self.stretches = Stretches.of(index, step_us, length)
        self.recordings = OpenRecordings(index)

    def __len__(self) -> int:
        return len(self.stretches)

    def __getitem__(self, key: StretchKey) -> StretchSample:
        p, size_hw = self.event_input, self.index.sensor_size_hw
        drawing = np.random.default_rng((self.seed, key.epoch, key.draw, 0))
        noise = np.random.default_rng((self.seed, key.epoch, key.draw, 1, key.end_us % 2**63))
        drawn = (self.augmentation or EventAugmentation.none()).drawn(drawing, p.frame_hw(size_hw))
        frames = self.recordings[key.recording].frames(key.end_us, p, lambda events: drawn.events(events, noise))
        instants, steps = self._labelled(key)
        found = [self.index.objects(int(instant)) for instant in instants]
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(boxes for boxes, _ in found)])
        shift = np.array(p.filters.offset_xy * 2, np.float32)
        classes = np.concatenate([np.zeros(0, np.int64), *(labels for _, labels in found)])
        place = np.repeat(np.arange(len(found)), [len(boxes) for boxes, _ in found])
        numbers = np.arange(len(boxes))  # in place of labels, to know which boxes are kept
        frames, scaled, kept = drawn.frames((frames, (boxes - shift) / p.downscale, numbers), p.nothing)
        canvas, placement = on_canvas(frames, size_hw, p)
        seen = placement.to_canvas(torch.from_numpy((scaled * p.downscale + shift).astype(np.float32)))
        of_each = [np.flatnonzero(place[kept] == number) for number in range(len(found))]
        return StretchSample(
            key,
            torch.from_numpy(canvas),
            torch.from_numpy(steps),
            [seen[own] for own in of_each],
            [torch.from_numpy(classes[kept][own]) for own in of_each],
            instants.tolist(),
            placement,
        )

    def _labelled(self, key: StretchKey) -> tuple[np.ndarray, np.ndarray]:
        """The instants to learn from, or to evaluate at, and their timesteps."""
        instants, steps = self.stretches.labels(key.recording, key.end_us)
        if self.augmentation is None:
            return instants, steps
        s = self.stretches
        away = np.abs(s.label_us[instants] - (key.end_us - (s.length - 1 - steps) * s.step_us))
        nearest = np.lexsort((away, steps))  # of each timestep the nearest first
        first = np.unique(steps[nearest], return_index=True)[1]
        chosen = np.sort(nearest[first])
        return instants[chosen], steps[chosen]

    @staticmethod
    def collate(samples: Sequence[StretchSample]) -> StretchBatch:
        """Join stretches of one size to a batch: a row each."""
        counts = torch.tensor([len(sample.instants) for sample in samples])
        return StretchBatch(
            images=joined([sample.frames for sample in samples]),
            lanes=tuple(sample.key.lane if sample.key.follows else -1 for sample in samples),
            fresh=tuple(sample.key.fresh for sample in samples),
            rows=torch.repeat_interleave(torch.arange(len(samples)), counts),
            steps=torch.cat([sample.steps for sample in samples]),
            targets=Targets.from_images(
                [labels for sample in samples for labels in sample.labels],
                [boxes for sample in samples for boxes in sample.boxes],
            ),
            placements=tuple(sample.placement for sample in samples for _ in sample.instants),
            image_ids=tuple(instant for sample in samples for instant in sample.instants),
        )
