from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import ConfigError
from .settings import TrainSettings


@dataclass(frozen=True)
class Devices:
    """What Lightning's Trainer is told.

    Attributes:
        accelerator: cpu or cuda.
        devices: number of processes on CPUs, or numbers of GPUs.
        nodes: computers.
    """

    accelerator: str
    devices: int | list[int]
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Over all nodes."""
        return self.nodes * (self.devices if isinstance(self.devices, int) else len(self.devices))

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.processes > 1


def choose_devices(settings: TrainSettings) -> Devices:
    """What the options `device`, `processes` and `nodes` mean on this machine.

    Raises:
        ConfigError: no such device, or a batch that the processes cannot share equally.
    """
    gpus = torch.cuda.device_count()
    name = settings.device.strip().removeprefix("cuda:")
    if name == "cpu" or (name == "auto" and gpus == 0):
        chosen = Devices("cpu", settings.processes, settings.nodes)
    else:
        numbers = [0] if name in ("auto", "cuda") else _numbers(settings.device, name)
        for number in numbers:
            if number >= gpus:
                raise ConfigError(f"device: no GPU {number} on this machine (it has {gpus})")
        if settings.processes not in (1, len(numbers)):
            raise ConfigError(f"processes: {settings.processes}, but there is one for each of {len(numbers)} GPUs")
        chosen = Devices("cuda", numbers, settings.nodes)
    if chosen.accelerator == "cpu" and settings.precision == "fp16":
        raise ConfigError("precision: fp16 needs a GPU; take 32 or bf16")
    if settings.batch % chosen.processes:
        raise ConfigError(f"batch: {settings.batch} cannot be shared equally by {chosen.processes} processes")
    return chosen


def _numbers(given: str, name: str) -> list[int]:
    try:
        numbers = [int(part) for part in name.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0 or len(set(numbers)) != len(numbers):
        raise ConfigError(f"device: {given!r} is not auto, cpu, cuda, or numbers of GPUs such as 0 or 0,1")
    return numbers


def is_first_process() -> bool:
    """Whether this is the process that prints and writes, as the launcher's environment tells."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", 0) == 0
