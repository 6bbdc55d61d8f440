"""A depthwise convolution that trains fast on CPUs, too; everywhere else, and to whoever reads one, `nn.Conv2d`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def _for_training_on_cpu(conv: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """The input and the weight, both as autocast wants them, where the weight learns on a CPU; else None."""
    learns = conv.training and torch.is_grad_enabled() and conv.weight.requires_grad
    if not learns or x.device.type != "cpu":
        return None
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else conv.weight.dtype
    given = x.to(dtype) if torch.is_autocast_enabled("cpu") else x
    return (given, conv.weight.to(dtype)) if given.dtype == dtype else None


class _DepthwiseOnCPU(torch.autograd.Function):
    """A depthwise convolution, (N, C, H, W) and (C, 1, k, k), whose weights get their gradient three columns at a time.

    oneDNN has a fast kernel for that up to a width of three, and else computes each channel as a full convolution of
    16 channels, which for 7 x 7 takes many times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x, weight), (need_x, need_weight) = ctx.saved_tensors, ctx.needs_input_grad
        size = weight.shape[-1]
        pad = size // 2

        def gradients(x: Tensor, weight: Tensor, columns_pad: int, mask: list[bool]) -> Any:
            return torch.ops.aten.convolution_backward(
                grad, x, weight, None, [1, 1], [pad, columns_pad], [1, 1], False, [0, 0], len(weight), mask
            )

        grad_x = gradients(x, weight, pad, [True, False, False])[0] if need_x else None
        if not need_weight:
            return grad_x, None
        reach = 3 * -(-(pad - 1) // 3)  # of the first group's middle column from that of the kernel
        parts = []
        for shift in range(-reach, reach + 1, 3):
            moved = F.pad(x, (1 - shift, 1 + shift)) if shift else x
            parts.append(gradients(moved, weight[..., :3], 0 if shift else 1, [False, True, False])[1])
        return grad_x, torch.empty_like(weight).copy_(torch.cat(parts, dim=-1)[..., reach + 1 - pad :][..., :size])


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution that keeps the size of its input, without bias."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        given = _for_training_on_cpu(self, x)
        if given is not None and 3 < self.kernel_size[1] <= x.shape[-1]:
            return _DepthwiseOnCPU.apply(*given)
        return super().forward(x)
