"""Reading pictures and putting them on the canvas that the network sees."""

from .letterbox import letterbox
from .read import read_rgb

__all__ = ["letterbox", "read_rgb"]
