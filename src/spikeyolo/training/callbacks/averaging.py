"""Exponential averages of the weights, which are what is validated and saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

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
        def average(averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
            share = 1 - ema_decay(int(updates) + 1, decay, ramp)
            _lerp(list(averaged), list(current), share)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average where the model will be; it is not there yet when this is called."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    @property
    def network(self) -> SpikeYOLO:
        """The network with averaged weights (outside validation, when both are swapped)."""
        assert self._average_model is not None
        return cast("DetectorModule", self._average_model.module).network


@torch.no_grad()
def _lerp(averaged: list[Tensor], current: list[Tensor], share: float) -> None:
    floating = [i for i, value in enumerate(averaged) if value.is_floating_point()]
    if floating:
        torch._foreach_lerp_([averaged[i] for i in floating], [current[i] for i in floating], share)
    for i in set(range(len(averaged))) - set(floating):  # counters
        averaged[i].copy_(current[i])
