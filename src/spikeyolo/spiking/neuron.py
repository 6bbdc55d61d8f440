"""The layer of I-LIF neurons, and the state it can be given and leaves."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from .equation import Neuron, widen
from .ilif import fire
from .normed import norm_and_fire

LEAST_SCALE, LARGEST_SCALE = 2.0**-10, 2.0**10
"""Of learned scales; outside, a layer is dead or its counts are all 0 or D."""

SCALE_BITS = 16
"""Bits of a scale in use: so few that float32 holds up to 63 times a scale, and half of that, without rounding."""


class NeuronState(dict[str, Tensor]):
    """Membrane potentials (B, C, H, W) of a network's neurons by name, handed from one call to the next.

    They are float32 at least. An empty one means that every neuron is at rest. A call reads the potentials it starts
    from and leaves those it ends with in the `NeuronState` it was given; `SpikeYOLO.forward` copies it first: a
    caller's is unchanged.
    """

    def detach(self) -> NeuronState:
        """The same potentials without their history of gradients (truncated back-propagation through time)."""
        return NeuronState({name: v.detach() for name, v in self.items()})


def scale_in_use(scale: Tensor) -> Tensor:
    """The scale that a learned one stands for: within the limits, and rounded to 16 significant bits."""
    mantissa, exponent = torch.frexp(widen(scale.detach()).clamp(LEAST_SCALE, LARGEST_SCALE))
    return torch.ldexp(torch.round(mantissa * 2**SCALE_BITS), exponent - SCALE_BITS)


def check_time(x: Tensor) -> None:
    """Raise ShapeError for four axes: a batch of images without time, most likely, of which each would be a timestep.

    The answer would be wrong, and look like one.
    """
    if x.ndim == 4:
        raise ShapeError(
            f"x: {tuple(x.shape)} may be a batch (B, C, H, W) without time, whose images would be taken for timesteps; "
            "give (T, B, C, H, W): x.unsqueeze(0) for images shown once, x.unsqueeze(1) for one sequence of T; "
            "spikeyolo.OverTime runs ordinary layers on that, spikeyolo.ilif takes any (T, ...)"
        )


class ILIF(nn.Module):
    """A layer of I-LIF neurons; every flavour by its parameters.

    Without a state it starts each call at rest and keeps nothing. `name` is its place in the network and its key in
    a `NeuronState`; the network that holds it sets it.

    Args:
        decay: share of the potential that is left after a timestep, 0..1.
        gain: factor on the input current.
        max_count: D, 1..63.
        surrogate_width: of the tails of the surrogate gradient outside 0..D, in counts; 0 is none, as published.
        scales: how many learned scales: 0, 1 for the layer, or one for each channel.

    Attributes:
        scale: (1,) or (channels,) learned; None without. It stays positive: what is used lies within
            2**-10..2**10 and has 16 bits (`scale_in_use`), and training moves it back inside after each step. Its
            gradient is divided by sqrt(elements * D), elements being those of one image and timestep that share a
            scale, so that scales and weights learn at one rate (LSQ, arXiv 1902.08153).
        folded: the scale is part of the next convolution's weights, and counts are given.

    Shape:
        x: (T, B, C, H, W) input current -> (T, B, C, H, W) spike counts 0..max_count, times the scale unless folded.
            Any (T, ...) will do, such as (T, B, N), without learned scales a channel, but for four axes: these are
            refused, since nothing tells (B, C, H, W) without time from (T, C, H, W); see `check_time`.

    Raises:
        ShapeError: four axes, or no floating point.
        ConfigError: a parameter out of range.
    """

    def __init__(
        self,
        decay: float = 0.25,
        gain: float = 1.0,
        max_count: int = 4,
        surrogate_width: float = 0.0,
        scales: int = 0,
    ):
        super().__init__()
        Neuron(decay, gain, max_count, surrogate_width).check()
        self.decay = decay
        self.gain = gain
        self.max_count = max_count
        self.surrogate_width = surrogate_width
        self.scale = nn.Parameter(torch.ones(scales)) if scales else None
        self.folded = False
        self.name = ""

    def forward(self, x: Tensor, state: NeuronState | None = None, norm: nn.BatchNorm2d | None = None) -> Tensor:
        """Return spike counts; with a `state`, start from it and leave the new potential in it.

        With a `norm`, where there is no state and the layer `takes_norm`, it makes the currents of x.
        """
        check_time(x)
        neuron = Neuron(self.decay, self.gain, self.max_count, self.surrogate_width, weighed=not self.folded)
        if norm is not None:
            return norm_and_fire(norm, x, neuron)
        scale = None if self.scale is None else self._scale(self.scale, x)
        v = None if state is None else state.get(self.name)
        outputs, v = fire(x, v, scale, neuron, keep_state=state is not None)
        if state is not None and v is not None:
            state[self.name] = v
        return outputs

    @property
    def takes_norm(self) -> bool:
        """Whether a norm before the layer can be part of it (`normed.joins`), and nobody watches what it receives."""
        seen = self._forward_pre_hooks or self._backward_hooks
        return self.scale is None and not self.surrogate_width and not seen

    def _scale(self, scale: Tensor, x: Tensor) -> Tensor:
        """The scale in use, over one step; its gradient goes to the learned one."""
        used = scale_in_use(scale)
        if torch.is_grad_enabled() and scale.requires_grad:
            elements = x[0, 0].numel() / scale.numel()
            used = used + (scale - scale.detach()) / math.sqrt(elements * self.max_count)
        return used.view(-1, 1, 1)

    def counts(self, outputs: Tensor) -> Tensor:
        """The spike counts of what the layer gave, differentiable as that is: a larger scale means smaller counts."""
        if self.scale is None or self.folded:
            return outputs
        counts = widen(outputs) / self._scale(self.scale, outputs)
        return counts + (counts.round() - counts).detach()  # half precision has rounded the product

    def extra_repr(self) -> str:
        """The parameters, for print(model)."""
        tails = f", surrogate_width={self.surrogate_width}" if self.surrogate_width else ""
        scales = "" if self.scale is None else f", scales={self.scale.numel()}"
        return f"decay={self.decay}, gain={self.gain}, max_count={self.max_count}{tails}{scales}"
