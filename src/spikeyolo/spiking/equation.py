"""The I-LIF equation: charge, fire an integer spike count, soft reset.

    H[t] = decay * V[t-1] + gain * X[t]        charge
    C[t] = round(clip(H[t] / s, 0, D))         fire; round half to even
    V[t] = H[t] - s * C[t]                     soft reset, threshold s; s * C[t] goes on

The scale s is 1, and not there at all, in the published neuron; else it is a positive number a layer or channel. The
quotient is computed as H times 1 / s, which every runtime rounds alike.

Backward is straight-through, with H / s = q: dC/dq is 1 where 0 <= q <= D, and elsewhere 0, or with tails of a width
w > 0 exp(-distance / w), so that silent and saturated neurons can come back. C inside the reset is a constant, s is
not. So the scale receives d(s C)/ds = C - q dC/dq, which is C - q inside, 0 below and D above (of LSQ, arXiv
1902.08153), and through the reset dV/ds = -C.

Potentials are float32 at least: in half precision, as under autocast, H would be rounded before it is compared with
the thresholds, and at T = 2 about 1 % of the counts would be others. Counts have the dtype of X; 0..63 are exact in it.
Source: Luo et al., SpikeYOLO, ECCV 2024, eq. 4-6; scale: QB-LIF, arXiv 2604.25688.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from ..limits import MAX_COUNT


class Neuron(NamedTuple):
    """The numbers of the equation.

    Attributes:
        decay: share of the potential that is left after a timestep.
        gain: factor on the input current.
        max_count: D.
        surrogate_width: of the surrogate's tails, in counts; 0 is none, as published.
        weighed: with a scale: whether s * C is given, for training, or C, where s is folded into the next weights.
    """

    decay: float = 0.25
    gain: float = 1.0
    max_count: int = 4
    surrogate_width: float = 0.0
    weighed: bool = True

    def check(self) -> None:
        """Raise ConfigError unless decay is in 0..1, gain positive, D in 1..63 and the width a number from 0."""
        for name, value in (("decay", self.decay), ("gain", self.gain), ("surrogate_width", self.surrogate_width)):
            if isinstance(value, Tensor):
                raise ConfigError(
                    f"{name}: a tensor, which would get no gradient here and not be saved; give a number "
                    "(spiking.neurons.PLIF learns decay and threshold)"
                )
        if not 0.0 <= self.decay <= 1.0:
            raise ConfigError(f"decay: {self.decay} is outside 0..1")
        if not 0.0 < self.gain < float("inf"):
            raise ConfigError(f"gain: {self.gain} is not a positive number")
        if not 0.0 <= self.surrogate_width < float("inf"):
            raise ConfigError(f"surrogate_width: {self.surrogate_width} is not a number from 0")
        count = self.max_count
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
            raise ConfigError(f"max_count: {count!r} is not an integer in 1..{MAX_COUNT}")


def sequence(
    x: Tensor, v: Tensor | None, scale: Tensor | None, neuron: Neuron, keep_state: bool, keep: str = ""
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """The equation over the T steps of x: what goes on (T, ...), last potential (...), what backward needs of each.

    `v` and `scale` are float32 at least. `keep` is "mask", where the gradient is 1, or "quotient", q.
    """
    kept: list[Tensor] = []
    outputs = _Steps(x, in_place=bool(keep))  # inference stays the plain equation, which a proof can follow
    last = x.shape[0] - 1
    rate = None if scale is None else scale.reciprocal()
    for t, current in enumerate(x.unbind(0)):
        # A half-precision H that is X itself is exact, and so are its clipping and rounding: no copy in float32 then.
        h = current if neuron.gain == 1.0 else neuron.gain * widen(current)
        if v is not None:
            h = h + neuron.decay * v
        quotient = h if rate is None else h * rate
        clipped = quotient.clamp(0.0, float(neuron.max_count))
        if keep:
            kept.append(clipped == quotient if keep == "mask" else quotient)
        room = outputs.room(t, clipped.dtype) if scale is None else None
        counts = clipped.round_() if room is None else torch.round(clipped, out=room)
        weighed = counts if scale is None else scale * counts
        outputs.put(t, weighed if neuron.weighed else counts)
        v = widen(h) - weighed if keep_state or t < last else None
    return outputs.whole(), v, kept


def sequence_backward(
    kept: Sequence[Tensor],
    scale: Tensor | None,
    neuron: Neuron,
    keep: str,
    grad_outputs: Tensor,
    grad_v: Tensor | None,
    has_state: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The gradients of x (T, ...), v (...) if there was one, and the scale, from those of what `sequence` gave."""
    steps = _Steps(grad_outputs)
    grad_scale = None if scale is None else torch.zeros_like(scale)
    for t in reversed(range(len(kept))):
        grad_output, seen = grad_outputs[t], kept[t]
        # V = H - s C with C constant: H receives the gradient of V whole, and that of s C by the slope.
        if keep == "mask":
            grad_h = grad_output * seen
        elif neuron.surrogate_width:
            grad_h = grad_output * _slope(seen, neuron.surrogate_width, neuron.max_count)
        else:
            grad_h = pass_within(grad_output, seen, neuron.max_count, steps.room(t, seen.dtype))
        if grad_scale is not None:
            counts = seen.clamp(0.0, float(neuron.max_count)).round_()
            part = grad_output * counts - grad_h * seen
            part = part if grad_v is None else part - grad_v * counts
            grad_scale += part.sum_to_size(grad_scale.shape)
        if grad_v is not None:  # the product is in half precision where no potential was kept
            grad_h = grad_h.add_(grad_v) if grad_h.dtype == grad_v.dtype else grad_h + grad_v
        grad_v = neuron.decay * widen(grad_h) if has_state or t else None
        steps.put(t, grad_h if neuron.gain == 1.0 else neuron.gain * grad_h)
    return steps.whole(), grad_v, grad_scale


