"""What every data set can do, whether it holds images or recordings of event cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from ..errors import ConfigError
from ..events.event_input import EventInput
from ..imaging.image_input import ImageInput
from .loader import BatchDataset

Input = ImageInput | EventInput


class Index(Protocol):
    """The labelled samples of one split."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index."""

    @property
    def boxes(self) -> np.ndarray:
        """All boxes, one a row."""

    def __len__(self) -> int:
        """Images, or labelled instants."""

    def dataset(
        self, input: Input, augmentation: Any = None, *, seed: int = 0, epochs: int | None = None, cache_mb: float = 0
    ) -> BatchDataset:
        """Return the samples that a network with this input sees; None as augmentation: those of an evaluation."""

    def seen_by(self, input: Input) -> Index:
        """Return the index with those labels alone that a network with this input can find: what it is evaluated by."""

    def train_augmentation(self, settings: Any) -> Any:
        """Return what happens to the samples while training by these settings."""


class DataSet(Protocol):
    """A data set on disk, opened by `open_data`."""

    @property
    def file(self) -> Path:
        """What describes it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The description, and the files that it names one by one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that it has."""

    def split(self, name: str, *, strict: bool = False, progress: bool = True) -> Index:
        """Return the samples of a split, read from its files or from the cache of an earlier reading."""

    def training_input(self, options: Any) -> Input:
        """Return what a network that is trained on it sees; ConfigError for an option that does not apply."""

    def check_settings(self, settings: Any) -> None:
        """Raise ConfigError for a training setting that was changed and does not apply."""


Kind = TypeVar("Kind", ImageInput, EventInput)


def expect_input(input: Input, kind: type[Kind]) -> Kind:
    """Return the input of a network if it is of the kind that the data are; ConfigError otherwise."""
    if not isinstance(input, kind):
        raise ConfigError(f"the model sees {input.kind}, the data are {kind.kind}; give data or a model of one kind")
    return input


def refuse_given(options: Any, names: Sequence[str], reason: str) -> None:
    """Raise ConfigError for the first of these options that is not None."""
    for name in names:
        if getattr(options, name, None) is not None:
            raise ConfigError(f"{name}: {reason}; leave it out, or the recipe that sets it")


def refuse_changed(settings: Any, names: Sequence[str], reason: str) -> None:
    """Raise ConfigError for the first of these settings (fields of a dataclass) that differs from its default.

    Of a setting that is a dataclass itself, the field that differs is named.
    """
    for field in fields(settings):
        if field.name not in names:
            continue
        value = getattr(settings, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            name = field.name
            if is_dataclass(value) and is_dataclass(default):
                differing = (f.name for f in fields(value) if getattr(value, f.name) != getattr(default, f.name))
                name = f"{name}.{next(differing)}"
            raise ConfigError(f"{name}: {reason}; leave it out, or the recipe that sets it")
