"""Reading pictures, putting them on the canvas that the network sees, and drawing what was found."""

from .draw import class_colour, draw_boxes, draw_detections, picture_grid
from .frames import batch_pictures, frames_picture
from .letterbox import letterbox
from .read import read_rgb
from .write import write_rgb

__all__ = [
    "batch_pictures",
    "class_colour",
    "draw_boxes",
    "draw_detections",
    "frames_picture",
    "letterbox",
    "picture_grid",
    "read_rgb",
    "write_rgb",
]
