from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from ..data.events.dataset import EventDataset
from ..data.events.description import EventDescription, is_event_description, read_event_description
from ..data.events.index import EventIndex, load_event_index
from ..data.images.augmentation import Augmentation
from ..data.images.dataset import ImageDataset
from ..data.images.description import read_description
from ..data.images.index import Index
from ..data.images.scan import load_index
from ..data.loader import Loader
from ..data.sampler import EpochBatchSampler
from ..errors import ConfigError
from ..evaluation.event_evaluator import EventEvaluation
from ..evaluation.image_evaluator import Evaluation
from ..events import EventInput
from .settings import TrainSettings


class DetectionDataModule(pl.LightningDataModule):
    """The training and validation samples of a run, divided between its processes.

    Attributes:
        names: of the classes.
        evaluation: of what is found on the validation samples.
        preparation: how recordings become frames; None for images.
    """

    names: tuple[str, ...]
    evaluation: Evaluation | EventEvaluation
    preparation: EventInput | None = None

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings

    def _loader(self, dataset: Any, shuffle: bool) -> Loader:
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


class ImageDataModule(DetectionDataModule):
    """Images.

    Args:
        settings: the recipe.
        train: images to learn from.
        val: images to validate on.
    """

    def __init__(self, settings: TrainSettings, train: Index, val: Index) -> None:
        super().__init__(settings)
        self.train_index, self.val_index, self.names = train, val, train.names
        self.evaluation = Evaluation.of(val)

    def train_dataloader(self) -> Loader:
        """Shuffled, augmented; processes share each batch."""
        s = self.settings
        dataset = ImageDataset(
            self.train_index, s.imgsz, s.augmentation, epochs=s.epochs, seed=s.seed, cache_mb=s.cache_mb
        )
        return self._loader(dataset, shuffle=True)

    def val_dataloader(self) -> Loader:
        """Each image once, letter-boxed."""
        return self._loader(ImageDataset(self.val_index, self.settings.imgsz, Augmentation.none()), shuffle=False)


class EventDataModule(DetectionDataModule):
    """Windows of recordings before each labelled instant.

    Args:
        settings: the recipe.
        description: of the data set.
        preparation: how recordings become frames.
    """

    def __init__(self, settings: TrainSettings, description: EventDescription, preparation: EventInput) -> None:
        super().__init__(settings)
        self.preparation, self.names = preparation, description.names
        self.train_index: EventIndex = load_event_index(description, "train", settings.strict)
        self.val_index: EventIndex = load_event_index(description, "val", settings.strict)
        self.evaluation = EventEvaluation.of(self.val_index)

    def train_dataloader(self) -> Loader:
        """Shuffled, augmented; processes share each batch."""
        s = self.settings
        assert self.preparation is not None
        return self._loader(
            EventDataset(self.train_index, self.preparation, s.event_augmentation, seed=s.seed), shuffle=True
        )

    def val_dataloader(self) -> Loader:
        """Each labelled instant once."""
        assert self.preparation is not None
        return self._loader(EventDataset(self.val_index, self.preparation), shuffle=False)


def read_data(settings: TrainSettings) -> DetectionDataModule:
    """Reads what `settings.data` describes: images, or recordings of an event camera.

    Raises:
        ConfigError: a description that cannot be, or one without a split to train or validate on.
        DataError: files or labels that cannot be used.
    """
    if not settings.data:
        raise ConfigError("data: name a data.yaml or a COCO annotation file")
    file = Path(settings.data)
    if is_event_description(file):
        described = read_event_description(file)
        preparation = described.prepared(
            settings.preparation,
            representation=settings.representation,
            timesteps=settings.timesteps,
            window_us=settings.window_us,
        )
        return EventDataModule(settings, described, preparation)
    for name in ("preparation", "representation", "window_us"):
        if getattr(settings, name) is not None:
            raise ConfigError(f"{name}: for recordings of event cameras; {file} describes images")
    description = read_description(file)
    train, val = (load_index(description, split, strict=settings.strict) for split in ("train", "val"))
    return ImageDataModule(settings, train, val)
