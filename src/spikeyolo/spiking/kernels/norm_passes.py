"""What the operators of joined norms run on GPUs: their arguments, room for what they give, and kernels one by one."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from .norm_triton import (
    CHANNELS,
    TILE,
    fire_kernel,
    gradient_kernel,
    join_kernel,
    norm_kernel,
    statistics_kernel,
    sums_kernel,
)

MOST_PARTS, LEAST_ROWS = 256, 64
"""Of the parts of which each has sums of its own: how many there are at most, and the rows that each has at least."""


def parts_of(rows: int) -> int:
    """Return into how many parts rows are split, whose sums are stored, read again and joined."""
    return max(1, min(MOST_PARTS, rows // LEAST_ROWS))


def format_of(x: Tensor) -> torch.memory_format:
    """Return the format that x (N, C, H, W) has or is given: contiguous, or as whatever else, channels last."""
    last = x.is_contiguous(memory_format=torch.channels_last) or not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def room_like(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return room of x's shape in its format."""
    return torch.empty_like(x, dtype=dtype, memory_format=format_of(x))


def room_of_channels(x: Tensor) -> Tensor:
    """Return room (C,) for statistics of x (N, C, H, W)."""
    return torch.empty(x.shape[1], dtype=torch.float32, device=x.device)


class _Tiles:
    """How programs share the rows and channels of x (N, C, H, W), laid out in its format; N is T times B images."""

    def __init__(self, x: Tensor, timesteps: int = 1):
        channels, positions = x.shape[1], x.shape[2] * x.shape[3]
        image = channels * positions
        strides = (1, channels) if format_of(x) == torch.channels_last else (positions, 1)
        images = x.shape[0] // timesteps
        self.rows = images * positions
        self.geometry = (channels, positions, image, *strides)
        self.steps = images * image, timesteps
        self.last = (timesteps - 1) * images * image
        columns = min(64, triton.next_power_of_2(channels))
        self.tile = {"rows": TILE // columns, "columns": columns, "enable_fp_fusion": False}
        across = triton.cdiv(channels, columns)
        self.grid = triton.cdiv(self.rows, TILE // columns), across
        parts = parts_of(self.rows)
        self.part = triton.cdiv(self.rows, parts)
        self.grid_of_parts = parts, across
        self.sums = torch.empty(2, parts, channels, dtype=torch.float32, device=x.device)


def _statistics(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
    border: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation (C,) of x, after the running ones were moved, and the border value written."""
    tiles = _Tiles(x)
    statistics_kernel[tiles.grid_of_parts](x, *tiles.sums, tiles.rows, tiles.part, *tiles.geometry, **tiles.tile)
    mean, rstd = room_of_channels(x), room_of_channels(x)
    parts, channels = tiles.sums.shape[1:]
    join_kernel[(triton.cdiv(channels, CHANNELS),)](
        *tiles.sums,
        weight,
        bias,
        running_mean,
        running_var,
        mean,
        rstd,
        mean if border is None else border,
        tiles.rows,
        tiles.part,
        parts,
        channels,
        momentum,
        eps,
        has_border=border is not None,
        most=triton.next_power_of_2(parts),
        columns=CHANNELS,
        enable_fp_fusion=False,
    )
    return mean, rstd


def run_norm_ilif(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
    timesteps: int,
    decay: float,
    gain: float,
    max_count: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch norm in training, and I-LIF neurons at rest over the T timesteps of what it gives.

    Args:
        x: (T * B, C, H, W) float32, bfloat16 or float16, of any strides; more than one value a channel.
        weight: (C,) float32, of the norm, as the next three.
        bias: (C,).
        running_mean: (C,), which moves by `momentum`.
        running_var: (C,), which does, too.
        momentum: share of the new statistics.
        eps: added to the variance.
        timesteps: T.
        decay: see `spiking.equation`, like the others.
        gain: factor on the input current.
        max_count: D.

    Returns:
        counts: (T * B, C, H, W) of x's dtype, laid out as x if that is contiguous or channels last.
        mask: the same of bool, where the gradient passes.
        mean: (C,) float32.
        rstd: (C,) float32, 1 / sqrt(variance + eps).
    """
    x = x.contiguous(memory_format=format_of(x))
    mean, rstd = _statistics(x, weight, bias, running_mean, running_var, momentum, eps, None)
    counts, mask = room_like(x, x.dtype), room_like(x, torch.bool)
    tiles = _Tiles(x, timesteps)
    inputs = mean, rstd, weight, bias, tiles.rows, *tiles.geometry, *tiles.steps, decay, gain, float(max_count)
    fire_kernel[tiles.grid](x, counts, mask, *inputs, **tiles.tile)
    return counts, mask, mean, rstd


def run_norm_ilif_backward(
    grad_counts: Tensor,
    mask: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    rstd: Tensor,
    timesteps: int,
    decay: float,
    gain: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weight and bias from that of the counts; in both of its passes the neuron's is computed."""
    form = format_of(x)
    grad_counts, mask, x = (each.contiguous(memory_format=form) for each in (grad_counts, mask, x))
    grad_x = room_like(x, x.dtype)
    tiles = _Tiles(x, timesteps)
    how = *tiles.geometry, *tiles.steps, tiles.last, decay, gain
    sums_kernel[tiles.grid_of_parts](
        grad_counts, mask, x, *tiles.sums, mean, rstd, tiles.rows, tiles.part, *how, **tiles.tile
    )
    grad_bias, grad_weight = (of_parts.sum(0) for of_parts in tiles.sums)
    gradient_kernel[tiles.grid](
        grad_counts, mask, x, grad_x, mean, rstd, weight, grad_bias, grad_weight, tiles.rows, *how, **tiles.tile
    )
    return grad_x, grad_weight, grad_bias


def run_norm_less_border(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch norm in training, less what it makes of a zero by its running statistics, after they have moved.

    x is (N, C, H, W); all arguments are as in `run_norm_ilif`.

    Returns:
        y: (N, C, H, W) of x's dtype, laid out as x if that is contiguous or channels last.
        border: (C,) float32, what was taken away.
        mean: (C,) float32.
        rstd: (C,) float32, 1 / sqrt(variance + eps).
    """
    x = x.contiguous(memory_format=format_of(x))
    border, y = room_of_channels(x), room_like(x, x.dtype)
    mean, rstd = _statistics(x, weight, bias, running_mean, running_var, momentum, eps, border)
    tiles = _Tiles(x)
    geometry = tiles.rows, *tiles.geometry, *tiles.steps, 0, 0, 0, 0
    norm_kernel[tiles.grid](x, y, border, mean, rstd, weight, bias, *geometry, less_border=True, **tiles.tile)
    return y, border, mean, rstd


def run_norm_add(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch norm in training, and a shortcut added to what it gives.

    The shortcut is (T, B, C, H, W) in float32, bfloat16 or float16, of any strides; the others are as in
    `run_norm_ilif`.

    Returns:
        y: (T * B, C, H, W) of the wider dtype, laid out as x if that is contiguous or channels last.
        mean: (C,) float32.
        rstd: (C,) float32, 1 / sqrt(variance + eps).
    """
    x = x.contiguous(memory_format=format_of(x))
    mean, rstd = _statistics(x, weight, bias, running_mean, running_var, momentum, eps, None)
    y = room_like(x, torch.promote_types(x.dtype, shortcut.dtype))
    height, width = shortcut.shape[3:]
    if 1 not in (height, width) and shortcut.stride(3) != width * shortcut.stride(4):
        shortcut = shortcut.contiguous()
    step, image, channel, of_row, of_column = shortcut.stride()
    tiles = _Tiles(x, len(shortcut))
    geometry = tiles.rows, *tiles.geometry, *tiles.steps, step, image, channel, of_column if width > 1 else of_row
    norm_kernel[tiles.grid](x, y, shortcut, mean, rstd, weight, bias, *geometry, less_border=False, **tiles.tile)
    return y, mean, rstd
