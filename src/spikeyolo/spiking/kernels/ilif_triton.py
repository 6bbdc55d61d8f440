"""The kernels: each element of a step goes through all timesteps in registers, in float32.

A tensor (T, ...) is dense, in whatever order its axes lie in memory: then T steps of `inner` elements lie one after the
other, and that as often as there are axes outside T. All operations round as those of the eager equation do, which
needs products and sums that are not contracted (`enable_fp_fusion=False`).
"""

from __future__ import annotations

import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def forward_kernel(
    x,
    v,
    counts,
    v_last,
    mask,
    elements,
    inner,
    timesteps,
    decay,
    gain,
    top,
    has_state: tl.constexpr,
    keep_state: tl.constexpr,
    keep_mask: tl.constexpr,
    block: tl.constexpr,
):
    """Charge, fire, reset for the T steps of each element; the mask is 1 where 0 <= H <= D."""
    i = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = i < elements
    at = (i // inner) * inner * timesteps + i % inner
    potential = tl.full([block], 0.0, tl.float32)
    if has_state:
        potential = tl.load(v + i, mask=there, other=0.0)
    for _ in range(timesteps):
        h = gain * tl.load(x + at, mask=there, other=0.0).to(tl.float32)
        h = h + decay * potential
        clipped = tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)
        clipped = tl.minimum(clipped, top, propagate_nan=tl.PropagateNan.ALL)
        # Adding 1.5 * 2**23 leaves no bit below 1, and the sum is rounded half to even.
        count = (clipped + 12582912.0) - 12582912.0
        tl.store(counts + at, count.to(counts.dtype.element_ty), mask=there)
        if keep_mask:
            tl.store(mask + at, clipped == h, mask=there)
        potential = h - count
        at += inner
    if keep_state:
        tl.store(v_last + i, potential, mask=there)


@triton.jit
def backward_kernel(
    grad_counts,
    grad_v_last,
    mask,
    grad_x,
    grad_v,
    elements,
    inner,
    timesteps,
    decay,
    gain,
    has_grad_v: tl.constexpr,
    had_state: tl.constexpr,
    block: tl.constexpr,
):
    """The steps backwards: H receives the gradient of V whole, and that of C where the mask is 1."""
    i = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = i < elements
    at = (i // inner) * inner * timesteps + i % inner + (timesteps - 1) * inner
    carried = tl.full([block], 0.0, tl.float32)
    if has_grad_v:
        carried = tl.load(grad_v_last + i, mask=there, other=0.0)
    for _ in range(timesteps):
        passed = tl.load(mask + at, mask=there, other=0)
        grad_h = tl.load(grad_counts + at, mask=there, other=0.0).to(tl.float32) * passed.to(tl.float32)
        grad_h = grad_h + carried
        tl.store(grad_x + at, (gain * grad_h).to(grad_x.dtype.element_ty), mask=there)
        carried = decay * grad_h
        at -= inner
    if had_state:
        tl.store(grad_v + i, carried, mask=there)
