"""Event cameras: recordings, their labels, and the frames that the network sees."""

from .dat import write_dat
from .structures import BOX_DTYPE, Events

__all__ = ["BOX_DTYPE", "Events", "write_dat"]
