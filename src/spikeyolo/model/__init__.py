"""The network: blocks, backbone, neck, head, presets, folding, and the detector that puts them together."""

from .checkpoint import load, save
from .detector import DENSE, SEPARABLE, TRAINABLE, SpikeYOLO
from .presets import EVENT_PRESETS, IMAGE_PRESETS, PRESETS, NetworkConfig, network_config

__all__ = [
    "DENSE",
    "EVENT_PRESETS",
    "IMAGE_PRESETS",
    "PRESETS",
    "SEPARABLE",
    "TRAINABLE",
    "NetworkConfig",
    "SpikeYOLO",
    "load",
    "network_config",
    "save",
]
