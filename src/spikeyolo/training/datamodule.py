from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl

from ..data import Augmentation, EpochBatchSampler, ImageDataset, Index, Loader, load_index, read_description
from ..errors import ConfigError
from .inference import Evaluation
from .settings import TrainSettings


class ImageDataModule(pl.LightningDataModule):
    """The training and validation pictures of a run, divided between its processes.

    Args:
        settings: the recipe.
        train: pictures to learn from.
        val: pictures to validate on.
    """

    def __init__(self, settings: TrainSettings, train: Index, val: Index) -> None:
        super().__init__()
        self.settings, self.train_index, self.val_index = settings, train, val
        self.evaluation = Evaluation.of(val)

    @classmethod
    def of(cls, settings: TrainSettings) -> ImageDataModule:
        """Reads what `settings.data` describes.

        Raises:
            ConfigError: a description that cannot be, or one without a split to train or validate on.
            DataError: pictures or labels that cannot be used.
        """
        if not settings.data:
            raise ConfigError("data: name a data.yaml or a COCO annotation file")
        description = read_description(Path(settings.data))
        train, val = (load_index(description, split, strict=settings.strict) for split in ("train", "val"))
        return cls(settings, train, val)

    def train_dataloader(self) -> Loader:
        """Shuffled, augmented; processes share each batch."""
        s = self.settings
        dataset = ImageDataset(
            self.train_index, s.imgsz, s.augmentation, epochs=s.epochs, seed=s.seed, cache_mb=s.cache_mb
        )
        return self._loader(dataset, shuffle=True)

    def val_dataloader(self) -> Loader:
        """Each picture once, letter-boxed."""
        return self._loader(ImageDataset(self.val_index, self.settings.imgsz, Augmentation.none()), shuffle=False)

    def _loader(self, dataset: ImageDataset, shuffle: bool) -> Loader:
        trainer = self.trainer
        assert trainer is not None
        sampler = EpochBatchSampler(
            len(dataset),
            self.settings.batch // trainer.world_size,
            shuffle=shuffle,
            seed=self.settings.seed,
            num_replicas=trainer.world_size,
            rank=trainer.global_rank,
        )
        on_gpu = trainer.strategy.root_device.type == "cuda"
        return Loader(dataset, sampler, workers=self.settings.workers, pin_memory=on_gpu)
