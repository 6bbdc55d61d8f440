"""The samples of a run for Lightning: scanned once by the first process, divided between all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch

from ..data.data_set import DataSet, Index, Input
from ..data.loader import BatchDataset, Loader
from ..data.sampler import EpochBatchSampler
from ..evaluation.evaluator import Evaluator, make_evaluator
from ..structures import Batch
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
        self.host_batch: Batch | None = None
        self._read = False

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Keep the batch, should it have to be saved."""
        self.host_batch = batch
        return batch

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Start to copy from page-locked memory, and do not wait for it: Lightning does so with plain tensors alone."""
        return batch.to(device, non_blocking=True)

    def prepare_data(self) -> None:
        """Read both splits; Lightning calls it in the first process, before the others find the index that it keeps."""
        if not self._read:
            strict, progress = self.settings.strict, is_first_process()
            self.train_index, self.val_index = (
                self.data.split(name, strict=strict, progress=progress) for name in ("train", "val")
            )
            self._read = True

    def setup(self, stage: str) -> None:
        """Have both splits in every process."""
        self.prepare_data()
        self.evaluator = make_evaluator(self.val_index)

    def train_dataloader(self) -> Loader:
        """Return the loader of training samples: shuffled, augmented; processes share each batch."""
        return self._loader(self._training_samples(self.settings.cache_mb), shuffle=True)

    def first_batches(self, number: int, size: int) -> Iterator[Batch]:
        """Yield batches of so many samples, augmented, from the beginning of the first epoch; read by this process."""
        samples = self._training_samples()
        sampler = EpochBatchSampler(len(samples), size, shuffle=True, seed=self.settings.seed)
        return islice(Loader(samples, sampler), number)

    def _training_samples(self, cache_mb: float = 0.0) -> BatchDataset:
        s, index = self.settings, self.train_index
        augmentation = index.train_augmentation(s)
        return index.dataset(self.input, augmentation, seed=s.seed, epochs=s.epochs, cache_mb=cache_mb)

    def val_dataloader(self) -> Loader:
        """Return the loader of validation samples: each once."""
        return self._loader(self.val_index.dataset(self.input), shuffle=False)

    @property
    def shared_validation_batches(self) -> int:
        """Validation batches that every process has; some have one more."""
        assert self.trainer is not None
        processes = self.trainer.world_size
        return math.ceil(len(self.val_index) // processes / (self.settings.batch_size // processes))

    def _loader(self, dataset: Any, shuffle: bool) -> Loader:
        trainer = self.trainer
        assert trainer is not None
        sampler = EpochBatchSampler(
            len(dataset),
            self.settings.batch_size // trainer.world_size,
            shuffle=shuffle,
            seed=self.settings.seed,
            num_replicas=trainer.world_size,
            rank=trainer.global_rank,
        )
        on_gpu = trainer.strategy.root_device.type == "cuda"
        return Loader(dataset, sampler, workers=self.settings.workers, pin_memory=on_gpu)
