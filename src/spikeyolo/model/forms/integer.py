"""The integer network: int8 weights, 32-bit sums, membrane potentials in fixed point; additions and shifts only.

Format, stated once:
    potentials      integers p that stand for p / 2**F thresholds, F fraction bits, one F for the whole network
    weights         int8 per output channel o, standing for w / 2**k[o]: a scale that is a power of two, so that a sum
                    of weights becomes a potential by a left shift of F - k[o] bits
    biases          int32 in the format of potentials, added once a timestep
    leak and gain   arithmetic right shifts (they round down), so decay and gain must be powers of two
    firing          D comparisons: slot d holds a spike where H >= the d-th threshold, d + 1/2, rounded to even like the
                    trained neuron: the threshold itself fires for odd d, and only what is above it for even d
    scale           learned: an integer S a layer or channel in the format of potentials takes the place of 1.0, which
                    is 2**F: slot d holds a spike where H >= S (d + 1/2), ties as above, and a spike takes S off
    image         its 8-bit values 0..255, the division by 255 being part of the first weights; of event frames as
                    many levels to 1 as the network's `input_levels` says, -255..255 of them

`fits_in_32_bits` proves from the weights that no sum can leave 32 bits, whatever is shown to the network;
`convert.converted` takes the most fraction bits for which the proof holds. Every number being an integer, spike counts
and binary slots give the same sums bit for bit, in any order of addition.

The integers are held in floating point, because not every device has convolutions of integers: potentials
in float64, exact to 2**53; sums in float32 on CPUs where they stay below 2**24, to which it is exact, else in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import ConfigError
from ...placement import STRIDES
from ...spiking import ILIF, NeuronState, SlotCode, SpikingNeuron, binary_slots, scale_in_use
from ...spiking.spiking_neuron import ilif_of, name_of
from ..blocks import SpikingConv
from ..head import DetectHead
from .exact import MAX_INPUT, exact_convolutions

MAX_FRACTION_BITS = 16
MIN_FRACTION_BITS = 6
LIMIT = 2**31
MAX_WEIGHT = 127


def _shift(value: float, name: str) -> int:
    """The right shift that multiplies by 1, 1/2, 1/4, ...

    Raises:
        ConfigError: no such power of two.
    """
    fraction, exponent = math.frexp(value)
    if fraction != 0.5 or exponent > 1:
        raise ConfigError(f"{name}: {value} is not 1, 1/2, 1/4, ..., and an integer network can only shift")
    return 1 - exponent


def thresholds(max_count: int, fraction_bits: int) -> list[int]:
    """Of each slot the least potential at which it holds a spike; see the module's docstring."""
    return scaled_thresholds(max_count, 2**fraction_bits)


