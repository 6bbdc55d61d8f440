"""Running exported networks, without torch."""

from .decode import Detections
from .inferencer import Inferencer

__all__ = ["Detections", "Inferencer"]
