"""The figures of one convolution for an image, in either slot code, and what follows from a mean count alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..spiking import SlotCode, binary_slots


@dataclass(frozen=True)
class LayerCount:
    """What one convolution of the dense form does for an image.

    Counts are the same in both slot codes; spikes, slots and additions are those of `slot_code`.

    Attributes:
        name: of the unit in the network.
        macs: multiply-accumulates of the convolution for one timestep, every position of the padded input counted.
        mean_count: mean spike count of its input, 0..D, over images, timesteps and positions; None for the first
            convolution, which sees the image, and for leaky sums of events before it, which have additions alone.
        timesteps: how often it is computed for an image; 1 for the first one of a still image.
        max_count: D.
        synaptic_ops: additions of a weight that an image really causes in the unary code: a spike at the border or
            between the strides reaches fewer neurons. None where it was not counted: the formula stands in.
        digit_ops: the same in the binary code.
        histogram: for each timestep the share of neurons with a count of 0, 1, ..., D.
        silent: share of neurons that stay silent through all timesteps of an image.
        inputs: neurons that feed it.
        outputs: values that it computes in a timestep.
        weights: its weights, without the biases.
        slot_code: how counts become slots.
    """

    name: str
    macs: int
    mean_count: float | None
    timesteps: int
    max_count: int
    synaptic_ops: float | None = None
    digit_ops: float | None = None
    histogram: tuple[tuple[float, ...], ...] = ()
    silent: float | None = None
    inputs: int = 0
    outputs: int = 0
    weights: int = 0
    slot_code: SlotCode = SlotCode.UNARY

    def in_code(self, code: SlotCode) -> LayerCount:
        """Return the same layer with its counts in another slot code."""
        return replace(self, slot_code=code)

    @property
    def slots(self) -> int:
        """Slots of a timestep."""
        return len(self.slot_code.weights(self.max_count))

    @property
    def mean_spikes(self) -> float | None:
        """Mean number of spikes of a neuron in a timestep.

        Raises:
            ValueError: in the binary code without a histogram; see `spike_bounds`.
        """
        if self.mean_count is None or self.slot_code is SlotCode.UNARY:
            return self.mean_count
        if not self.histogram:
            raise ValueError(f"{self.name}: a mean count alone does not say how many spikes the binary code takes")
        spikes = self.slot_code.spikes(self.max_count)
        return sum(share * s for row in self.histogram for share, s in zip(row, spikes, strict=True)) / self.timesteps

    @property
    def firing_rate(self) -> float | None:
        """Share of the binary slots that hold a spike; in the unary code count / D."""
        return None if self.mean_spikes is None else self.mean_spikes / self.slots

    @property
    def saturated(self) -> float | None:
        """Share of counts that are D."""
        return sum(shares[-1] for shares in self.histogram) / len(self.histogram) if self.histogram else None

    @property
    def slot_rates(self) -> tuple[tuple[float, ...], ...]:
        """For each timestep, for each of its slots, the share of neurons that fire in it."""
        counts = torch.arange(self.max_count + 1)
        fires = [slot.tolist() for slot in binary_slots(counts, self.max_count, self.slot_code)]
        return tuple(
            tuple(sum(share for share, fired in zip(row, slot, strict=True) if fired) for slot in fires)
            for row in self.histogram
        )

    @property
    def formula_ac(self) -> float:
        """Additions for an image as the literature estimates them: macs * mean spikes * T."""
        return 0.0 if self.mean_spikes is None else self.macs * self.mean_spikes * self.timesteps

    @property
    def ac(self) -> float:
        """Additions of weights for an image: counted, or by the formula where they were not."""
        counted = self.synaptic_ops if self.slot_code is SlotCode.UNARY else self.digit_ops
        return self.formula_ac if counted is None else counted

    @property
    def doublings(self) -> int:
        """Doublings for an image: of each output before each slot of a timestep but the first, in the binary code."""
        if self.mean_count is None or self.slot_code is SlotCode.UNARY:
            return 0
        return (self.slots - 1) * self.outputs * self.timesteps

    @property
    def mac(self) -> int:
        """Multiply-accumulates for an image."""
        return self.macs * self.timesteps if self.mean_count is None else 0

    @property
    def spikes(self) -> float:
        """Spikes that enter it for an image."""
        return 0.0 if self.mean_spikes is None else self.mean_spikes * self.inputs * self.timesteps


def in_code(layers: Sequence[LayerCount], code: SlotCode) -> list[LayerCount]:
    """Return the same layers in another slot code."""
    return [layer.in_code(code) for layer in layers]


def count_shares(layers: Sequence[LayerCount]) -> list[float]:
    """Return the share of spike counts that are 0, 1, ..., D, over all layers and timesteps, each neuron the same."""
    spiking = [layer for layer in layers if layer.histogram]
    neurons = sum(layer.inputs * layer.timesteps for layer in spiking)
    counts = range(spiking[0].max_count + 1)
    return [sum(layer.inputs * sum(row[c] for row in layer.histogram) for layer in spiking) / neurons for c in counts]


def spike_bounds(mean_count: float, max_count: int, code: SlotCode = SlotCode.BINARY) -> tuple[float, float]:
    """Return the least and the most spikes that counts of a mean can take on average.

    They are the convex and the concave envelope of spikes over counts 0..D at the mean, and both are reached: by
    counts of two values, one at most the mean and one at least.

    Args:
        mean_count: 0..max_count.
        max_count: D.
        code: of the slots.

    Raises:
        ValueError: a mean outside 0..max_count.
    """
    if not 0 <= mean_count <= max_count:
        raise ValueError(f"mean_count: {mean_count} is outside 0..{max_count}")
    spikes = code.spikes(max_count)
    chords = []
    for low in range(math.floor(mean_count) + 1):
        for high in range(math.ceil(mean_count), max_count + 1):
            share = (mean_count - low) / (high - low) if high > low else 0.0
            chords.append((1 - share) * spikes[low] + share * spikes[high])
    return min(chords), max(chords)


def addition_bounds(layers: Sequence[LayerCount], code: SlotCode = SlotCode.BINARY) -> tuple[float, float]:
    """Return the least and the most additions for an image, by the formula, that the layers' mean counts allow."""
    low = high = 0.0
    for layer in layers:
        if layer.mean_count is not None:
            least, most = spike_bounds(layer.mean_count, layer.max_count, code)
            low, high = (total + layer.macs * s * layer.timesteps for total, s in ((low, least), (high, most)))
    return low, high
