"""The kernels of batch norms in training that are joined with what comes after them.

A tensor (N, C, H, W), N being T timesteps of B images, is channels last or contiguous. Its rows are the N * H * W
values of a channel; a program goes through tiles of rows and channels. All is float32 in registers, and products and
sums are not contracted (`enable_fp_fusion=False`), so that neurons round as those of the eager equation do. Gradients
go through the timesteps backwards, from `last` elements further on.
"""

from __future__ import annotations

import triton
import triton.language as tl

TILE = 1024
"""Elements of a tile."""

CHANNELS = 8
"""Channels of which one program joins the statistics of all parts."""


@triton.jit
def _tile(first, end, channels, positions, image, channel, position, rows: tl.constexpr, columns: tl.constexpr):
    """Where the tile of rows from `first` on lies in memory, by the strides of its axes, and what of it is there."""
    row = first + tl.arange(0, rows)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    at = (row // positions).to(tl.int64) * image + (row % positions) * position
    there = (row < end)[:, None] & (column < channels)[None, :]
    return at[:, None] + (column.to(tl.int64) * channel)[None, :], there


@triton.jit
def _of_channels(values, channels, columns: tl.constexpr):
    """(1, columns) numbers of the tile's channels."""
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    return tl.load(values + column, mask=column < channels, other=0.0).to(tl.float32)[None, :]


@triton.jit
def _keep_of_part(values, given, channels, columns: tl.constexpr):
    """Store a number for each of the tile's channels as that of this program's part of the rows."""
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    tl.store(values + tl.program_id(0) * channels + column, given, mask=column < channels)


@triton.jit
def statistics_kernel(
    x,
    means,
    squares,
    count,
    part,
    channels,
    positions,
    image,
    channel,
    position,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Of each part of the rows: the mean of a channel, and the sum of squared distances from it."""
    first = tl.program_id(0) * part
    end = tl.minimum(first + part, count)
    seen = 0.0
    mean = tl.full([columns], 0.0, tl.float32)
    square = tl.full([columns], 0.0, tl.float32)
    for start in range(first, end, rows):
        at, there = _tile(start, end, channels, positions, image, channel, position, rows, columns)
        values = tl.load(x + at, mask=there, other=0.0).to(tl.float32)
        new = tl.minimum(end - start, rows).to(tl.float32)
        new_mean = tl.sum(values, 0) / new
        apart = tl.where(there, values - new_mean[None, :], 0.0)
        further = new_mean - mean
        total = seen + new
        mean += further * (new / total)
        square += tl.sum(apart * apart, 0) + further * further * (seen * new / total)
        seen = total
    _keep_of_part(means, mean, channels, columns)
    _keep_of_part(squares, square, channels, columns)


@triton.jit
def join_kernel(
    means,
    squares,
    weight,
    bias,
    running_mean,
    running_var,
    mean,
    rstd,
    border,
    count,
    part,
    parts,
    channels,
    momentum,
    eps,
    has_border: tl.constexpr,
    most: tl.constexpr,
    columns: tl.constexpr,
):
    """Statistics of all parts; moves the running ones, and says what the norm then makes of a zero by these."""
    index = tl.arange(0, most)
    column = tl.program_id(0) * columns + tl.arange(0, columns)
    fits = column < channels
    at = index[:, None] * channels + column[None, :]
    there = (index < parts)[:, None] & fits[None, :]
    rows = tl.minimum(tl.maximum(count - index * part, 0), part).to(tl.float32)[:, None]
    of_parts = tl.load(means + at, mask=there, other=0.0)
    every = count.to(tl.float32)
    of_all = tl.sum(rows * of_parts, 0) / every
    apart = of_parts - of_all[None, :]
    square = tl.sum(tl.load(squares + at, mask=there, other=0.0) + rows * apart * apart, 0)
    tl.store(mean + column, of_all, mask=fits)
    tl.store(rstd + column, 1.0 / tl.sqrt(square / every + eps), mask=fits)
    moved_mean = (1.0 - momentum) * tl.load(running_mean + column, mask=fits, other=0.0) + momentum * of_all
    moved_var = tl.load(running_var + column, mask=fits, other=1.0)
    moved_var = (1.0 - momentum) * moved_var + momentum * (square / (every - 1.0))
    tl.store(running_mean + column, moved_mean, mask=fits)
    tl.store(running_var + column, moved_var, mask=fits)
    if has_border:
        scale = tl.load(weight + column, mask=fits, other=0.0) / tl.sqrt(moved_var + eps)
        tl.store(border + column, tl.load(bias + column, mask=fits, other=0.0) - moved_mean * scale, mask=fits)


@triton.jit
def norm_kernel(
    x,
    y,
    other,
    mean,
    rstd,
    weight,
    bias,
    count,
    channels,
    positions,
    image,
    channel,
    position,
    step,
    timesteps,
    other_step,
    other_image,
    other_channel,
    other_position,
    less_border: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """What the norm makes of x, less the border value that `other` (C,) is, or plus `other`, which has own strides."""
    first = tl.program_id(0) * rows
    at, there = _tile(first, count, channels, positions, image, channel, position, rows, columns)
    centre = _of_channels(mean, channels, columns)
    scale = _of_channels(rstd, channels, columns) * _of_channels(weight, channels, columns)
    shift = _of_channels(bias, channels, columns)
    if less_border:
        shift -= _of_channels(other, channels, columns)
    from_other, _ = _tile(first, count, channels, positions, other_image, other_channel, other_position, rows, columns)
    for _ in range(timesteps):
        given = (tl.load(x + at, mask=there, other=0.0).to(tl.float32) - centre) * scale + shift
        if not less_border:
            given += tl.load(other + from_other, mask=there, other=0.0).to(tl.float32)
        tl.store(y + at, given.to(y.dtype.element_ty), mask=there)
        at += step
        from_other += other_step


@triton.jit
def fire_kernel(
    x,
    counts,
    mask,
    mean,
    rstd,
    weight,
    bias,
    count,
    channels,
    positions,
    image,
    channel,
    position,
    step,
    timesteps,
    decay,
    gain,
    top,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Norm, charge, fire, reset for the T steps of each element; `count` rows a step, the steps `step` apart."""
    first = tl.program_id(0) * rows
    at, there = _tile(first, count, channels, positions, image, channel, position, rows, columns)
    centre = _of_channels(mean, channels, columns)
    scale = _of_channels(rstd, channels, columns) * _of_channels(weight, channels, columns)
    shift = _of_channels(bias, channels, columns)
    potential = tl.full([rows, columns], 0.0, tl.float32)
    for _ in range(timesteps):
        h = (tl.load(x + at, mask=there, other=0.0).to(tl.float32) - centre) * scale + shift
        h = gain * h + decay * potential
        clipped = tl.maximum(h, 0.0, propagate_nan=tl.PropagateNan.ALL)
        clipped = tl.minimum(clipped, top, propagate_nan=tl.PropagateNan.ALL)
        # Adding 1.5 * 2**23 leaves no bit below 1, and the sum is rounded half to even.
        fired = (clipped + 12582912.0) - 12582912.0
        tl.store(counts + at, fired.to(counts.dtype.element_ty), mask=there)
        tl.store(mask + at, clipped == h, mask=there)
        potential = h - fired
        at += step


@triton.jit
def sums_kernel(
    grad_counts,
    mask,
    x,
    sums,
    products,
    mean,
    rstd,
    count,
    part,
    channels,
    positions,
    image,
    channel,
    position,
    step,
    timesteps,
    last,
    decay,
    gain,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Of each part of the rows of a step: sums of the potential's gradient, alone and times the normalised x."""
    first = tl.program_id(0) * part
    end = tl.minimum(first + part, count)
    centre = _of_channels(mean, channels, columns)
    scale = _of_channels(rstd, channels, columns)
    total = tl.full([rows, columns], 0.0, tl.float32)
    product = tl.full([rows, columns], 0.0, tl.float32)
    for start in range(first, end, rows):
        at, there = _tile(start, end, channels, positions, image, channel, position, rows, columns)
        at += last
        carried = tl.full([rows, columns], 0.0, tl.float32)
        for _ in range(timesteps):
            passed = tl.load(mask + at, mask=there, other=0).to(tl.float32)
            grad_h = tl.load(grad_counts + at, mask=there, other=0.0).to(tl.float32) * passed + carried
            total += gain * grad_h
            values = (tl.load(x + at, mask=there, other=0.0).to(tl.float32) - centre) * scale
            product += (gain * grad_h) * values
            carried = decay * grad_h
            at -= step
    _keep_of_part(sums, tl.sum(total, 0), channels, columns)
    _keep_of_part(products, tl.sum(product, 0), channels, columns)


@triton.jit
def gradient_kernel(
    grad_counts,
    mask,
    x,
    grad_x,
    mean,
    rstd,
    weight,
    total,
    product,
    count,
    channels,
    positions,
    image,
    channel,
    position,
    step,
    timesteps,
    last,
    decay,
    gain,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """The neuron's gradient once more, so that it is never stored, and from it and its sums the norm's."""
    first = tl.program_id(0) * rows
    at, there = _tile(first, count, channels, positions, image, channel, position, rows, columns)
    at += last
    centre = _of_channels(mean, channels, columns)
    scale = _of_channels(rstd, channels, columns)
    outer = scale * _of_channels(weight, channels, columns)
    every = (count * timesteps).to(tl.float32)
    shift = _of_channels(total, channels, columns) / every
    slope = _of_channels(product, channels, columns) / every
    carried = tl.full([rows, columns], 0.0, tl.float32)
    for _ in range(timesteps):
        passed = tl.load(mask + at, mask=there, other=0).to(tl.float32)
        grad_h = tl.load(grad_counts + at, mask=there, other=0.0).to(tl.float32) * passed + carried
        values = (tl.load(x + at, mask=there, other=0.0).to(tl.float32) - centre) * scale
        grad = outer * (gain * grad_h - shift - values * slope)
        tl.store(grad_x + at, grad.to(grad_x.dtype.element_ty), mask=there)
        carried = decay * grad_h
        at -= step
