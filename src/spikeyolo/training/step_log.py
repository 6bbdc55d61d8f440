"""What training steps gave, read from the device in one go every so many steps: nobody waits for it in between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..structures import Batch, StretchBatch

READ_EVERY = 10
"""Steps on a GPU between two looks at what is on it."""


def read_every(device: torch.device) -> int:
    """Steps between two looks: on a CPU nothing has to be waited for."""
    return 1 if device.type == "cpu" else READ_EVERY


@dataclass
class Step:
    """One batch that the network learned from.

    Attributes:
        batch: as the loader gave it, to be kept if it fails.
        epoch: from 0, like the next.
        batch_idx: in the epoch.
        lr: learning rate.
        losses: scalars by name: the three parts of the loss, then further terms.
        mean_count: scalar, mean spike count, if it was measured.
        norm: scalar, of the gradient, if the optimiser made a step.
    """

    batch: Batch | StretchBatch
    epoch: int
    batch_idx: int
    lr: float
    losses: dict[str, Tensor]
    mean_count: Tensor | None = None
    norm: Tensor | None = None


@dataclass(frozen=True)
class Read:
    """The numbers of a step.

    Attributes:
        step: whose.
        losses: by name.
        mean_count: NaN if it was not measured.
        norm: of the gradient; 0 without a step of the optimiser.
    """

    step: Step
    losses: dict[str, float]
    mean_count: float
    norm: float


def read(steps: Sequence[Step]) -> Iterator[Read]:
    """Yield the numbers of steps, which come from the device together."""
    several = [[*step.losses.values(), step.mean_count, step.norm] for step in steps]
    there = [value.detach() for values in several for value in values if value is not None]
    wide = torch.float64 if any(value.dtype == torch.float64 for value in there) else torch.float32
    numbers = iter(torch.stack([value.to(wide) for value in there]).tolist() if there else [])
    for step in steps:
        yield Read(
            step,
            {name: next(numbers) for name in step.losses},
            math.nan if step.mean_count is None else next(numbers),
            0.0 if step.norm is None else next(numbers),
        )
