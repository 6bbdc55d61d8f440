"""Watching the spike counts of a network while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from . import ILIF, SpikingNeuron


class MeanCount:
    """Mean spike count over all neurons and timesteps of the forward passes it watched."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []
        self._neurons = 0

    def add(self, counts: Tensor) -> None:
        """Take the spike counts of one layer."""
        self._sums.append(counts.detach().sum(dtype=torch.float32))
        self._neurons += counts.numel()

    def scalar(self) -> Tensor | None:
        """Return the mean, 0..max_count, where the counts are; None without any."""
        return torch.stack(self._sums).sum() / self._neurons if self._neurons else None

    def value(self) -> float:
        """Return the mean; NaN without any."""
        mean = self.scalar()
        return float("nan") if mean is None else float(mean)


@contextmanager
def watch_counts(network: nn.Module, active: bool = True) -> Iterator[MeanCount]:
    """Measure the mean spike count of what runs inside; costs a pass over the counts, so not for every batch."""
    mean = MeanCount()
    layers = [module for module in network.modules() if isinstance(module, ILIF | SpikingNeuron)] if active else []

    @torch.no_grad()  # nothing of it is kept for a backward pass
    def see(layer: ILIF | SpikingNeuron, inputs: object, outputs: Tensor) -> None:
        mean.add(layer.counts(outputs))

    hooks = [layer.register_forward_hook(see) for layer in layers]
    try:
        yield mean
    finally:
        for hook in hooks:
            hook.remove()
