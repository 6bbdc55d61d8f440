"""A library of event recordings: file formats, representations, and how a recording becomes what a network sees.

It knows no labels and no data sets.
"""

from .dat import write_dat
from .event_input import PREPARATIONS, EventInput
from .filters import EventFilters
from .recording import READERS, Recording, is_recording, open_recording
from .render import render
from .representations import (
    RepresentationConfig,
    count_frames,
    exponential_surfaces,
    last_event_frame,
    stacked_histogram,
    time_surface,
    voxel_grid,
)
from .types import Events

__all__ = [
    "PREPARATIONS",
    "READERS",
    "EventFilters",
    "EventInput",
    "Events",
    "Recording",
    "RepresentationConfig",
    "count_frames",
    "exponential_surfaces",
    "is_recording",
    "last_event_frame",
    "open_recording",
    "render",
    "stacked_histogram",
    "time_surface",
    "voxel_grid",
    "write_dat",
]
