"""Reading the published checkpoints, without running anything they contain."""

from .names import published_name
from .reference import load_reference

__all__ = ["load_reference", "published_name"]
