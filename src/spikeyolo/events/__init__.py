"""Event cameras: recordings, their labels, and the frames that the network sees."""

from .boxes import Pairing, boxes_path, clean_boxes, pair_recordings, read_boxes, write_boxes
from .dat import write_dat
from .recording import Recording, open_recording
from .structures import BOX_DTYPE, Events

__all__ = [
    "BOX_DTYPE",
    "Events",
    "Pairing",
    "Recording",
    "boxes_path",
    "clean_boxes",
    "open_recording",
    "pair_recordings",
    "read_boxes",
    "write_boxes",
    "write_dat",
]
