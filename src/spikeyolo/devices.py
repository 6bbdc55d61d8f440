"""What the option `device` means on this machine: one parser for training, every command, and Python."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import ConfigError, quote

FORMS = "auto, cpu, cuda, or numbers of GPUs such as 0 or 0,1"


def parse_devices(text: str | int | torch.device) -> list[torch.device]:
    """Return the devices of that name: the CPU alone, or one or more GPUs, each once.

    Args:
        text: "auto" (the first GPU, or the CPU where there is none), "cpu", "cuda", "cuda:1", "0", "0,1".

    Raises:
        ConfigError: no such device on this machine, or a kind of device that is not supported.
    """
    name, gpus = str(text).strip(), torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and gpus == 0):
        return [torch.device("cpu")]
    numbers = ["0"] if name in ("auto", "cuda") else [part.strip().removeprefix("cuda:") for part in name.split(",")]
    if not all(number.isdecimal() and len(number) < 10 for number in numbers):
        raise ConfigError(f"device: {quote(name)} is not supported; name {FORMS}")
    chosen = [int(number) for number in numbers]
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"device: {quote(name)} names a GPU twice")
    for number in chosen:
        if number >= gpus:
            raise ConfigError(f"device: no GPU {number} on this machine (it has {gpus}); take cpu or auto")
    return [torch.device("cuda", number) for number in chosen]


def one_device(text: str | int | torch.device) -> torch.device:
    """Return the one device of that name, for what runs on a single one; see `parse_devices`.

    Raises:
        ConfigError: no such device, or several.
    """
    devices = parse_devices(text)
    if len(devices) > 1:
        raise ConfigError(
            f"device: {quote(str(text))} names {len(devices)} GPUs, and this uses one; only train takes several"
        )
    return devices[0]


def divided(x: Tensor, by: float) -> Tensor:
    """Return x / by, rounded once on GPUs too, where a plain number would be made the factor 1 / by."""
    return x / x.new_full((), by)
