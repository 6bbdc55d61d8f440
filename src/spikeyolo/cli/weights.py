"""What several commands do first: load a model of either kind, choose a device."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import ConfigError
from ..interop import load_reference
from ..model import SpikeYOLO, load


def load_weights(path: str) -> SpikeYOLO:
    """A saved model (.safetensors) or a published checkpoint (.pt, .pth), by its ending.

    Raises:
        CheckpointError: the file cannot be used.
    """
    return load_reference(path) if Path(path).suffix in (".pt", ".pth") else load(path)


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first GPU, or the CPU where there is none.

    Raises:
        ConfigError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: {name!r} is not auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device: no {name} on this machine (it has {torch.cuda.device_count()} GPUs)")
    return device
