"""The I-LIF equation: charge, fire an integer spike count, soft reset.

    H[t] = decay * V[t-1] + gain * X[t]        charge
    C[t] = round(clip(H[t], 0, D))             fire; round half to even
    V[t] = H[t] - C[t]                         soft reset, threshold 1

Backward is straight-through: dC/dH is 1 where 0 <= H <= D and 0 elsewhere; C inside the reset is a constant.

Potentials are float32 at least: in half precision, as under autocast, H would be rounded before it is compared with
the thresholds, and at T = 2 about 1 % of the counts would be others. Counts have the dtype of X; 0..16 are exact in it.
Source: Luo et al., SpikeYOLO, ECCV 2024, eq. 4-6.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError

FLAVOURS = {"coco": (0.25, 1.0), "gen1": (0.5, 0.5)}
"""Decay and gain of the two published neurons: image models, and event models (a LIF with tau = 2, decayed input)."""

MAX_COUNT_LIMIT = 16
"""The largest D."""


def check_neuron(decay: float, gain: float, max_count: int) -> None:
    """Raise ConfigError unless decay is a number in 0..1, gain a positive one and D an integer in 1..16."""
    for name, value in (("decay", decay), ("gain", gain)):
        if isinstance(value, Tensor):
            raise ConfigError(f"{name}: a tensor, which would get no gradient here and not be saved; give a number")
    if not 0.0 <= decay <= 1.0:
        raise ConfigError(f"decay: {decay} is outside 0..1")
    if not 0.0 < gain < float("inf"):
        raise ConfigError(f"gain: {gain} is not a positive number")
    if isinstance(max_count, bool) or not isinstance(max_count, int) or not 1 <= max_count <= MAX_COUNT_LIMIT:
        raise ConfigError(f"max_count: {max_count!r} is not an integer in 1..{MAX_COUNT_LIMIT}")


def _sequence(
    x: Tensor, v: Tensor | None, decay: float, gain: float, max_count: int, keep_state: bool, keep_mask: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The equation over the T steps of x: counts (T, ...), last potential (...), where the gradient is 1 (T, ...).

    `v` is float32 at least.
    """
    all_counts, masks = [], []
    last = x.shape[0] - 1
    for t, current in enumerate(x.unbind(0)):
        # A half-precision H that is X itself is exact, and so are its clipping and rounding: no copy in float32 then.
        h = current if gain == 1.0 else gain * widen(current)
        if v is not None:
            h = h + decay * v
        clipped = h.clamp(0.0, float(max_count))
        counts = clipped.round()
        all_counts.append(counts.to(x.dtype))
        if keep_mask:
            masks.append(clipped == h)
        v = widen(h) - counts if keep_state or t < last else None
    return _stack(all_counts), v, _stack(masks) if keep_mask else None


def widen(x: Tensor) -> Tensor:
    """Half precision to float32, in which potentials, boxes and losses are computed; the rest as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _stack(steps: list[Tensor]) -> Tensor:
    return torch.stack(steps) if len(steps) > 1 else steps[0].unsqueeze(0)  # one step need not be copied


class _StraightThrough(torch.autograd.Function):
    """The sequence with its surrogate gradient. Keeps one byte an element for backward: the mask, no potentials."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor | None, decay: float, gain: float, max_count: int, keep_state: bool
    ) -> tuple[Tensor, Tensor | None]:
        counts, v_last, mask = _sequence(x, v, decay, gain, max_count, keep_state, keep_mask=True)
        ctx.save_for_backward(mask)
        ctx.decay, ctx.gain, ctx.has_state = decay, gain, v is not None
        return counts, v_last

    @staticmethod
    def backward(ctx: Any, grad_counts: Tensor, grad_v: Tensor | None) -> tuple[Tensor | None, ...]:
        (mask,) = ctx.saved_tensors
        dtype, steps = grad_counts.dtype, []  # counts have the dtype of x
        for grad_count, is_open in zip(reversed(grad_counts.unbind(0)), reversed(mask.unbind(0)), strict=True):
            # V = H - C with C constant: H receives the gradient of V whole, and that of C where the gate is open.
            grad_h = grad_count * is_open
            if grad_v is not None:
                grad_h = grad_h + grad_v
            steps.append((grad_h if ctx.gain == 1.0 else ctx.gain * grad_h).to(dtype))
            grad_v = ctx.decay * widen(grad_h)
        return _stack(steps[::-1]), (grad_v if ctx.has_state else None), None, None, None, None


