"""Event cameras: recordings, their labels, and the frames that the network sees."""

from .augmentation import EventAugmentation
from .boxes import Pairing, boxes_path, clean_boxes, pair_recordings, read_boxes, write_boxes
from .dat import write_dat
from .dataset import EventDataset, EventSample
from .description import EventDescription, is_event_description, read_event_description
from .frames import render
from .index import EventIndex, corners, load_event_index
from .preparation import PREPARATIONS, Preparation, preparation_for, preparation_of
from .recording import READERS, Recording, open_recording
from .representations import (
    RepresentationConfig,
    count_frames,
    last_event_frame,
    stacked_histogram,
    time_surface,
    voxel_grid,
)
from .rvt import RvtSequence, open_rvt, write_rvt
from .structures import BOX_DTYPE, Events

__all__ = [
    "BOX_DTYPE",
    "PREPARATIONS",
    "READERS",
    "EventAugmentation",
    "EventDataset",
    "EventDescription",
    "EventIndex",
    "EventSample",
    "Events",
    "Pairing",
    "Preparation",
    "Recording",
    "RepresentationConfig",
    "RvtSequence",
    "boxes_path",
    "clean_boxes",
    "corners",
    "count_frames",
    "is_event_description",
    "last_event_frame",
    "load_event_index",
    "open_recording",
    "open_rvt",
    "pair_recordings",
    "preparation_for",
    "preparation_of",
    "read_boxes",
    "read_event_description",
    "render",
    "stacked_histogram",
    "time_surface",
    "voxel_grid",
    "write_boxes",
    "write_dat",
    "write_rvt",
]
