"""I-LIF as functions of currents, over one timestep or several, with state or without; the equation: `equation.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ShapeError
from ..limits import MAX_COUNT
from . import kernels
from .equation import Neuron, sequence, sequence_backward, widen

FLAVOURS = {"coco": (0.25, 1.0), "gen1": (0.5, 0.5)}
"""Decay and gain of the two published neurons: image models, and event models (a LIF with tau = 2, decayed input)."""

MAX_COUNT_LIMIT = MAX_COUNT


class _StraightThrough(torch.autograd.Function):
    """The sequence with its surrogate gradient.

    Keeps for backward the mask on other devices than CPUs, one byte an element; there, and with tails or a scale, the
    quotients: of the first step, without a scale and with gain 1, that is x itself.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor | None, scale: Tensor | None, neuron: Neuron, keep_state: bool
    ) -> tuple[Tensor, Tensor | None]:
        masked = scale is None and not neuron.surrogate_width and x.device.type != "cpu"
        ctx.keep, ctx.neuron, ctx.has_state = "mask" if masked else "quotient", neuron, v is not None
        outputs, v_last, kept = sequence(x, v, scale, neuron, keep_state, ctx.keep)
        ctx.save_for_backward(scale, *kept)
        return outputs, v_last

    @staticmethod
    def backward(ctx: Any, grad_outputs: Tensor, grad_v: Tensor | None) -> tuple[Tensor | None, ...]:
        scale, *kept = ctx.saved_tensors
        found = sequence_backward(kept, scale, ctx.neuron, ctx.keep, grad_outputs, grad_v, ctx.has_state)
        return *found, None, None


def _fits(shape: torch.Size, step: torch.Size) -> bool:
    """Whether a shape broadcasts to that of a step."""
    pairs = zip(reversed(shape), reversed(step), strict=False)
    return len(shape) <= len(step) and all(own in (1, side) for own, side in pairs)


def fire(
    x: Tensor, v: Tensor | None, scale: Tensor | None, neuron: Neuron, keep_state: bool
) -> tuple[Tensor, Tensor | None]:
    """Check the arguments, then run the sequence with or without what backward needs; see `ilif_sequence`."""
    neuron.check()
    if x.ndim < 1 or x.shape[0] < 1 or not x.is_floating_point():
        raise ShapeError(f"x: expected floating point (T, ...) with T >= 1, got {x.dtype} {tuple(x.shape)}")
    if v is not None and v.shape != x.shape[1:]:
        raise ShapeError(f"v: expected the shape of one step {tuple(x.shape[1:])}, got {tuple(v.shape)}")
    if scale is not None and not _fits(scale.shape, x.shape[1:]):
        raise ShapeError(f"scale: {tuple(scale.shape)} does not fit a step of {tuple(x.shape[1:])}")
    v, scale = v if v is None else widen(v), scale if scale is None else widen(scale)
    needs_grad = torch.is_grad_enabled() and any(i is not None and i.requires_grad for i in (x, v, scale))
    # An exported graph is for inference: there the plain equation is written, which every runtime can read.
    if not torch.compiler.is_exporting():
        if kernels.has_kernel(x, v, scale, neuron):
            from .kernels.ilif_operator import ilif as operator  # needs triton

            counts, last, _ = operator(x, v, neuron.decay, neuron.gain, neuron.max_count, keep_state, needs_grad)
            return counts, last if keep_state else None
        if needs_grad:
            return _StraightThrough.apply(x, v, scale, neuron, keep_state)
    outputs, v, _ = sequence(x, v, scale, neuron, keep_state)
    return outputs, v


def ilif_step(
    x: Tensor,
    v: Tensor | None = None,
    *,
    decay: float = 0.25,
    gain: float = 1.0,
    max_count: int = 4,
    surrogate_width: float = 0.0,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One timestep of I-LIF: charge, fire, soft reset.

    Args:
        x: (...) input current, in units of the published threshold.
        v: (...) membrane potential after the last reset; None is zero.
        decay: share of the potential that is left after a timestep, 0..1.
        gain: factor on the input current.
        max_count: D, the most spikes a timestep can hold, 1..63.
        surrogate_width: of the tails of the surrogate gradient outside 0..D, in counts; 0 is none.
        scale: s, positive, of a shape that broadcasts to (...); None is 1.

    Returns:
        counts: (...) spike counts, integers 0..max_count stored as x's dtype, times the scale if there is one.
        v: (...) membrane potential after the reset, float32 or float64.

    Source: Luo et al., ECCV 2024, eq. 4-6.
    """
    x = x.unsqueeze(0)
    counts, v = fire(x, v, scale, Neuron(decay, gain, max_count, surrogate_width), keep_state=True)
    assert v is not None
    return counts.squeeze(0), v


def ilif_sequence(
    x: Tensor,
    v: Tensor | None = None,
    *,
    decay: float = 0.25,
    gain: float = 1.0,
    max_count: int = 4,
    surrogate_width: float = 0.0,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """I-LIF over T timesteps, state in and state out, so that a stream can be cut anywhere.

    Args:
        x: (T, ...) input current, T >= 1, floating point.
        v: (...) membrane potential before the first step; None is zero.
        decay: as in `ilif_step`, like the others.
        gain: factor on the input current.
        max_count: D, 1..63.
        surrogate_width: of the surrogate's tails.
        scale: s, of a shape that broadcasts to one step.

    Returns:
        counts: (T, ...) spike counts, integers 0..max_count stored as x's dtype, times the scale if there is one.
        v: (...) membrane potential after the last reset, float32 or float64.

    Raises:
        ConfigError: a parameter out of range.
        ShapeError: x without a time axis or not floating point, v or scale of a shape that does not fit a step of x.
    """
    counts, v = fire(x, v, scale, Neuron(decay, gain, max_count, surrogate_width), keep_state=True)
    assert v is not None
    return counts, v


def ilif(x: Tensor, decay: float = 0.25, gain: float = 1.0, max_count: int = 4, surrogate_width: float = 0.0) -> Tensor:
    """Return the spike counts (T, ...) of I-LIF neurons that start at rest and receive the currents x (T, ...).

    `ilif_sequence` does the same and also takes and returns the membrane potential.
    """
    return fire(x, None, None, Neuron(decay, gain, max_count, surrogate_width), keep_state=False)[0]
