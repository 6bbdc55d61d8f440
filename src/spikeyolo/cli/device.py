from __future__ import annotations

import torch

from ..errors import ConfigError


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
