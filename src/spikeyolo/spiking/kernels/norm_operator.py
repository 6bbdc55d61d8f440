"""Batch norms in training as parts of operators of torch: on GPUs kernels, on CPUs the norm and the eager equation.

`spikeyolo::norm_ilif` is a norm and the neurons after it, whose currents are so never stored.
`spikeyolo::norm_less_border` is a norm less what it makes of a zero, `spikeyolo::norm_add` a norm plus a shortcut. They
move the running statistics, as `nn.BatchNorm2d` does, and so can have no gradient of their own: that is in
`spiking.normed`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import custom_op

from ..equation import Neuron, sequence, sequence_backward, widen
from .norm_passes import (
    room_like,
    room_of_channels,
    run_norm_add,
    run_norm_ilif,
    run_norm_ilif_backward,
    run_norm_less_border,
)

MOVED = ("running_mean", "running_var")

norm_ilif = custom_op("spikeyolo::norm_ilif", run_norm_ilif, mutates_args=MOVED, device_types="cuda")
"""See `run_norm_ilif`."""

norm_ilif_backward = custom_op(
    "spikeyolo::norm_ilif_backward", run_norm_ilif_backward, mutates_args=(), device_types="cuda"
)
"""See `run_norm_ilif_backward`."""

norm_less_border = custom_op(
    "spikeyolo::norm_less_border", run_norm_less_border, mutates_args=MOVED, device_types="cuda"
)
"""See `run_norm_less_border`."""

norm_add = custom_op("spikeyolo::norm_add", run_norm_add, mutates_args=MOVED, device_types="cuda")
"""See `run_norm_add`."""


@norm_ilif.register_fake
def _room(
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
    return room_like(x, x.dtype), room_like(x, torch.bool), room_of_channels(x), room_of_channels(x)


@norm_ilif_backward.register_fake
def _room_backward(
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
    return room_like(x, x.dtype), room_of_channels(x), room_of_channels(x)


@norm_less_border.register_fake
def _room_less_border(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return room_like(x, x.dtype), room_of_channels(x), room_of_channels(x), room_of_channels(x)


@norm_add.register_fake
def _room_add(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return room_like(x, torch.promote_types(x.dtype, shortcut.dtype)), room_of_channels(x), room_of_channels(x)


@norm_ilif.register_kernel("cpu")
def _eager(
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
    y, mean, rstd = torch.native_batch_norm(widen(x), weight, bias, running_mean, running_var, True, momentum, eps)
    neuron = Neuron(decay, gain, max_count)
    counts, _, kept = sequence(y.unflatten(0, (timesteps, -1)), None, None, neuron, False, "mask")
    return (
        room_like(x, x.dtype).copy_(counts.flatten(0, 1)),
        room_like(x, torch.bool).copy_(torch.cat(kept)),
        mean,
        rstd,
    )


@norm_ilif_backward.register_kernel("cpu")
def _eager_backward(
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
    passed, grads = (each.unflatten(0, (timesteps, -1)) for each in (mask, widen(grad_counts)))
    grad_y, _, _ = sequence_backward(passed.unbind(0), None, Neuron(decay, gain), "mask", grads, None, False)
    grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
        grad_y.flatten(0, 1), widen(x), weight, None, None, mean, rstd, True, 0.0, [True, True, True]
    )
    return room_like(x, x.dtype).copy_(grad_x), grad_weight, grad_bias


@norm_less_border.register_kernel("cpu")
def _eager_less_border(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y, mean, rstd = torch.native_batch_norm(widen(x), weight, bias, running_mean, running_var, True, momentum, eps)
    border = bias - running_mean * (weight / torch.sqrt(running_var + eps))
    return room_like(x, x.dtype).copy_(y - border.view(-1, 1, 1)), border, mean, rstd


@norm_add.register_kernel("cpu")
def _eager_add(
    x: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, rstd = torch.native_batch_norm(widen(x), weight, bias, running_mean, running_var, True, momentum, eps)
    return room_like(x, torch.promote_types(x.dtype, shortcut.dtype)).copy_(y + shortcut.flatten(0, 1)), mean, rstd
