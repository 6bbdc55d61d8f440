"""Which samples a batch holds: shuffled, divided between processes, resumable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from ..errors import ConfigError

Key = tuple[int, int]  # (epoch, image): all that decides what a sample looks like, whichever worker makes it


class EpochBatchSampler(Sampler[list[Key]]):
    """Batches of (epoch, image) keys for one or several processes, resumable within an epoch.

    In training all processes share one shuffled order: the union of their n-th batches is the n-th batch of a single
    process with `batch_size * num_replicas`, so the number of processes does not change what is learnt from. The last,
    smaller batch is spread evenly; only when it has fewer images than there are processes it is left out.
    In evaluation each image is seen exactly once over all processes, none twice; processes may differ by one batch.

    Args:
        length: images in the data set.
        batch_size: images a batch and process.
        shuffle: training (True) or evaluation (False).
        seed: of the order.
        num_replicas: processes.
        rank: this process.
        drop_last: leave out the last batch of training when it is smaller.

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        drop_last: bool = False,
    ) -> None:
        if length < 0 or batch_size < 1 or seed < 0 or not 0 <= rank < num_replicas:
            given = f"length {length}, batch_size {batch_size}, seed {seed}, rank {rank} of {num_replicas}"
            raise ConfigError(f"EpochBatchSampler: a number out of range in {given}")
        self.length, self.batch_size, self.shuffle, self.seed = length, batch_size, shuffle, seed
        self.num_replicas, self.rank, self.drop_last = num_replicas, rank, drop_last
        self.epoch = 0
        self.start = 0  # batches of the epoch to skip: those an interrupted run has used

    @property
    def sampler(self) -> EpochBatchSampler:
        """Itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, unless it is the one already set."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return epoch and first batch; `Loader.state_dict` is the one that knows how many batches were used."""
        return {"epoch": self.epoch, "start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.epoch, self.start = int(state["epoch"]), int(state["start"])

    def __len__(self) -> int:
        """Return the batches of a whole epoch in this process."""
        if not self.shuffle:
            return math.ceil(len(range(self.rank, self.length, self.num_replicas)) / self.batch_size)
        together = self.batch_size * self.num_replicas
        whole, rest = divmod(self.length, together)
        return whole + int(rest >= self.num_replicas and not self.drop_last)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch
        for number in range(self.start, len(self)):
            yield [(epoch, int(image)) for image in self._batch(number, epoch)]

    def _batch(self, number: int, epoch: int) -> np.ndarray:
        if not self.shuffle:
            own = np.arange(self.rank, self.length, self.num_replicas)
            return own[number * self.batch_size : (number + 1) * self.batch_size]
        together = self.batch_size * self.num_replicas
        shared = self._order(epoch)[number * together : (number + 1) * together]
        return np.array_split(shared, self.num_replicas)[self.rank]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(self.length)
