"""Leaky sums of events before the first convolution, whose leaks are powers of two and learned.

Each pixel holds K sums a polarity. At every bin of time a sum loses the share 2^-k of itself and takes up what was
counted; k, one for each sum, is what is learned. In whole numbers, 2^-8 of an event being one:

    A <- A + ((-A) >> k) + (N << 8)        at each bin, N events; >> rounds down, so that a sum dies away to 0
    output = min(A >> 4, 255)              at the end of each timestep, in units of 1/16 event

Two additions and shifts a bin, no product. All forms compute these very numbers: the trained one in floating point,
where they are exact (below 2^24), with the rounding and the choice of k passed straight through by the gradient; all
others in integers.

Sources: a leaky integrator a pixel is the memory of a LIF neuron; its gradient over quantised leaks is the
straight-through estimate of Bengio et al., arXiv 1308.3432. Several time constants side by side are those of HOTS
(Lagorce et al., IEEE TPAMI 39(7), 2017), leaks by shifts those of digital neurons, such as Loihi's (Davies et al., IEEE
Micro 38(1), 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..spiking import NeuronState

SUM_BITS, OUTPUT_BITS = 8, 4
"""Fraction bits of a sum, and of what the network sees of it."""

MOST = 255
"""Of what the network sees, as of 8-bit images."""

LONGEST = 6
"""Largest k: a sum falls to 1/e in 64 bins."""

MOST_EVENTS = 255
"""Of a pixel in a bin, so that sums stay below 2^24."""


class LeakySums(nn.Module):
    """Leaky sums as they are trained; see the module's docstring.

    Args:
        count: sums a polarity, K.

    Attributes:
        leak: (2 K,) real numbers, of which k is the nearest whole one in 0..6.
        name: the key of the sums in a `NeuronState`.

    Shape:
        x: (T, B, 2 * bins, H, W) events, channel polarity * bins + bin -> (T, B, 2 K, H, W) events, in sixteenths.
    """

    def __init__(self, count: int):
        super().__init__()
        self.leak = nn.Parameter(torch.linspace(1, min(2 * count - 1, LONGEST - 1), count).repeat(2))
        self.name = ""

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        """Sums start at 0, or from a `state`, in which they are left."""
        k, share = exponents(self.leak).to(torch.int32), torch.exp2(-self.leak.float())
        exact = 1.0 / (torch.ones_like(k) << k)  # exp2 may be off by a bit on GPUs
        share = (share + (exact - share).detach()).view(-1, 1, 1)
        sums = None if state is None else state.get(self.name)
        outputs = []
        for step in _events(x, len(self.leak)).float() * 2**SUM_BITS:
            for events in step.unbind(2):
                sums = events if sums is None else sums + _floor(-sums * share) + events
            assert sums is not None
            outputs.append(_floor(sums / 2 ** (SUM_BITS - OUTPUT_BITS)).clamp(max=MOST))
        if state is not None and sums is not None:
            state[self.name] = sums
        return (torch.stack(outputs) / 2**OUTPUT_BITS).to(x.dtype)

    def extra_repr(self) -> str:
        """The k, for print(model)."""
        return f"k={exponents(self.leak).tolist()}"


class ShiftedSums(nn.Module):
    """The same in integers: additions and shifts alone.

    Args:
        trained: to take k from.

    Attributes:
        shift: (2 K,) int8, k.
        name: the key of the sums in a `NeuronState`.

    Shape:
        See `LeakySums`.
    """

    shift: Tensor

    def __init__(self, trained: LeakySums):
        super().__init__()
        self.register_buffer("shift", exponents(trained.leak))
        self.name = trained.name

    def forward(self, x: Tensor, state: NeuronState | None = None) -> Tensor:
        """Sums start at 0, or from a `state`, in which they are left."""
        shift = self.shift.to(torch.int32).view(-1, 1, 1)
        sums = None if state is None or self.name not in state else state[self.name].to(torch.int32)
        outputs = []
        for step in _events(x, len(self.shift)).to(torch.int32) << SUM_BITS:
            for events in step.unbind(2):
                sums = events if sums is None else sums + (-sums >> shift) + events
            assert sums is not None
            outputs.append((sums >> (SUM_BITS - OUTPUT_BITS)).clamp(max=MOST))
        if state is not None and sums is not None:
            state[self.name] = sums
        return torch.stack(outputs).to(x.dtype) / 2**OUTPUT_BITS

    def extra_repr(self) -> str:
        """The k, for print(model)."""
        return f"k={self.shift.tolist()}"


def exponents(leak: Tensor) -> Tensor:
    """(2 K,) int8: the k that learned numbers stand for."""
    return leak.detach().round().clamp(0, LONGEST).to(torch.int8)


def _events(x: Tensor, sums: int) -> Tensor:
    """(T, B, 2 * bins, H, W) -> (T, B, sums, bins, H, W): whole numbers, the bins of its polarity for each sum."""
    events = x.round().clamp(0, MOST_EVENTS).unflatten(2, (2, -1))
    return events.repeat_interleave(sums // 2, 2)


def _floor(x: Tensor) -> Tensor:
    """Rounded down; for the gradient as it was."""
    return x + (x.floor() - x).detach()


def fold_sums(network: nn.Module) -> None:
    """Let the leaky sums of a network, if any, be computed in integers, in place."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LeakySums):
            network.set_submodule(name, ShiftedSums(module))
