"""Batch norms joined with what comes after them, where a GPU trains: what is between the two is never stored.

Everywhere else a norm is a module that is called.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from . import kernels
from .equation import Neuron


def joins(norm: nn.Module | None, x: Tensor) -> bool:
    """Whether a norm can be joined: one that learns on a GPU from this process's values alone, and nobody watches.

    Args:
        norm: of statistics in float32.
        x: on the norm's device, and what is no half precision is of its inputs' dtype.
    """
    return (
        isinstance(norm, nn.BatchNorm2d)  # nn.SyncBatchNorm is none
        and norm.training
        and norm.affine
        and norm.running_mean is not None
        and norm.momentum is not None
        and norm.weight.dtype == norm.running_mean.dtype == torch.float32
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()  # the compiler joins by itself
        and not watched(norm)
        and kernels.has_kernel(x, None, None, Neuron())
    )


def watched(*modules: nn.Module) -> bool:
    """Whether a hook would see what goes in or comes out."""
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
    return any(getattr(module, kind) for module in modules for kind in kinds)


class _NormILIF(torch.autograd.Function):
    """A norm and its neurons; keeps the norm's input, and a byte an element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d, neuron: Neuron) -> Tensor:
        from .kernels.norm_operator import norm_ilif  # needs triton

        images = x.flatten(0, 1)
        how = len(x), neuron.decay, neuron.gain
        counts, mask, mean, rstd = norm_ilif(images, weight, bias, *_statistics(norm), *how, neuron.max_count)
        ctx.save_for_backward(mask, images, weight, mean, rstd)
        ctx.how = how
        return counts.unflatten(0, x.shape[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from .kernels.norm_operator import norm_ilif_backward

        grad_x, *of_norm = norm_ilif_backward(grad.flatten(0, 1), *ctx.saved_tensors, *ctx.how)
        return grad_x.unflatten(0, grad.shape[:2]), *of_norm, None, None


def norm_and_fire(norm: nn.BatchNorm2d, x: Tensor, neuron: Neuron) -> Tensor:
    """Return the counts (T, B, C, H, W) of neurons at rest, whose currents a norm makes of x, of that shape.

    Potentials, and the currents, are float32; the norm is one that `joins`. More than one value a channel.
    """
    neuron.check()
    return _NormILIF.apply(x, norm.weight, norm.bias, norm, neuron)


class _NormLessBorder(torch.autograd.Function):
    """A norm less its border value, which is a constant for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        from .kernels.norm_operator import norm_less_border  # needs triton

        y, border, mean, rstd = norm_less_border(x, weight, bias, *_statistics(norm))
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.mark_non_differentiable(border)
        ctx.set_materialize_grads(False)
        return y, border

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
        return *_norm_backward(grad, *ctx.saved_tensors), None


def norm_less_border(norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a norm makes of x (N, C, H, W), less what it makes of a zero; and that, (C,) float32, a constant.

    The latter is by the running statistics, after x has moved them. The norm is one that `joins`.
    """
    return _NormLessBorder.apply(x, norm.weight, norm.bias, norm)


class _NormAdd(torch.autograd.Function):
    """A norm and a shortcut, which gets the gradient as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shortcut: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        from .kernels.norm_operator import norm_add  # needs triton

        images = x.flatten(0, 1)
        y, mean, rstd = norm_add(images, shortcut, weight, bias, *_statistics(norm))
        ctx.save_for_backward(images, weight, mean, rstd)
        ctx.dtype = shortcut.dtype
        return y.unflatten(0, x.shape[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_x, *of_norm = _norm_backward(grad.flatten(0, 1), *ctx.saved_tensors)
        return grad_x.unflatten(0, grad.shape[:2]), grad.to(ctx.dtype), *of_norm, None


def norm_and_add(norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor) -> Tensor:
    """Return what a norm makes of x (T, B, C, H, W), plus the shortcut of that shape; the norm is one that `joins`."""
    return _NormAdd.apply(x, shortcut, norm.weight, norm.bias, norm)


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor | None, Tensor | None, float | None, float]:
    return norm.running_mean, norm.running_var, norm.momentum, norm.eps


def _norm_backward(grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor) -> tuple[Tensor, ...]:
    """The gradients of x, weight and bias, by statistics of x."""
    given = grad.to(x.dtype), x, weight, None, None, mean, rstd
    found: tuple[Tensor, ...] = torch.ops.aten.native_batch_norm_backward(*given, True, 0.0, [True, True, True])
    return found
