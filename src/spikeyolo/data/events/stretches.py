"""Recordings as sequences: cut into stretches of timesteps, which rows of batches follow one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError
from ..sampler import EpochBatchSampler
from .columns import EventColumns


class StretchKey(NamedTuple):
    """What decides a sample, whichever worker makes it.

    Attributes:
        epoch: from 0.
        recording: its number in the index.
        end_us: where the stretch ends.
        lane: row of the batch of all processes together.
        fresh: the network starts from rest: a recording, or a lane, begins.
        draw: number of the sequence, which has one augmentation.
        follows: the lane goes on in the next batch, with the potentials of this one, unless that is fresh.
    """

    epoch: int
    recording: int
    end_us: int
    lane: int
    fresh: bool
    draw: int
    follows: bool = True


@dataclass(frozen=True, eq=False)
class Stretches:
    """S stretches of L timesteps, recording after recording, in the order of time.

    They are counted backwards from the last label of a recording, so that no computation comes after it; the first
    stretch begins at the recording's start, or before it, where there are no events.

    Attributes:
        step_us: of a timestep.
        length: L.
        recording: (S,) int64, number in the index.
        end_us: (S,) int64.
        first: (S,) bool: the first of its recording.
        label_recording: (I,) int64, the recording of each labelled instant.
        label_us: (I,) int64, its time.
    """

    step_us: int
    length: int
    recording: np.ndarray
    end_us: np.ndarray
    first: np.ndarray
    label_recording: np.ndarray
    label_us: np.ndarray

    @classmethod
    def of(cls, index: EventColumns, step_us: int, length: int) -> Stretches:
        """Cut the recordings of an index that have labels."""
        numbers, ends, first, span = [], [], [], step_us * length
        for number in np.unique(index.recording).tolist():
            last = int(index.t_us[np.searchsorted(index.recording, number, "right") - 1])
            count = max(1, -(-last // span))
            numbers.append(np.full(count, number))
            ends.append(last - span * np.arange(count, dtype=np.int64)[::-1])
            first.append(np.arange(count) == 0)
        return cls(
            step_us, length, np.concatenate(numbers), np.concatenate(ends), np.concatenate(first), index.recording,
            index.t_us,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.recording)

    def labels(self, recording: int, end_us: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the labelled instants of a stretch and their timesteps: those whose end is nearest.

        Args:
            recording: its number.
            end_us: where the stretch ends.

        Returns:
            (M,) numbers of the instants, and (M,) timesteps 0..L - 1, rising.
        """
        low, high = np.searchsorted(self.label_recording, [recording, recording + 1])
        instants = np.arange(low, high)
        steps = np.floor((self.label_us[low:high] - end_us) / self.step_us + 0.5).astype(np.int64) + self.length - 1
        if end_us <= self.step_us * self.length:
            steps = steps.clip(min=0)  # nothing comes before: a label right at the start is the first timestep's
        inside = (steps >= 0) & (steps < self.length)
        return instants[inside], steps[inside]


