"""Event cameras: recordings, their labels, and the frames that the network sees."""

from .boxes import Pairing, boxes_path, clean_boxes, pair_recordings, read_boxes, write_boxes
from .dat import write_dat
from .recording import Recording, open_recording
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
    "Events",
    "Pairing",
    "Recording",
    "RepresentationConfig",
    "RvtSequence",
    "boxes_path",
    "clean_boxes",
    "count_frames",
    "last_event_frame",
    "open_recording",
    "open_rvt",
    "pair_recordings",
    "read_boxes",
    "stacked_histogram",
    "time_surface",
    "voxel_grid",
    "write_boxes",
    "write_dat",
    "write_rvt",
]
