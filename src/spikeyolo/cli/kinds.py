"""For the commands that, by their very name, are about one kind of data: they refuse the other kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ..data.events.event_data import EventData
    from ..data.images.image_data import ImageData


def image_data(file: str | Path) -> ImageData:
    """Open a data set of images.

    Raises:
        ConfigError: it holds recordings.
    """
    from ..data.images.image_data import ImageData
    from ..data.open import open_data
    from ..errors import ConfigError

    opened = open_data(file)
    if not isinstance(opened, ImageData):
        raise ConfigError(f"{file}: describes recordings; spikeyolo events info {file} looks at them")
    return opened


def event_data(file: str | Path) -> EventData:
    """Open a data set of recordings.

    Raises:
        ConfigError: it holds images.
    """
    from ..data.events.event_data import EventData
    from ..data.open import open_data
    from ..errors import ConfigError

    opened = open_data(file)
    if not isinstance(opened, EventData):
        raise ConfigError(f"{file}: describes images; spikeyolo data check {file} looks at them")
    return opened


def sensor_of(data: EventData | None) -> tuple[int, int] | None:
    """Return the rows and columns that a data set says its sensor has."""
    # RVT's frames have a size of their own, and their source says none.
    return None if data is None else getattr(data.description.source, "sensor_size_hw", None)


def class_name(data: EventData | None, number: int) -> str:
    """Return what a data set calls a class."""
    return data.names[number] if data is not None and number < len(data.names) else f"class {number}"
