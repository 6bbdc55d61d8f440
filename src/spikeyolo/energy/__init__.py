"""Counting operations and spikes, and what they cost in energy."""

from .counting import LayerCount, count_layers
from .energy import AC_PICOJOULE, MAC_PICOJOULE, ann_millijoule, snn_millijoule

__all__ = [
    "AC_PICOJOULE",
    "MAC_PICOJOULE",
    "LayerCount",
    "ann_millijoule",
    "count_layers",
    "snn_millijoule",
]
