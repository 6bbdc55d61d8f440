"""The samples of a run for Lightning: scanned once by the first process, divided between all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import lightning.pytorch as pl
import torch

from ..data.data_set import DataSet, Index, Input
from ..data.events.index import EventIndex
from ..data.events.stretch_dataset import StretchDataset
from ..data.events.stretches import LaneSampler, RecordingSampler
from ..data.loader import BatchDataset, Loader
from ..data.sampler import EpochBatchSampler
from ..evaluation.evaluator import Evaluator, make_evaluator
from ..structures import Batch, StretchBatch
from .devices import is_first_process
from .settings import TrainSettings


class DetectionDataModule(pl.LightningDataModule):
    """Training and validation samples of a data set.

    Args:
        settings: the recipe.
        data: the data set.
        input: what the network sees.

    Attributes:
        train_index: samples to learn from, once they have been read.
        val_index: samples to validate on.
        evaluator: of what is found on these.
        host_batch: the last batch as the loader gave it, before it was moved to the device.
    """

    train_index: Index
    val_index: Index
    evaluator: Evaluator

    def __init__(self, settings: TrainSettings, data: DataSet, input: Input) -> None:
        super().__init__()
        self.settings, self.data, self.input = settings, data, input
        self.host_batch: Batch | StretchBatch | None = None
        self._read = False
        self._shared_lane_batches = 0  # known with the loader of validation recordings

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Keep the batch, should it have to be saved."""
        self.host_batch = batch
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Start to copy from page-locked memory, and do not wait for it: Lightning does so with plain tensors alone."""
        return batch.to(device, non_blocking=True)

    def prepare_data(self) -> None:
        """Read both splits; Lightning calls it in the first process, before the others find the index that it keeps."""
        if not self._read:
            strict, progress = self.settings.strict, is_first_process()
            self.train_index, self.val_index = (
                self.data.split(name, strict=strict, progress=progress).seen_by(self.input) for name in ("train", "val")
            )
            self._read = True

    def setup(self, stage: str) -> None:
        """Have both splits in every process."""
        self.prepare_data()
        self.evaluator = make_evaluator(self.val_index)

    def train_dataloader(self) -> Loader:
        """Return the loader of training samples: shuffled, augmented; processes share each batch."""
        if self.settings.sequence is None:
            return self._loader(self._training_samples(self.settings.cache_mb), shuffle=True)
        stretches = self._training_stretches(self.settings.sequence)
        return self._loader_of(stretches, self._lane_sampler(stretches, *self._place))

    def first_batches(self, number: int, size: int) -> Iterator[Batch]:
        """Yield batches of so many samples, augmented, from the beginning of the first epoch; read by this process."""
        samples = self._training_samples()
        sampler = EpochBatchSampler(len(samples), size, shuffle=True, seed=self.settings.seed)
        return islice(Loader(samples, sampler), number)

    def _training_samples(self, cache_mb: float = 0.0) -> BatchDataset:
        s, index = self.settings, self.train_index
        augmentation = index.train_augmentation(s)
        return index.dataset(self.input, augmentation, seed=s.seed, epochs=s.epochs, cache_mb=cache_mb)

    def _training_stretches(self, length: int) -> StretchDataset:
        s, index = self.settings, cast(EventIndex, self.train_index)
        return index.stretches(self.input, length, index.train_augmentation(s), seed=s.seed)

    def _lane_sampler(self, dataset: StretchDataset, processes: int = 1, rank: int = 0) -> LaneSampler:
        s = self.settings
        return LaneSampler(
            dataset.stretches,
            s.batch_size // processes,
            share=s.sequence_share,
            seed=s.seed,
            num_replicas=processes,
            rank=rank,
        )

    def plan(self) -> tuple[int, str]:
        """Return the batches of an epoch, and what they hold where that is not windows from rest."""
        s = self.settings
        if s.sequence is None:
            return math.ceil(len(self.train_index) / s.batch_size), ""
        dataset = self._training_stretches(s.sequence)
        sampler = self._lane_sampler(dataset)
        return len(sampler), (
            f"; {sampler.lanes} of {s.batch} rows follow recordings, {len(dataset)} stretches of {s.sequence} timesteps"
        )

    def val_dataloader(self) -> Loader:
        """Return the loader of validation samples, each once; of sequences, recordings from start to end."""
        if self.settings.sequence is None:
            return self._loader(self.val_index.dataset(self.input), shuffle=False)
        dataset = cast(EventIndex, self.val_index).stretches(self.input, self.settings.sequence)
        processes, rank = self._place
        batch = self.settings.batch_size // processes
        sampler = RecordingSampler(dataset.stretches, batch, num_replicas=processes, rank=rank)
        self._shared_lane_batches = min(sampler.lengths())
        return self._loader_of(dataset, sampler)

    @property
    def shared_validation_batches(self) -> int:
        """Validation batches that every process has; some have more."""
        if self.settings.sequence is not None:
            return self._shared_lane_batches
        processes, _ = self._place
        return math.ceil(len(self.val_index) // processes / (self.settings.batch_size // processes))

    @property
    def _place(self) -> tuple[int, int]:
        """How many processes there are, and which one this is."""
        assert self.trainer is not None
        return self.trainer.world_size, self.trainer.global_rank

    def _loader(self, dataset: Any, shuffle: bool) -> Loader:
        processes, rank = self._place
        sampler = EpochBatchSampler(
            len(dataset),
            self.settings.batch_size // processes,
            shuffle=shuffle,
            seed=self.settings.seed,
            num_replicas=processes,
            rank=rank,
        )
        return self._loader_of(dataset, sampler)

    def _loader_of(self, dataset: Any, sampler: EpochBatchSampler) -> Loader:
        assert self.trainer is not None
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return Loader(dataset, sampler, workers=self.settings.workers, pin_memory=on_gpu)
