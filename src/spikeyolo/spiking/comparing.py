"""The I-LIF layer with a learned scale by comparisons and additions alone: no product with the scale, no division."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .neuron import ILIF, NeuronState, scale_in_use

FLOATS_AROUND = 4
"""Numbers below and above s * (k + 1/2) that are tried: 1 / s and the product are each rounded once."""


def least_potentials(scale: Tensor, max_count: int) -> Tensor:
    """Return (D, ...) the least potentials, in the dtype of the scale (...), that fire 1, 2, ... D spikes.

    They are s * (k + 1/2) for k of 0..D-1, but for the last bit: chosen so that comparing with them is, for every
    number of that dtype, the same as rounding H * (1 / s). An exact half is rounded to even: for even k, what is above
    it fires.
    """
    k = torch.arange(max_count, device=scale.device, dtype=scale.dtype).view(-1, *[1] * scale.ndim)
    middle = ((k.double() + 0.5) * scale.double()).to(scale.dtype)
    tried, upwards = [middle], torch.full_like(middle, torch.inf)
    for _ in range(FLOATS_AROUND):
        tried = [torch.nextafter(tried[0], -upwards), *tried, torch.nextafter(tried[-1], upwards)]
    rising = torch.stack(tried)
    silent = torch.round(rising * scale.reciprocal()) <= k
    return rising.gather(0, silent.sum(0, keepdim=True)).squeeze(0)


class ComparingILIF(ILIF):
    """A folded I-LIF layer with a learned scale as the addition-only network and hardware run it.

    A neuron compares its potential with D thresholds; each one that is reached is a spike, which takes s off the
    potential: s * C is an addition a spike, exact because s has few bits. Equal to the folded `ILIF` bit for bit.

    Args:
        folded: the layer; its scale is taken over.
    """

    def __init__(self, folded: ILIF):
        super().__init__(folded.decay, folded.gain, folded.max_count, folded.surrogate_width)
        self.scale, self.name, self.folded = folded.scale, folded.name, True

    def forward(self, x: Tensor, state: NeuronState | None = None, norm: nn.BatchNorm2d | None = None) -> Tensor:
        """Return spike counts; with a `state`, start from it and leave the new potential in it."""
        assert self.scale is not None
        assert norm is None
        scale = scale_in_use(self.scale).view(-1, 1, 1)
        thresholds = least_potentials(scale, self.max_count)
        v = None if state is None else state.get(self.name)
        steps = []
        for current in x.unbind(0):
            h = current if self.gain == 1.0 else self.gain * current
            if v is not None:
                h = h + self.decay * v
            counts, v = self._fire(h, thresholds, scale)
            steps.append(counts)
        if state is not None and v is not None:
            state[self.name] = v
        return torch.stack(steps)

    @staticmethod
    def _fire(h: Tensor, thresholds: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Counts, and the potential after the reset."""
        counts, fallen = None, None
        for threshold in thresholds:
            fires = h >= threshold
            spikes, taken = fires.to(h.dtype), torch.where(fires, scale, 0.0)
            counts = spikes if counts is None else counts + spikes
            fallen = taken if fallen is None else fallen + taken
        assert counts is not None
        assert fallen is not None
        return counts, h - fallen
