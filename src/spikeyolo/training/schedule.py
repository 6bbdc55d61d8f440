"""Learning rate, momentum and accumulation as a function of the position alone: nothing to save, nothing to resume."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .settings import TrainSettings


@dataclass(frozen=True)
class Position:
    """What the optimiser is set to for one batch.

    Attributes:
        lr: learning rate of weights and norms.
        bias_lr: learning rate of biases.
        momentum: of SGD, or AdamW's first beta.
        accumulate: batches whose gradients are summed before a step.
    """

    lr: float
    bias_lr: float
    momentum: float
    accumulate: int


@dataclass(frozen=True)
class Schedule:
    """The recipe's course over a training.

    The learning rate falls epoch by epoch. In the first `warmup_epochs` epochs, batch by batch, that of weights rises
    from 0, that of biases goes from `warmup_bias_lr` (AdamW: 0), the momentum rises from `warmup_momentum` and the
    batches a step from 1.

    Args:
        settings: the recipe.
        batches: batches of an epoch.
    """

    settings: TrainSettings
    batches: int

    def factor(self, epoch: int) -> float:
        """Share of the learning rate in an epoch, without warm-up: 1 at the first, towards `final_lr` at the end."""
        s = self.settings
        done = epoch / s.epochs
        left = 1 - done if s.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return s.final_lr + (1 - s.final_lr) * left

    def at(self, epoch: int, batch: int) -> Position:
        """The values for a batch of an epoch, both from 0."""
        s = self.settings
        lr = s.lr * self.factor(epoch)
        most = s.nominal_batch / s.batch
        warmup = round(s.warmup_epochs * self.batches)
        warm = min((epoch * self.batches + batch) / warmup, 1.0) if warmup else 1.0
        first_bias_lr = 0.0 if s.optimizer == "adamw" else s.warmup_bias_lr
        return Position(
            lr=lr * warm,
            bias_lr=_between(first_bias_lr, lr, warm),
            momentum=_between(s.warmup_momentum, s.momentum, warm),
            accumulate=max(1, round(_between(1.0, most, warm))),
        )


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