def scaled_thresholds(max_count: int, scale: Any) -> list[Any]:
    """The same of neurons with a scale: the least p with 2 p > S (2 d + 1), for odd d with 2 p >= S (2 d + 1).

    `scale` is an integer, or an array or tensor of them; so is each threshold.
    """
    return [(scale * (2 * slot + 1) + 1 + (slot % 2 == 0)) // 2 for slot in range(max_count)]


class IntegerILIF(nn.Module):
    """I-LIF on fixed-point potentials; see the module's docstring for the format.

    Shape:
        x: (T, B, C, H, W) integers -> (T, B, C, H, W) spike counts 0..max_count.
    """

    scale: Tensor | None

    def __init__(self, neuron: ILIF, fraction_bits: int):
        super().__init__()
        self.name = neuron.name
        self.max_count = neuron.max_count
        self.decay = neuron.decay
        self.gain_shift = _shift(neuron.gain, "gain")
        self.decay_shift = _shift(neuron.decay, "decay") if neuron.decay else None
        self.fraction_bits = fraction_bits
        scale = None if neuron.scale is None else torch.round(scale_in_use(neuron.scale).double() * 2**fraction_bits)
        if scale is not None and not scale.is_meta and bool((scale < 1).any()):
            raise ConfigError(
                f"to_integer: {self.name}: a learned scale below the least step of {fraction_bits} fraction bits"
            )
        self.register_buffer("scale", None if scale is None else scale.to(torch.int32))

    @property
    def thresholds(self) -> list[Any]:
        """Of each slot the least potential at which it holds a spike: an integer, or (1 or channels, 1, 1) of them."""
        if self.scale is None:
            return thresholds(self.max_count, self.fraction_bits)
        return scaled_thresholds(self.max_count, self.scale.long().view(-1, 1, 1))

    @property
    def reset(self) -> Tensor | int:
        """What a spike takes off the potential."""
        return 2**self.fraction_bits if self.scale is None else self.scale.double().view(-1, 1, 1)

    @property
    def largest_scale(self) -> float:
        """The largest of what spikes take off potentials."""
        return float(2**self.fraction_bits if self.scale is None else self.scale.max())

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        v = None if state is None else state.get(self.name)
        steps = []
        for current in x.unbind(0):
            h = _shift_right(current, self.gain_shift)
            if v is not None and self.decay_shift is not None:
                h = h + _shift_right(v, self.decay_shift)
            steps.append(self.fire(h))
            v = h - steps[-1] * self.reset
        if state is not None and v is not None:
            state[self.name] = v
        return torch.stack(steps)

    def fire(self, h: Tensor) -> Tensor:
        """Spike counts of potentials: how many of the D thresholds are reached."""
        counts = torch.zeros_like(h)
        for threshold in self.thresholds:
            counts += h >= threshold
        return counts

    def extra_repr(self) -> str:
        """The shifts, for print(model)."""
        return f"gain_shift={self.gain_shift}, decay_shift={self.decay_shift}, fraction_bits={self.fraction_bits}"


def _shifting(neuron: nn.Module) -> ILIF:
    """The I-LIF neuron of a layer, all of whose numbers are known without weights, from which the form is read again.

    Raises:
        ConfigError: it has none, or numbers of its own.
    """
    if isinstance(neuron, SpikingNeuron) and (own := [*neuron.state_dict()]):
        raise ConfigError(
            f"to_integer: {name_of(type(neuron))} has numbers of its own ({', '.join(own)}); the integer form has no "
            "place for them"
        )
    return ilif_of(neuron, "to_integer")


def _shift_right(x: Tensor, bits: int) -> Tensor:
    return x if bits == 0 else torch.floor(x / 2**bits)


class IntegerConv(nn.Module):
    """A unit of the integer network, made from a dense folded one.

    Attributes:
        weight: (out, in / groups, kh, kw) int8.
        shift: (out,) int8, the left shift from sums of weights to potentials.
        bias: (out,) int32, in the format of potentials.
        on_slots: True weighs binary slots one by one, False the counts at once; the result is the same integer.
        code: of the slots; in the binary one sums are shifted left by one bit before each further slot.

    Shape:
        x: (T, B, in, H, W) integer potentials, of the first unit what the network sees -> (T, B, out, H', W') integers.
    """

    weight: Tensor
    shift: Tensor
    bias: Tensor

    def __init__(self, unit: SpikingConv, fraction_bits: int, input_levels: int):
        super().__init__()
        assert isinstance(unit.conv, nn.Conv2d)
        assert unit.conv.bias is not None
        self.on_slots, self.code, self.input_levels = True, SlotCode.UNARY, input_levels
        conv = unit.conv
        self.geometry: dict[str, Any] = {"stride": conv.stride, "padding": conv.padding, "groups": conv.groups}
        self.neuron = None if unit.neuron is None else IntegerILIF(_shifting(unit.neuron), fraction_bits)
        weight = unit.conv.weight.detach().double()
        if self.neuron is None:
            weight = weight / input_levels
        largest = weight.abs().amax((1, 2, 3)).clamp(min=2.0**-60)
        bits = torch.floor(torch.log2(MAX_WEIGHT / largest)).clamp(max=fraction_bits)
        self.register_buffer("weight", torch.round(weight * torch.exp2(bits).view(-1, 1, 1, 1)).to(torch.int8))
        self.register_buffer("shift", (fraction_bits - bits).to(torch.int8))
        bias = torch.round(unit.conv.bias.detach().double() * 2**fraction_bits)
        self.register_buffer("bias", bias.clamp(-LIMIT, LIMIT - 1).to(torch.int32))

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        if self.neuron is None:
            sums = self._weigh((x * self.input_levels).round().clamp(-MAX_INPUT, MAX_INPUT).flatten(0, 1))
        else:
            counts = self.neuron(x, state).flatten(0, 1)
            first, *others = binary_slots(counts, self.neuron.max_count, self.code) if self.on_slots else [counts]
            sums = self._weigh(first)
            for spikes in others:
                sums = sums * self.code.factor + self._weigh(spikes)
        scale = torch.exp2(self.shift.double())
        return (sums * scale.view(-1, 1, 1) + self.bias.double().view(-1, 1, 1)).unflatten(0, x.shape[:2])

    def _weigh(self, x: Tensor) -> Tensor:
        most = MAX_INPUT if self.neuron is None else self.neuron.max_count
        small = self.weight[0].numel() * MAX_WEIGHT * most < 2**24
        dtype = torch.float32 if small and x.device.type == "cpu" else torch.float64
        # Rounding removes what a transform inside a GPU's convolution may leave; a CPU's sums are exact.
        with exact_convolutions():
            return F.conv2d(x.to(dtype), self.weight.to(dtype), **self.geometry).double().round()

    def largest_sum(self) -> Tensor:
        """(out,) the largest absolute value of a sum of weights before the shift."""
        most = MAX_INPUT if self.neuron is None else self.neuron.max_count
        return self.weight.double().abs().sum((1, 2, 3)) * most

    def largest_output(self) -> Tensor:
        """(out,) the largest absolute value of what it gives."""
        return self.largest_sum() * torch.exp2(self.shift.double()) + self.bias.double().abs()


class IntegerHead(DetectHead):
    """The detection head on integers; its logits are numbers in units of the threshold again."""

    def __init__(self, head: DetectHead, fraction_bits: int):
        nn.Module.__init__(self)
        self.box, self.classes, self.fraction_bits = head.box, head.classes, fraction_bits

    def forward(self, levels: Sequence[Tensor], state: NeuronState | None = None) -> tuple[Tensor, ...]:
        return tuple((level / 2**self.fraction_bits).float() for level in super().forward(levels, state))


def to_integer_(network: nn.Module, fraction_bits: int, input_levels: int) -> None:
    """Turns a dense folded network into the integer one, in place; `input_levels` as in NetworkConfig.

    Raises:
        ConfigError: neurons that are not I-LIF, or whose decay or gain is not a power of two.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, DetectHead):
            network.set_submodule(name, IntegerHead(module, fraction_bits))
    for name, module in list(network.named_modules()):
        if isinstance(module, SpikingConv):
            network.set_submodule(name, IntegerConv(module, fraction_bits, input_levels))


@dataclass(frozen=True)
class Bounds:
    """The largest absolute values of a unit's integers, whatever the network is shown.

    Attributes:
        sums: of weights, before the shift.
        potentials: before and after the reset, with a history of any length; 0 without neurons.
        outputs: after shift and bias.
    """

    sums: float
    potentials: float
    outputs: float

    @property
    def largest(self) -> float:
        """The largest of them."""
        return max(self.sums, self.potentials, self.outputs)


@contextmanager
def _bounds_flow(network: nn.Module, seen: dict[str, Bounds]) -> Iterator[None]:
    """Inside, each unit gives the largest value it could ever give, and `seen` takes the largest numbers it held."""

    def bound(name: str, unit: IntegerConv, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        potentials = 0.0
        if unit.neuron is not None:
            # |H[t]| <= decay |V[t-1]| + gain |X| + 2 for the two shifts, and |V| <= max(|H|, s/2): a geometric sum.
            step = float(inputs[0].abs().max()) + 2 + unit.neuron.largest_scale
            potentials = step / (1 - unit.neuron.decay) if unit.neuron.decay < 1 else math.inf
            if unit.neuron.scale is not None:  # its thresholds and resets
                potentials = max(potentials, unit.neuron.largest_scale * unit.neuron.max_count)
        seen[name] = Bounds(float(unit.largest_sum().max()), potentials, float(unit.largest_output().max()))
        return unit.largest_output().view(-1, 1, 1).expand_as(output)

    units = {name: module for name, module in network.named_modules() if isinstance(module, IntegerConv)}
    hooks = [
        unit.register_forward_hook(lambda m, i, o, name=name: bound(name, m, i, o)) for name, unit in units.items()
    ]
    on_slots = {name: unit.on_slots for name, unit in units.items()}
    for unit in units.values():
        unit.on_slots = False  # of what it computes the shape alone is used, and slots take D times as long
    try:
        yield
    finally:
        for name, unit in units.items():
            unit.on_slots = on_slots[name]
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def bounds(network: nn.Module, in_channels: int) -> dict[str, Bounds]:
    """For each unit the largest absolute values that its integers can reach, by the weights alone.

    Sums, potentials with a history of any length, outputs, and the sums of outputs on the shortcuts that feed a unit:
    every unit gives its bound, and the network adds, joins and pools the bounds as it does the potentials.
    """
    seen: dict[str, Bounds] = {}
    side = STRIDES[-1]
    with _bounds_flow(network, seen):
        device = next(network.buffers()).device
        network(torch.zeros(1, in_channels, side, side, device=device))
    return seen


def largest_values(network: nn.Module, in_channels: int) -> dict[str, float]:
    """For each unit the largest of its `bounds`."""
    return {name: found.largest for name, found in bounds(network, in_channels).items()}


def fits_in_32_bits(network: nn.Module, in_channels: int) -> bool:
    """Whether no integer of the network can overflow 32 bits, whatever it is shown."""
    return max(largest_values(network, in_channels).values()) < LIMIT
