"""Exponential averages of the weights, which are what is validated and saved."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from ...model.detector import SpikeYOLO
    from ..module import DetectorModule


def ema_decay(step: int, decay: float, ramp: float) -> float:
    """Return the share of the average kept at the step-th update, from 1; it grows: early weights are forgotten."""
    return decay * (1 - math.exp(-step / ramp))


class ExponentialAverage(WeightAveraging):
    """Lightning's weight averaging with a decay that ramps up; validation runs on the averaged weights.

    Parameters and the batch norms' statistics are averaged; the first update copies.

    Args:
        decay: in the end.
        ramp: steps, see `ema_decay`.
    """

    def __init__(self, decay: float, ramp: float) -> None:
        super().__init__()
        self._kept = partial(ema_decay, decay=decay, ramp=ramp)
        self._updates = -1  # not read yet
        self._values: tuple[list[Tensor], list[Tensor]] | None = None  # averaged and current ones

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average where the model will be; it is not there yet when this is called."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read once how many updates there were; from here on they are counted where nobody waits for them."""
        super().on_train_start(trainer, pl_module)
        assert self._average_model is not None
        self._updates = int(self._average_model.n_averaged)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have the tensors looked up anew; within an epoch none becomes another, and 500 modules take 4 ms a step."""
        self._values = None

    def share(self, updates: int) -> float:
        """Return the share that the current weights get after so many updates; the first copies."""
        return 1 - self._kept(updates + 1) if updates else 1.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update after a step of the optimiser, as Lightning does, but without a look at what is on the device."""
        if trainer.global_step <= self._latest_update_step:
            return
        assert self._average_model is not None
        if self._values is None:
            averaged, current = ([*m.parameters(), *m.buffers()] for m in (self._average_model.module, pl_module))
            self._values = averaged, current
        lerp(*self._values, self.share(self._updates))
        self._average_model.n_averaged += 1
        self._updates += 1
        self._latest_update_step = trainer.global_step

    @property
    def network(self) -> SpikeYOLO:
        """The network with averaged weights (outside validation, when both are swapped)."""
        assert self._average_model is not None
        return cast("DetectorModule", self._average_model.module).network


@torch.no_grad()
def lerp(averaged: list[Tensor], current: list[Tensor], share: float) -> None:
    """Move averages by a share of the way to the current values, in place; counters are copied."""
    floating = [i for i, value in enumerate(averaged) if value.is_floating_point()]
    if floating:
        torch._foreach_lerp_([averaged[i] for i in floating], [current[i] for i in floating], share)
    counters = sorted(set(range(len(averaged))) - set(floating))
    if counters:
        torch._foreach_copy_([averaged[i] for i in counters], [current[i] for i in counters])
