"""Reading the published checkpoints, without running anything they contain."""

from .names import published_name
from .reference import load_any, load_reference

__all__ = ["load_any", "load_reference", "published_name"]
