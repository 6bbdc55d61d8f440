"""Object detection with spiking neural networks, from training to the chip."""

from .errors import SpikeYOLOError
from .interop import load_reference
from .model import NetworkConfig, SpikeYOLO, load, verify_spike_driven
from .spiking import counts_to_slots, ilif, slots_to_counts
from .structures import Detections

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "NetworkConfig",
    "SpikeYOLO",
    "SpikeYOLOError",
    "counts_to_slots",
    "ilif",
    "load",
    "load_reference",
    "slots_to_counts",
    "verify_spike_driven",
]
