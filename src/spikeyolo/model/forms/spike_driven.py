"""The addition-only network: the dense folded form, run on binary spikes.

Each unit turns the counts of its neurons into D binary slots, weighs every slot by itself, sums the results, and adds
the bias once a timestep. On zeros and ones a convolution needs no product: it adds the weights of the synapses that
received a spike. Shortcuts, concatenations and up-sampling move and add membrane potentials, as in training.

With the binary code of slots the sum is doubled before each further slot, a shift, and D = 4 takes 3 slots.

Weights are rounded to a grid of their output channel, a power of two so fine that every possible sum of them stays
within the mantissa (24 bits in float32, 53 in float64) and so coarse that no sum is ever rounded. So the order in which
spikes arrive does not matter: slots and counts give the same network bit for bit, in float32 too, for any batch size.
Without this a sum that differs in its last bit flips a count beside a rounding threshold, and a deep spiking network
sees something else. Reduced precision is switched off while they run (`exact`).

A learned scale s has gone into the weights by folding. What is left of it are thresholds s * (k + 1/2), with which
potentials are compared, and the reset, s a spike: additions (`spiking.comparing`). It has 16 bits, so that s * C is
exact, and it is the same number in every form of a network.

Products that remain, and why they may: the first convolution sees the image; the leak is a shift where decay and
gain are powers of two; the mean over T and the decoding follow the network. `verify_spike_driven` checks all this.
The first convolution sees whole levels, 0..255 of an 8-bit image, and its weights are on such a grid too: no sum of the
network is rounded, and every runtime on every machine gives the same spikes.

Source: Luo et al., ECCV 2024, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...devices import divided
from ...errors import ConfigError, VerificationError
from ...spiking import ILIF, ComparingILIF, NeuronState, SlotCode, SpikingNeuron, binary_slots
from ...spiking.spiking_neuron import check_counts
from ..blocks import SpikingConv, SpikingSPPF, use_channels_last
from .exact import MAX_INPUT, exact_convolutions


class Synapses(nn.Conv2d):
    """A convolution that is only ever fed spikes: zeros and ones. It has no bias, which would be added every slot.

    Shape:
        spikes: (N, in, H, W) of 0 and 1 -> (N, out, H', W') sums of weights.

    Raises:
        VerificationError: something else than 0 and 1 came in, unless `check` is off.
    """

    check = True

    def forward(self, spikes: Tensor) -> Tensor:
        if self.check and not bool(((spikes == 0) | (spikes == 1)).all()):
            raise VerificationError(f"a spiking convolution ({self.extra_repr()}) received something else than 0 and 1")
        with exact_convolutions():
            return super().forward(spikes)


def _geometry(conv: nn.Conv2d) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups")
    return {name: getattr(conv, name) for name in names}


class LevelConvolution(nn.Conv2d):
    """The first convolution: it weighs levels, whole numbers, so that its sums are not rounded either.

    Args:
        conv: the folded one.
        levels: steps from 0 to 1 of what the network sees; `NetworkConfig.input_levels`.

    Shape:
        images: (N, in, H, W) multiples of 1 / levels (others too, with sums that are rounded) -> (N, out, H', W').
    """

    def __init__(self, conv: nn.Conv2d, levels: int):
        super().__init__(**_geometry(conv), bias=True, device="meta")
        self.levels = levels
        assert conv.bias is not None
        weight, bias = on_exact_grid(conv.weight.detach() / levels, conv.bias.detach(), MAX_INPUT)
        self.weight = nn.Parameter(weight * levels)  # of no more bits than the mantissa has
        self.bias = nn.Parameter(bias)

    @property
    def level_weight(self) -> Tensor:
        """The weight of one level."""
        return divided(self.weight, self.levels)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        with exact_convolutions():
            return self._conv_forward(images * self.levels, self.level_weight, self.bias)


def on_exact_grid(weight: Tensor, bias: Tensor, max_count: int) -> tuple[Tensor, Tensor]:
    """Weights (out, ...) and bias (out,) rounded so that sums of up to `max_count` times each weight are exact.

    The step of a channel is the smallest power of two for which the largest sum is an integer number of steps that the
    mantissa holds; float32 leaves some 11 to 16 bits to the largest weight of a channel.
    """
    mantissa = 1 - math.log2(torch.finfo(weight.dtype).eps)
    flat = weight.double().flatten(1)
    largest = flat.abs().sum(1) * max_count + bias.double().abs()
    room = 2**mantissa - (flat.shape[1] * max_count + 1) / 2  # rounding adds half a step a weight at most
    if room < 2**mantissa / 2:
        raise ConfigError(
            f"max_count: {max_count} spikes on each of {flat.shape[1]} weights leave {weight.dtype} no room for exact "
            "sums; take a smaller D, or float64"
        )
    scale = torch.exp2(torch.floor(torch.log2(room / largest.clamp(min=2.0**-100)))).clamp(max=2.0**100)
    rounded = torch.round(flat * scale.unsqueeze(1)) / scale.unsqueeze(1)
    return rounded.view_as(weight).to(weight.dtype), (torch.round(bias.double() * scale) / scale).to(bias.dtype)


class SpikeDrivenConv(nn.Module):
    """The unit of the addition-only network: neurons fire, D slots are weighed one by one, a bias once a timestep.

    Args:
        neuron: of the unit; of one from outside the package the counts are looked at, too.
        conv: its folded, dense convolution with a bias.

    Attributes:
        on_slots: True weighs the slots one by one; False weighs the counts at once, which gives the same bits sooner.
        code: of the slots.

    Shape:
        x: (T, B, in, H, W) membrane potentials -> (T, B, out, H', W') input currents.
    """

    def __init__(self, neuron: ILIF | SpikingNeuron, conv: nn.Conv2d):
        super().__init__()
        self.on_slots, self.code = True, SlotCode.UNARY
        self.neuron = neuron
        self.synapses = Synapses(**_geometry(conv), bias=False, device="meta")
        assert conv.bias is not None
        weight, bias = on_exact_grid(conv.weight.detach(), conv.bias.detach(), neuron.max_count)
        self.synapses.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(
        self, x: Tensor, state: NeuronState | None = None, spread: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """`spread` maps the spikes (T * B, C, H, W) of a slot to other spikes before they are weighed."""
        counts = self.neuron(x, state).flatten(0, 1)
        if isinstance(self.neuron, SpikingNeuron):
            check_counts(counts, self.neuron)
        current: Tensor | None = None
        for spikes in binary_slots(counts, self.neuron.max_count, self.code) if self.on_slots else [counts]:
            weighed = self.synapses(spikes if spread is None else spread(spikes))
            current = weighed if current is None else _next_slot(current, self.code) + weighed
        assert current is not None
        return (current + self.bias.view(-1, 1, 1)).unflatten(0, x.shape[:2])


def _next_slot(sums: Tensor, code: SlotCode) -> Tensor:
    return sums if code.factor == 1 else sums * code.factor


class SpikeDrivenSPPF(SpikingSPPF):
    """Spatial pyramid pooling that pools spikes where that is the same as pooling potentials, as trained.

    From rest and for one timestep the neuron is a rising function of its input, count = f(x), so that
    max(f(x_i)) = f(max(x_i)); and the unary slots are rising functions of the count, so that the largest of binary
    spikes (an OR) is the spike of the largest. Binary digits are not (the OR of 1 and 2 is 3): potentials are pooled.
    With a membrane potential carried over (T > 1, or a stream) the count depends on the neuron's past too, and
    the neurons of the pooled positions have pasts of their own: potentials are pooled. So they are where channels have
    scales of their own, as then each level of the pyramid has another f, and where the neuron is from outside the
    package, as nobody knows whether it rises.
    """

    def __init__(self, trained: SpikingSPPF):
        nn.Module.__init__(self)
        self.reduce, self.pool, self.merge = trained.reduce, trained.pool, trained.merge

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        neuron = self.merge.neuron
        alike = isinstance(neuron, ILIF) and (neuron.scale is None or neuron.scale.numel() == 1)
        if x.shape[0] > 1 or state is not None or self.merge.code is SlotCode.BINARY or not alike:
            return super().forward(x, state)
        return self.merge(self.reduce(x), spread=self.pyramid)


def run_on_slots(network: nn.Module, on_slots: bool) -> None:
    """Lets a spike-driven network run on binary slots, as it is made, or on counts: the same bits in fewer steps."""
    for module in network.modules():
        if isinstance(module, SpikeDrivenConv):
            module.on_slots = module.synapses.check = on_slots


def to_spike_driven_(network: nn.Module, input_levels: int) -> None:
    """Turns a dense folded network into the addition-only one, in place, of float32 at least.

    Args:
        network: to change.
        input_levels: as in NetworkConfig.

    Raises:
        ConfigError: a unit without spiking neurons (the ANN twin).
    """
    if any(torch.finfo(weight.dtype).bits < 32 for weight in network.parameters()):
        network.float()  # half precision has no room for exact sums
    for name, module in list(network.named_modules()):
        if isinstance(module, SpikingSPPF):
            network.set_submodule(name, SpikeDrivenSPPF(module))
    for name, module in list(network.named_modules()):
        if isinstance(module, SpikingConv):
            assert isinstance(module.conv, nn.Conv2d)
            if module.neuron is None:
                module.conv = LevelConvolution(module.conv, input_levels)
                continue
            if not isinstance(module.neuron, ILIF | SpikingNeuron):
                raise ConfigError("to_spike_driven: a network with neuron='relu' has no spikes")
            neuron = module.neuron if module.neuron.scale is None else ComparingILIF(module.neuron)
            network.set_submodule(name, SpikeDrivenConv(neuron, module.conv))
    use_channels_last(network)
