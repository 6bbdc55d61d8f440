"""A data set of recordings: what its file names, and what of a run's options and settings applies to it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...events.event_input import CHANGES, EventInput
from ..data_set import refuse_changed, refuse_given
from .description import EventDescription
from .index import EventIndex
from .scan import scan, shown


@dataclass(frozen=True)
class EventData:
    """A data set of recordings of an event camera, in Prophesee's or RVT's layout; made by `open_data`.

    Attributes:
        description: what its file says.
    """

    description: EventDescription

    @property
    def file(self) -> Path:
        """The data.yaml."""
        return self.description.file

    @property
    def files(self) -> tuple[Path, ...]:
        """The description, which names folders alone."""
        return (self.file,)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class index."""
        return self.description.names

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the file describes."""
        return tuple(self.description.folders)

    def split(self, name: str, *, strict: bool = False, progress: bool = True) -> EventIndex:
        """Return the labelled instants of a split, read from its files or from the cache of an earlier reading.

        A recording without boxes, boxes without a recording, a label that is not finite, has no size, lies beyond the
        sensor, outside the recording's time or of a class that has no name, is named in a warning and left out; a label
        that reaches beyond the sensor is clipped.

        Args:
            name: "train", "val" or "test".
            strict: refuse data of which anything had to be left out.
            progress: show a progress bar on standard error while recordings are read.

        Raises:
            ConfigError: no such split.
            DataError: no recording with boxes, one that cannot be read, or sensors of different sizes.
        """
        index = scan(self.description, name, progress=progress)
        lines = shown(self.description, index.findings)
        if lines and strict:
            raise DataError(f"{self.file}: {name}: {'; '.join(lines)} (strict)")
        for line in lines:
            warnings.warn(line, stacklevel=2)
        return index

    def training_input(self, options: Any) -> EventInput:
        """Return what a network that is trained on this data set sees.

        Args:
            options: may have the attributes `imgsz`, `preparation`, `representation`, `timesteps`, `sequence` and those
                of `event_input.CHANGES`; None: not given.

        Raises:
            ConfigError: an option for images, an unknown name, a value out of range, frames that are not there, or
                timesteps that cannot follow each other in a sequence.
        """
        refuse_given(options, ("imgsz",), f"{self._reason}, whose frames have the size of the sensor")
        changes = {name: getattr(options, name, None) for name in ("representation", "timesteps", *CHANGES)}
        found = self.description.choose_input(getattr(options, "preparation", None), **changes)
        if getattr(options, "sequence", None) is not None:
            found.equal_steps_us("sequence")
        return found

    def check_settings(self, settings: Any) -> None:
        """Raise ConfigError for a training setting that was changed and does not apply to recordings."""
        refuse_changed(settings, ("augmentation", "cache_mb"), self._reason)

    @property
    def _reason(self) -> str:
        return f"for images; {self.file} describes recordings of an event camera"
