"""`spikeyolo::ilif` as an operator of torch: on GPUs a kernel a pass, on CPUs the eager equation.

It knows its gradient, its shapes and strides, so that torch.compile and autograd take it as one of torch's own. It is a
`custom_op` and not a `triton_op`: that one is taken apart where it is traced, which only a machine with a GPU can do.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor
from torch.library import custom_op

from ..equation import Neuron, sequence, sequence_backward
from .ilif_triton import BLOCK, backward_kernel, forward_kernel


def _dense(x: Tensor) -> Tensor:
    """The tensor, or a copy whose elements lie side by side."""
    together = 1
    for stride, length in sorted((s, n) for s, n in zip(x.stride(), x.shape, strict=True) if n != 1):
        if stride != together:
            return x.contiguous()
        together *= length
    return x


def _inner(x: Tensor) -> int:
    """Elements of a step that lie together in memory."""
    return x.stride(0) if x.shape[0] > 1 else x.numel()


def _step_strides(x: Tensor) -> list[int]:
    """Strides of a step's tensor whose elements lie as those of a step of x do."""
    steps, inner = x.shape[0], _inner(x)
    return [s if steps == 1 or s < inner else s // steps for s in x.stride()[1:]]


def _laid(x: Tensor, strides: Sequence[int], dtype: torch.dtype) -> Tensor:
    """The tensor with these strides and this type; itself if it has them."""
    same = all(a == b or n == 1 for a, b, n in zip(x.stride(), strides, x.shape, strict=True))
    if same and x.dtype == dtype:
        return x
    return torch.empty_strided(x.shape, strides, dtype=dtype, device=x.device).copy_(x)


def _step_like(x: Tensor, wanted: bool) -> Tensor:
    """Room for a potential a step's element, or none."""
    if not wanted:
        return torch.empty(0, dtype=torch.float32, device=x.device)
    return torch.empty_strided(x.shape[1:], _step_strides(x), dtype=torch.float32, device=x.device)


def run_forward(
    x: Tensor,
    v: Tensor | None,
    decay: float,
    gain: float,
    max_count: int,
    keep_state: bool,
    keep_mask: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """I-LIF over T timesteps.

    Args:
        x: (T, ...) input current in float32, bfloat16 or float16, of any strides.
        v: (...) float32 potential before the first step; None is zero.
        decay: see `spiking.equation`, like the others.
        gain: factor on the input current.
        max_count: D.
        keep_state: whether the last potential is wanted.
        keep_mask: whether backward will want the mask.

    Returns:
        counts: (T, ...) of x's dtype and strides (dense ones, if x has none).
        v: (...) float32 potential after the last step, or no elements.
        mask: (T, ...) bool, where the gradient passes, or no elements.
    """
    x = _dense(x)
    state = x if v is None else _laid(v, _step_strides(x), torch.float32)
    counts, v_last, mask = _room(x, v, decay, gain, max_count, keep_state, keep_mask)
    elements = x.numel() // x.shape[0]
    if elements:
        forward_kernel[(triton.cdiv(elements, BLOCK),)](
            x,
            state,
            counts,
            v_last,
            mask,
            elements,
            _inner(x),
            x.shape[0],
            decay,
            gain,
            float(max_count),
            has_state=v is not None,
            keep_state=keep_state,
            keep_mask=keep_mask,
            block=BLOCK,
            enable_fp_fusion=False,
        )
    return counts, v_last, mask


def run_backward(
    grad_counts: Tensor,
    grad_v_last: Tensor | None,
    mask: Tensor,
    decay: float,
    gain: float,
    had_state: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of x (T, ...) and of v (...), or no elements, from those of counts and last potential."""
    grad_counts = _laid(grad_counts, mask.stride(), grad_counts.dtype)
    carried = grad_counts if grad_v_last is None else _laid(grad_v_last, _step_strides(mask), torch.float32)
    grad_x, grad_v = _room_backward(grad_counts, grad_v_last, mask, decay, gain, had_state)
    elements = mask.numel() // mask.shape[0]
    if elements:
        backward_kernel[(triton.cdiv(elements, BLOCK),)](
            grad_counts,
            carried,
            mask,
            grad_x,
            grad_v,
            elements,
            _inner(mask),
            mask.shape[0],
            decay,
            gain,
            has_grad_v=grad_v_last is not None,
            had_state=had_state,
            block=BLOCK,
            enable_fp_fusion=False,
        )
    return grad_x, grad_v


ilif = custom_op("spikeyolo::ilif", run_forward, mutates_args=(), device_types="cuda")
"""See `run_forward`; on CPUs the equation as it is."""


@ilif.register_kernel("cpu")
def _eager(
    x: Tensor, v: Tensor | None, decay: float, gain: float, max_count: int, keep_state: bool, keep_mask: bool
) -> tuple[Tensor, Tensor, Tensor]:
    counts, last, kept = sequence(x, v, None, Neuron(decay, gain, max_count), keep_state, "mask" if keep_mask else "")
    room = _room(x, v, decay, gain, max_count, keep_state, keep_mask)
    for to, values in zip(room, (counts, last, torch.stack(kept) if kept else None), strict=True):
        if values is not None and to.numel():
            to.copy_(values)
    return room


@ilif.register_fake
def _room(
    x: Tensor, v: Tensor | None, decay: float, gain: float, max_count: int, keep_state: bool, keep_mask: bool
) -> tuple[Tensor, Tensor, Tensor]:
    x = _dense(x)
    mask = torch.empty_like(x, dtype=torch.bool) if keep_mask else x.new_empty(0, dtype=torch.bool)
    return torch.empty_like(x), _step_like(x, keep_state), mask


ilif_backward = custom_op("spikeyolo::ilif_backward", run_backward, mutates_args=(), device_types="cuda")
"""See `run_backward`."""


@ilif_backward.register_kernel("cpu")
def _eager_backward(
    grad_counts: Tensor, grad_v_last: Tensor | None, mask: Tensor, decay: float, gain: float, had_state: bool
) -> tuple[Tensor, Tensor]:
    room = _room_backward(grad_counts, grad_v_last, mask, decay, gain, had_state)
    neuron = Neuron(decay, gain)
    found = sequence_backward(mask.unbind(0), None, neuron, "mask", grad_counts, grad_v_last, had_state)
    for to, values in zip(room, found, strict=False):
        if values is not None:
            to.copy_(values)
    return room


@ilif_backward.register_fake
def _room_backward(
    grad_counts: Tensor, grad_v_last: Tensor | None, mask: Tensor, decay: float, gain: float, had_state: bool
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(mask, dtype=grad_counts.dtype), _step_like(mask, had_state)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, v, decay, gain, _, keep_state, keep_mask = inputs
    if not keep_mask:
        raise RuntimeError("spikeyolo::ilif: keep_mask must be set where x or v needs a gradient")
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[2])
    ctx.decay, ctx.gain, ctx.had_state, ctx.kept_state, ctx.dtype = decay, gain, v is not None, keep_state, x.dtype


def _differentiate(ctx: Any, grad_counts: Tensor | None, grad_v_last: Tensor | None, _: Any) -> tuple[Any, ...]:
    (mask,) = ctx.saved_tensors
    if grad_counts is None:
        grad_counts = torch.zeros_like(mask, dtype=ctx.dtype)
    if not ctx.kept_state:  # a compiled graph gives the gradient of no elements
        grad_v_last = None
    grad_x, grad_v = ilif_backward(grad_counts, grad_v_last, mask, ctx.decay, ctx.gain, ctx.had_state)
    return grad_x, grad_v if ctx.had_state else None, None, None, None, None, None


ilif.register_autograd(_differentiate, setup_context=_keep_for_backward)
