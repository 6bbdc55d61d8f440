"""What a data set says about single recordings, for the commands that look at those."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.events.event_data import EventData


def sensor_of(data: EventData | None) -> tuple[int, int] | None:
    """Return the rows and columns that a data set says its sensor has."""
    # RVT's frames have a size of their own, and their source says none.
    return None if data is None else getattr(data.description.source, "sensor_size_hw", None)


def class_name(data: EventData | None, number: int) -> str:
    """Return what a data set calls a class."""
    return data.names[number] if data is not None and number < len(data.names) else f"class {number}"
