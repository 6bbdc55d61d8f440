"""What a data set says about single recordings, for the commands that look at those."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.events.event_data import EventData
    from ..data.events.frame_sources import RecordingSource


def sensor_of(data: EventData | None) -> tuple[int, int] | None:
    """Return the rows and columns that a data set says its sensor has."""
    # RVT's frames have a size of their own, and their source says none.
    return None if data is None else getattr(data.description.source, "sensor_size_hw", None)


def source_of(file: Path, data: EventData | None) -> tuple[RecordingSource, Path, Path]:
    """Return the layout of a file of events, the recording that it is there, and where its labels are, if it has any.

    The layout is the data set's, or else the one that has labels for the file.
    """
    from ..data.events.formats import layout_of
    from ..data.events.frame_sources import RecordingSource

    file = Path(os.path.abspath(file))  # layouts look at the folders above it
    source = None if data is None else data.description.source
    return (source, *source.pair_of(file)) if isinstance(source, RecordingSource) else layout_of(file)


def class_name(data: EventData | None, number: int) -> str:
    """Return what a data set calls the class of an id of its label files."""
    index = -1 if data is None else int(data.description.classes[number])
    return data.names[index] if data is not None and index >= 0 else f"class {number}"
