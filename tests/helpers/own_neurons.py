"""Neurons from outside the package, as a user would write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeyolo import SpikingNeuron
from spikeyolo.spiking.spiking_neuron import with_slope


class Ternary(SpikingNeuron):
    """Counts of 0, 2 or 4, and a threshold that is higher after it fired: two variables, additions alone."""

    def rest(self, current: Tensor) -> Tensor:
        return torch.zeros_like(torch.stack([current, current]))

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        potential, tired = v.unbind(0)
        h = current + 0.5 * potential
        low, high = ((h - 0.125 * tired >= threshold).to(h.dtype) for threshold in (0.5, 2.0))
        counts = low + low + high + high
        kept = torch.stack([h - counts, 0.5 * tired + counts])
        return with_slope(counts, h, lambda h: (h.abs() < 4).to(h.dtype)), kept


class Crooked(SpikingNeuron):
    """Multiplies potentials with each other: no network of additions alone, but one that learns and folds."""

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        h = current + v * v
        counts = h.clamp(0.0, float(self.max_count)).round()
        return with_slope(counts, h, torch.ones_like), 0.25 * (h - counts.detach())


class Leaks(SpikingNeuron):
    """The same, in numpy, where nobody sees it."""

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        h = current.detach().cpu().numpy() * 0.3
        return torch.from_numpy(h.clip(0, self.max_count).round()), v


class Clips(SpikingNeuron):
    """Gives parts of spikes, which no slot carries."""

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return current.clamp(0.0, float(self.max_count)), v


class PerChannel(SpikingNeuron):
    """A learned offset a channel, and a buffer that counts calls; I-LIF otherwise."""

    def __init__(self, channels: int, max_count: int):
        super().__init__(channels, max_count)
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            self.calls += 1
        h = current + self.offset + 0.25 * v
        counts = with_slope(h.clamp(0.0, float(self.max_count)).round(), h, torch.ones_like)
        return counts, h - counts.detach()
