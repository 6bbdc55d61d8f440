"""Neurons to take, or to begin one's own from; each is given as any other from outside: `neuron=LIF`, or on the command
line `--neuron spikeyolo.spiking.neurons:LIF`. Their numbers are attributes of the class: a subclass sets others.

A surrogate is the slope that a threshold has for the gradient, as a function of the distance u of the potential from
it. The three here have the height 1 and the area 1, as the published one, which is 1 over a width of 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .neuron import ILIF
from .spiking_neuron import SpikingNeuron, name_of, with_slope


def arctan(u: Tensor) -> Tensor:
    """1 / (1 + (pi u)^2). Source: Fang et al., PLIF, ICCV 2021, section 3.5."""
    return 1 / (1 + (math.pi * u) ** 2)


def sigmoid(u: Tensor) -> Tensor:
    """4 p (1 - p), p = 1 / (1 + exp(-4 u)). Source: Zenke & Vogels, Neural Computation 33(4), 2021."""
    p = torch.sigmoid(4 * u)
    return 4 * p * (1 - p)


def fast_sigmoid(u: Tensor) -> Tensor:
    """1 / (1 + 2 |u|)^2. Source: Zenke & Ganguli, SuperSpike, Neural Computation 30(6), 2018."""
    return 1 / (1 + 2 * u.abs()) ** 2


class LIF(SpikingNeuron):
    """The leaky integrate-and-fire neuron: one spike or none in a timestep, and soft reset.

        H[t] = decay * V[t-1] + X[t]
        S[t] = 1 where H[t] >= threshold, else 0
        V[t] = H[t] - threshold * S[t]              of `HardResetLIF`: 0 where it fired, else H[t]

    Backward: dS/dH is the surrogate of H - threshold; S inside the reset is a constant.

    Raises:
        ConfigError: a max_count other than 1.

    Source: Neftci, Mostafa & Zenke, Surrogate gradient learning in spiking neural networks, IEEE Signal Processing
    Magazine 36(6), 2019.
    """

    decay = 0.5
    threshold = 1.0
    hard_reset = False
    surrogate: Callable[[Tensor], Tensor] = staticmethod(arctan)

    def __init__(self, channels: int, max_count: int):
        super().__init__(channels, max_count)
        if max_count != 1:
            raise ConfigError(f"max_count: {name_of(type(self))} fires one spike at most; give 1, not {max_count}")

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        h = self.decay * v + current
        fired = h >= self.threshold
        # A choice, and no product with the spike: additions alone.
        kept = torch.where(fired, torch.zeros_like(h) if self.hard_reset else h - self.threshold, h)
        return with_slope(fired.to(h.dtype), h, lambda h: self.surrogate(h - self.threshold)), kept


class HardResetLIF(LIF):
    """`LIF` whose potential is 0 after a spike."""

    hard_reset = True


class PLIF(SpikingNeuron):
    """I-LIF that learns its decay and its threshold, one of each a layer.

        H[t] = decay * V[t-1] + X[t] / threshold            V and H in units of the threshold
        C[t] = round(clip(H[t], 0, D))                      round half to even
        V[t] = H[t] - C[t]

    decay = sigmoid(raw_decay) stays in 0..1, threshold = exp(log_threshold) above 0; they begin as the published
    neuron's, 0.25 and 1. With D = 1 it fires at half the threshold. Backward is I-LIF's: dC/dH is 1 where 0 <= H <= D,
    else 0, and C inside the reset is a constant.

    In inference it is an `ILIF(decay, 1 / threshold)`: it folds and is exported, but not to integers, which can only
    shift; nor does the verifier take a decay that is no power of two.

    Source: Fang et al., Incorporating learnable membrane time constant to enhance learning of spiking neural networks,
    ICCV 2021 (decay); Rathi & Roy, DIET-SNN, arXiv 2008.03658 (threshold).
    """

    def __init__(self, channels: int, max_count: int):
        super().__init__(channels, max_count)
        self.raw_decay = nn.Parameter(torch.full((1,), -math.log(3.0)))
        self.log_threshold = nn.Parameter(torch.zeros(1))

    @property
    def decay(self) -> Tensor:
        """(1,) share of the potential that is left after a timestep."""
        return torch.sigmoid(self.raw_decay)

    @property
    def gain(self) -> Tensor:
        """(1,) 1 / threshold."""
        return torch.exp(-self.log_threshold)

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        h = self.gain * current + self.decay * v
        clipped = h.clamp(0.0, float(self.max_count))  # its gradient is the mask
        counts = with_slope(clipped.round(), clipped, torch.ones_like)
        return counts, h - counts.detach()

    def as_ilif(self) -> ILIF:
        """See the class."""
        return ILIF(self.decay.item(), self.gain.item(), self.max_count)


class ArctanILIF(SpikingNeuron):
    """I-LIF with the gradient of D thresholds, at 1/2, 3/2, ..., each with the surrogate `arctan` there.

        dC/dH = sum over d of surrogate(H - (d - 1/2)), d = 1..D

    The counts are I-LIF's, so that it folds, runs and is exported as that; decay and gain are those of the published
    neuron of images. Silent and saturated neurons get a gradient, too, which falls off with the distance.
    """

    decay = 0.25
    gain = 1.0
    surrogate: Callable[[Tensor], Tensor] = staticmethod(arctan)

    def slope(self, h: Tensor) -> Tensor:
        """Return dC/dH at the potentials h."""
        total = self.surrogate(h - 0.5)
        for threshold in range(1, self.max_count):
            total = total + self.surrogate(h - (threshold + 0.5))
        return total

    def step(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        h = self.gain * current + self.decay * v
        counts = with_slope(h.clamp(0.0, float(self.max_count)).round(), h, self.slope)
        return counts, h - counts.detach()

    def as_ilif(self) -> ILIF:
        """See the class."""
        return ILIF(self.decay, self.gain, self.max_count)


class SigmoidILIF(ArctanILIF):
    """The same with the surrogate `sigmoid`."""

    surrogate = staticmethod(sigmoid)


class FastSigmoidILIF(ArctanILIF):
    """The same with the surrogate `fast_sigmoid`."""

    surrogate = staticmethod(fast_sigmoid)
