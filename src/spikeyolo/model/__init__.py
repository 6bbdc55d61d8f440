"""The network: blocks, backbone, neck, head, presets, folding, and the detector that puts them together."""

from .checkpoint import load, save
from .detector import DENSE, INTEGER, SEPARABLE, SPIKE_DRIVEN, TRAINABLE, SpikeYOLO
from .presets import EVENT_PRESETS, IMAGE_PRESETS, PRESETS, NetworkConfig, network_config
from .verify import Audit, verify_spike_driven

__all__ = [
    "DENSE",
    "EVENT_PRESETS",
    "IMAGE_PRESETS",
    "INTEGER",
    "PRESETS",
    "SEPARABLE",
    "SPIKE_DRIVEN",
    "TRAINABLE",
    "Audit",
    "NetworkConfig",
    "SpikeYOLO",
    "load",
    "network_config",
    "save",
    "verify_spike_driven",
]
