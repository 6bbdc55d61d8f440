"""Stand-ins for torch.compile, which takes minutes for a network: what is around it is tested with these in seconds."""

from __future__ import annotations

import torch
from torch import Tensor


class Compiler:
    """Takes the place of torch.compile, and notes what runs.

    Args:
        fails: nowhere, or in the small function, which stands for a machine without a compiler, or where it compiles
            the network's forward or backward pass.
        error: raised there.
    """

    def __init__(self, fails: str = "", error: Exception | None = None) -> None:
        self.fails, self.error = fails, error or RuntimeError("no luck\nand more")
        self.calls: list[str] = []

    def __call__(self, function, **options):
        name = function.__qualname__
        small = "<lambda>" in name

        def compiled(*args):
            if self.fails == ("small" if small else "forward"):
                raise self.error
            if not small:
                self.calls.append(name)
            found = function(*args)
            if small or self.fails != "backward" or not torch.is_grad_enabled():
                return found
            return tuple(_Fails.apply(level, self.error) for level in found)

        return compiled


class _Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, error: Exception) -> Tensor:
        ctx.error = error
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        raise ctx.error