class LaneSampler(EpochBatchSampler):
    """Batches of `StretchKey`s for training: lanes that follow recordings, beside rows that start anywhere from rest.

    An epoch puts the recordings in a new order, lays their stretches out in a row, and cuts that into lanes of equal
    length, so that every stretch comes once and no lane waits for another. A lane that begins within a recording
    starts from rest there. The last batch may lack lanes. The other rows are stretches that end at labelled instants
    in random order; without lanes an epoch has every labelled instant once. Row s of all belongs to process s modulo
    `num_replicas`: their number does not change what is learnt from. A last batch that leaves a process without rows
    is left out.

    Args:
        stretches: of the recordings.
        batch_size: rows a batch and process.
        share: of the rows that are lanes, 0..1; above 0 there is at least one.
        seed: of the order.
        num_replicas: processes.
        rank: this process.

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(
        self,
        stretches: Stretches,
        batch_size: int,
        *,
        share: float = 1.0,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(len(stretches), batch_size, shuffle=True, seed=seed, num_replicas=num_replicas, rank=rank)
        if not 0 <= share <= 1:
            raise ConfigError(f"LaneSampler: share {share} is outside 0..1")
        rows = batch_size * num_replicas
        self.stretches, self.rows = stretches, rows
        self.lanes = 0 if share == 0 else min(rows, max(1, round(share * rows)))
        self._begin = np.maximum.accumulate(np.where(stretches.first, np.arange(len(stretches)), 0))
        self._drawn: tuple[tuple[int, int], np.ndarray] | None = None  # the last order of labels, which is long

    def __len__(self) -> int:
        """Return the batches of a whole epoch, as many in every process."""
        count = math.ceil(self.length / self.lanes) if self.lanes else math.ceil(len(self._labels) / self.rows)
        processes = {row % self.num_replicas for row, _ in self._rows(count - 1)}
        return count - (len(processes) < self.num_replicas)

    @property
    def _labels(self) -> np.ndarray:
        return self.stretches.label_us

    def _rows(self, number: int) -> Iterator[tuple[int, int]]:
        """The rows of a batch of all processes: (row, place in the epoch's row of stretches or of random labels)."""
        whole, rest = divmod(self.length, self.lanes or 1)
        for lane in range(self.lanes):  # the first `rest` lanes are longer by one
            if number < whole + (lane < rest):
                yield lane, lane * whole + min(lane, rest) + number
        others = self.rows - self.lanes
        for row in range(others):
            place = number * others + row
            if self.lanes or place < len(self._labels):
                yield self.lanes + row, place

    def __iter__(self) -> Iterator[list[StretchKey]]:  # type: ignore[override] # keys of another kind
        epoch, order = self.epoch, self._stretch_order(self.epoch)
        for number in range(self.start, len(self)):
            own = ((row, place) for row, place in self._rows(number) if row % self.num_replicas == self.rank)
            yield [
                self._followed(epoch, order, row, place, number)
                if row < self.lanes
                else self._random(epoch, row, place)
                for row, place in own
            ]

    def _stretch_order(self, epoch: int) -> np.ndarray:
        """(S,) the stretches in an epoch's order of recordings."""
        recordings, counts = np.unique(self.stretches.recording, return_counts=True)
        starts = np.cumsum(counts) - counts
        order = np.random.default_rng((self.seed, epoch)).permutation(len(recordings))
        return np.concatenate([np.arange(starts[n], starts[n] + counts[n]) for n in order])

    def _followed(self, epoch: int, order: np.ndarray, lane: int, place: int, number: int) -> StretchKey:
        s, stretch = self.stretches, int(order[place])
        draw = max(int(self._begin[stretch]), stretch - number)  # where its recording begins, or the lane does
        fresh = draw == stretch
        return StretchKey(epoch, int(s.recording[stretch]), int(s.end_us[stretch]), lane, fresh, draw)

    def _random(self, epoch: int, row: int, place: int) -> StretchKey:
        s, (turn, nth) = self.stretches, divmod(place, len(self._labels))
        if self._drawn is None or self._drawn[0] != (epoch, turn):
            order = np.random.default_rng((self.seed, epoch, 1, turn)).permutation(len(self._labels))
            self._drawn = (epoch, turn), order
        instant = int(self._drawn[1][nth])
        return StretchKey(
            epoch, int(s.label_recording[instant]), int(s.label_us[instant]), row, True, self.length + place, False
        )


class RecordingSampler(EpochBatchSampler):
    """Batches of `StretchKey`s for evaluation: every recording once, whole, in one lane.

    The longest recordings come first, each in the lane that is free first; processes have lanes of their own.

    Args:
        stretches: of the recordings.
        batch_size: lanes a process.
        num_replicas: processes.
        rank: this process.
    """

    def __init__(self, stretches: Stretches, batch_size: int, *, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(len(stretches), batch_size, shuffle=False, num_replicas=num_replicas, rank=rank)
        self.stretches = stretches
        recordings, counts = np.unique(stretches.recording, return_counts=True)
        starts = np.cumsum(counts) - counts
        self.lanes: list[list[int]] = [[] for _ in range(min(batch_size * num_replicas, len(recordings)))]
        for n in np.argsort(-counts, kind="stable"):
            min(self.lanes, key=len).extend(range(starts[n], starts[n] + counts[n]))

    def lengths(self) -> list[int]:
        """Return the batches of each process."""
        ranks = range(self.num_replicas)
        return [max(map(len, self.lanes[rank :: self.num_replicas]), default=0) for rank in ranks]

    def __len__(self) -> int:
        """Return the batches of this process."""
        return self.lengths()[self.rank]

    def __iter__(self) -> Iterator[list[StretchKey]]:  # type: ignore[override] # keys of another kind
        s = self.stretches
        for number in range(self.start, len(self)):
            there = [(lane, own[number]) for lane, own in enumerate(self.lanes) if number < len(own)]
            yield [
                StretchKey(self.epoch, int(s.recording[at]), int(s.end_us[at]), lane, bool(s.first[at]), at)
                for lane, at in there
                if lane % self.num_replicas == self.rank
            ]