class _Steps:
    """Tensors of steps that become one (T, ...): written where they will be, so that none is copied.

    Args:
        like: (T, ...) of the same dtype and strides.
        in_place: False copies, as a single step, which is a view, and a traced graph, of values alone, always do.
    """

    def __init__(self, like: Tensor, in_place: bool = True):
        traced = torch.compiler.is_compiling() or torch.compiler.is_exporting()
        in_place = in_place and len(like) > 1 and not traced
        self._dtype = like.dtype
        self._whole = torch.empty_like(like) if in_place else None
        self._steps: dict[int, Tensor] = {}

    def room(self, t: int, dtype: torch.dtype) -> Tensor | None:
        """Where step t may be written by what makes it; None: it makes a tensor."""
        if self._whole is None or dtype != self._dtype:
            return None
        self._steps[t] = self._whole[t]
        return self._steps[t]

    def put(self, t: int, step: Tensor) -> None:
        """Take step t, which may be in its room already."""
        if self._whole is None:
            self._steps[t] = step.to(self._dtype)
        elif step is not self._steps.get(t):
            self._whole[t].copy_(step)

    def whole(self) -> Tensor:
        """All steps."""
        if self._whole is not None:
            return self._whole
        steps = [self._steps[t] for t in range(len(self._steps))]
        return torch.stack(steps) if len(steps) > 1 else steps[0].unsqueeze(0)


def widen(x: Tensor) -> Tensor:
    """Half precision to float32, in which potentials, boxes and losses are computed; the rest as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def pass_within(grad: Tensor, x: Tensor, max_count: int, out: Tensor | None = None) -> Tensor:
    """Return grad where 0 <= x <= max_count and 0 elsewhere: one pass, on CPUs much faster than by a mask."""
    kind = torch.finfo(x.dtype)
    # The ends do not belong to it there: the next number above, and below 0 the nearest that nobody takes for 0.
    above = max_count + kind.eps * 2 ** (max_count.bit_length() - 1)
    given = grad.to(x.dtype), x, -kind.tiny, above
    if out is None:
        return torch.ops.aten.hardtanh_backward(*given)
    return torch.ops.aten.hardtanh_backward.grad_input(*given, grad_input=out)


def _slope(quotient: Tensor, width: float, max_count: int) -> Tensor:
    """The surrogate gradient dC/dq with tails."""
    return torch.exp((quotient - quotient.clamp(0.0, float(max_count))).abs() / -width)
