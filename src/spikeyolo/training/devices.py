"""What the options `device`, `processes` and `nodes` mean for Lightning's Trainer."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass

import torch

from ..devices import parse_devices
from ..errors import ConfigError
from .settings import AUTO, TrainSettings


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
    def first(self) -> torch.device:
        """Of this computer's first process."""
        return torch.device("cpu") if isinstance(self.devices, int) else torch.device("cuda", self.devices[0])

    @property
    def name(self) -> str:
        """To print."""
        where = "CPU" if self.accelerator == "cpu" else f"GPU {', '.join(map(str, self.devices))}"  # type: ignore[arg-type]
        return where if not self.several else f"{where}, {self.processes} processes"

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.processes > 1


def choose_devices(settings: TrainSettings) -> Devices:
    """Return what Lightning's Trainer is told.

    Raises:
        ConfigError: no such device, other computers that this process was not told of, or a batch that the processes
            cannot share equally, or that cannot be found here.
    """
    _check_launched(settings.nodes)
    found = parse_devices(settings.device)
    if found[0].type == "cpu":
        chosen = Devices("cpu", settings.processes, settings.nodes)
    else:
        if settings.processes not in (1, len(found)):
            raise ConfigError(f"processes: {settings.processes}, but there is one for each of {len(found)} GPUs")
        chosen = Devices("cuda", [device.index for device in found], settings.nodes)
    if chosen.accelerator == "cpu" and settings.precision == "fp16":
        raise ConfigError("precision: fp16 needs a GPU; take 32 or bf16")
    if settings.batch == AUTO:
        _check_auto(chosen)
    elif settings.batch_size % chosen.processes:
        raise ConfigError(f"batch: {settings.batch} cannot be shared equally by {chosen.processes} processes")
    return chosen


def _check_auto(devices: Devices) -> None:
    """Raise ConfigError unless the batch that fits can be found here, before other processes start."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if devices.accelerator == "cpu":
        raise ConfigError(
            "batch: auto looks for what fits into a GPU's memory, and this trains on the CPU; give a number, such as "
            "--batch 16"
        )
    if devices.several and (devices.nodes > 1 or TorchElasticEnvironment.detect() or SLURMEnvironment.detect()):
        raise ConfigError(
            "batch: auto is found before the processes of a training start, which torchrun and SLURM start all at "
            "once; give a number, such as the one that --batch auto finds on one GPU times their number"
        )


def _check_launched(nodes: int) -> None:
    """Raise ConfigError if several computers are to train together and nothing has told this process of the others."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    started = TorchElasticEnvironment.detect() or SLURMEnvironment.detect() or "MASTER_ADDR" in os.environ
    if nodes > 1 and not started:
        raise ConfigError(
            f"nodes: {nodes}, but this process was not told of the others; start it with torchrun --nnodes {nodes} "
            "-m spikeyolo train ..., or by SLURM, on each of them, or give --nodes 1"
        )


def is_first_process() -> bool:
    """Whether this is the process that prints and writes, by the launcher's environment."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return getattr(rank_zero_only, "rank", 0) == 0


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what is needed next, so that a step on a CPU gets no page anew.

    Else it gives the activations of each step back to the system, and gets them again as pages that are cleared first,
    and in no cache. Only glibc, of Linux, can be told.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # of mallopt(3)
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 2**26)
