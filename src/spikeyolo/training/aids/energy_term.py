"""The energy term: the additions that the spikes of a batch cause, as a part of the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ...metering.counting import fan_out
from ...model.blocks import SpikingConv
from ...model.detector import SpikeYOLO
from ...model.forms.convert import convert
from ...model.forms.form import Form
from ...model.network import SpikingNetwork
from ...model.presets import RELU, NetworkConfig
from ...spiking.neuron import ILIF
from ...spiking.slots import SlotCode, binary_slots
from ..optimization import Position
from .aid import Term, TrainingAid


class EnergyTerm(TrainingAid):
    """The share of additions that spikes cause, of those that there would be if every neuron fired D spikes.

        share = sum of fan_out * spikes(C) / (D * sum of fan_out)

    over all neurons and timesteps of an image. spikes(C) is the count C in unary code, the number of its binary digits
    1 in binary code; the divisor is the same for both. A spike at a position of a channel is added to `fan_out` sums of
    the dense form, fewer at borders and between strides, so that these additions are exactly those that `energy` counts
    on the same counts. The first convolution, which sees the image, and the doublings of the binary code, of which
    there is a fixed number, are left out. The share is 0..1, whatever the size of network and image.

    Its gradient for a count is the fan-out times what `spikes_of` says, over the divisor; from there to the membrane
    potential, and to a learned scale, it is the neuron's own.

    Args:
        config: of the network.
        weight: of the share in the loss, after the warm-up.
        code: how counts become spikes.

    Raises:
        ConfigError: an ANN twin, which has no spikes.
    """

    def __init__(self, config: NetworkConfig, weight: float, code: SlotCode = SlotCode.UNARY) -> None:
        super().__init__()
        if config.neuron == RELU:
            raise ConfigError("energy_weight: an ANN twin has no spikes; leave it out, or name another neuron")
        self.weight, self.code, self.max_count = weight, code, config.max_count
        self._convolutions = dense_convolutions(config)
        self._reach: dict[tuple[str, torch.Size], tuple[Tensor, float]] = {}
        self._additions: list[Tensor] = []
        self._most = 0.0

    def lines(self) -> list[str]:
        """Return what the run says of it at the start."""
        return [
            f"the share of additions that spikes cause ({self.code} code, of {self.max_count} spikes a neuron) weighs "
            f"{self.weight:g} after the warm-up"
        ]

    @contextmanager
    def watching(self, network: SpikeYOLO) -> Iterator[None]:
        """Add up the additions that the counts of the network's neurons cause."""
        self._additions, self._most = [], 0.0
        units = [(name, unit) for name, unit in network.named_modules() if isinstance(unit, SpikingConv)]
        handles = [
            unit.neuron.register_forward_hook(partial(self._see, name))
            for name, unit in units
            if unit.neuron is not None
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, name: str, neuron: ILIF, inputs: tuple[Any, ...], outputs: Tensor) -> None:
        counts = neuron.counts(outputs)
        reach, total = self._reach_of(name, counts)
        spikes = spikes_of(counts, self.max_count, self.code).sum((0, 1, 2), dtype=torch.float32)
        self._additions.append((spikes.double() * reach).sum())
        self._most += self.max_count * counts.shape[0] * counts.shape[2] * total

    def _reach_of(self, name: str, counts: Tensor) -> tuple[Tensor, float]:
        """(H, W) float64: the sums that a spike of a unit's neurons is added to; and these of all positions."""
        size = counts.shape[-2:]
        if (name, size) not in self._reach:
            conv = self._convolutions[name]
            out_hw = [
                (side + 2 * int(conv.padding[axis]) - conv.kernel_size[axis]) // conv.stride[axis] + 1
                for axis, side in enumerate(size)
            ]
            reach = fan_out(conv, size, out_hw)
            self._reach[name, size] = reach.to(counts.device), float(reach.sum())
        return self._reach[name, size]

    def terms(self, images: Tensor, logits: Sequence[Tensor], position: Position) -> dict[str, Term]:
        """Return the share of additions, and how many billions there are for an image."""
        additions, number = torch.stack(self._additions).sum(), float(images.shape[-4])
        self._additions = []
        return {
            "energy_loss": Term(additions / self._most, number, 0.0 if position.warming else self.weight),
            "gsop": Term(additions.detach() / 1e9, number),
        }


def dense_convolutions(config: NetworkConfig) -> dict[str, nn.Conv2d]:
    """Return the convolution, without numbers, that each unit of a network has in the dense form, by its name."""
    shape = replace(config, neuron="coco", learned_scale="none", surrogate_width=0.0)  # which does not depend on these
    with torch.device("meta"):
        network = SpikingNetwork(shape)
        convert(network, Form.DENSE)
    found = {}
    for name, unit in network.named_modules():
        if isinstance(unit, SpikingConv):
            assert isinstance(unit.conv, nn.Conv2d)
            found[name] = unit.conv
    return found


def spikes_of(counts: Tensor, max_count: int, code: SlotCode) -> Tensor:
    """Return how many spikes counts (...) are: themselves in unary code, in binary the digits 1 that they have.

    The latter is a step function of the count that also falls, from 2 spikes for 3 to 1 for 4. Its gradient is that of
    log2(1 + count), the smooth bound that it nowhere exceeds and that it touches at 0, 1, 3, 7, ...: a spike less
    always is less energy, and the first one counts most.
    """
    return counts if code is SlotCode.UNARY else _Digits.apply(counts, max_count)


class _Digits(torch.autograd.Function):
    """Binary digits 1 of a count, with the gradient of log2(1 + count)."""

    @staticmethod
    def forward(ctx: Any, counts: Tensor, max_count: int) -> Tensor:
        ctx.save_for_backward(counts)
        total = torch.zeros_like(counts)
        for slot in binary_slots(counts, max_count, SlotCode.BINARY):
            total += slot
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (counts,) = ctx.saved_tensors
        return gradient / ((1 + counts) * math.log(2)), None