def _fire(
    x: Tensor, v: Tensor | None, decay: float, gain: float, max_count: int, keep_state: bool
) -> tuple[Tensor, Tensor | None]:
    """Check the arguments, then run the sequence with or without what backward needs."""
    check_neuron(decay, gain, max_count)
    if x.ndim < 1 or x.shape[0] < 1 or not x.is_floating_point():
        raise ShapeError(f"x: expected floating point (T, ...) with T >= 1, got {x.dtype} {tuple(x.shape)}")
    if v is not None and v.shape != x.shape[1:]:
        raise ShapeError(f"v: expected the shape of one step {tuple(x.shape[1:])}, got {tuple(v.shape)}")
    needs_grad = torch.is_grad_enabled() and (x.requires_grad or (v is not None and v.requires_grad))
    v = v if v is None else widen(v)
    # An exported graph is for inference: there the plain equation is written, which every runtime can read.
    if needs_grad and not torch.compiler.is_exporting():
        return _StraightThrough.apply(x, v, decay, gain, max_count, keep_state)
    counts, v, _ = _sequence(x, v, decay, gain, max_count, keep_state, keep_mask=False)
    return counts, v


def ilif_step(
    x: Tensor, v: Tensor | None = None, *, decay: float = 0.25, gain: float = 1.0, max_count: int = 4
) -> tuple[Tensor, Tensor]:
    """One timestep of I-LIF: charge, fire, soft reset.

    Args:
        x: (...) input current, in units of the threshold.
        v: (...) membrane potential after the last reset; None is zero.
        decay: share of the potential that is left after a timestep, 0..1.
        gain: factor on the input current.
        max_count: D, the most spikes a timestep can hold, 1..16.

    Returns:
        counts: (...) spike counts, integers 0..max_count stored as x's dtype.
        v: (...) membrane potential after the reset, float32 or float64.

    Source: Luo et al., ECCV 2024, eq. 4-6.
    """
    counts, v = ilif_sequence(x.unsqueeze(0), v, decay=decay, gain=gain, max_count=max_count)
    return counts.squeeze(0), v


def ilif_sequence(
    x: Tensor, v: Tensor | None = None, *, decay: float = 0.25, gain: float = 1.0, max_count: int = 4
) -> tuple[Tensor, Tensor]:
    """I-LIF over T timesteps, state in and state out, so that a stream can be cut anywhere.

    Args:
        x: (T, ...) input current, T >= 1, floating point.
        v: (...) membrane potential before the first step; None is zero.
        decay: as in `ilif_step`, like `gain` and `max_count`.
        gain: factor on the input current.
        max_count: D, 1..16.

    Returns:
        counts: (T, ...) spike counts, integers 0..max_count stored as x's dtype.
        v: (...) membrane potential after the last reset, float32 or float64.

    Raises:
        ConfigError: a parameter out of range.
        ShapeError: x without a time axis or not floating point, v of another shape than a step of x.
    """
    counts, v = _fire(x, v, decay, gain, max_count, keep_state=True)
    assert v is not None
    return counts, v


def ilif(x: Tensor, decay: float = 0.25, gain: float = 1.0, max_count: int = 4) -> Tensor:
    """Return the spike counts (T, ...) of I-LIF neurons that start at rest and receive the currents x (T, ...).

    `ilif_sequence` does the same and also takes and returns the membrane potential.
    """
    return _fire(x, None, decay, gain, max_count, keep_state=False)[0]
