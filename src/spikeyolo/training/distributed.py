from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import Tensor, nn

from ..detection.losses import DetectionLoss


@dataclass(frozen=True)
class SharedLoss:
    """The loss of a batch that several processes may share.

    Attributes:
        total: scalar to call backward on; after averaging over processes its gradient is that of one process.
        parts: (3,) box, classes, distribution of the whole batch, without gradient.
    """

    total: Tensor
    parts: Tensor


def share_loss(loss: DetectionLoss, images: int) -> SharedLoss:
    """Makes the loss of a process's share of a batch that of the whole batch.

    Each process divides its sums by its own target scores and multiplies by its own images, and
    DistributedDataParallel averages gradients. Here both numbers become those of the whole batch and the average a
    sum, so that the gradient is the one a single process would have with all the images.

    Args:
        loss: of this process's images.
        images: of this process.
    """
    parts = torch.stack([loss.box, loss.classes, loss.distribution])
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return SharedLoss(loss.total, parts)
    own = loss.weight.detach().clamp(min=1)
    sums = torch.cat([torch.stack([loss.weight.detach(), own.new_tensor(images)]), parts * own])
    dist.all_reduce(sums)
    shared = sums[0].clamp(min=1)
    scale = own / shared * sums[1] / images * dist.get_world_size()
    return SharedLoss(loss.total * scale, sums[2:] / shared)


class _Sum(torch.autograd.Function):
    """The sum over processes; as each of them uses it, its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm whose statistics are those of all processes' images; torch's SyncBatchNorm refuses CPUs.

    Meant for a few processes: it exchanges two small tensors forward and two backward.
    """

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.BatchNorm2d`, over the (B, C, H, W) of all processes together."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        count = input.new_tensor([input.numel() / input.shape[1]])
        sums = _Sum.apply(torch.cat([input.sum((0, 2, 3)), count]))
        total = sums[-1]
        centred = input - (sums[:-1] / total)[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(sums[:-1] / total, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
        scale = self.weight / torch.sqrt(variance + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]


def _exchange(model: nn.Module, old: type[nn.BatchNorm2d], new: type[nn.BatchNorm2d]) -> nn.Module:
    """Replaces norms of exactly one class by another that shares their parameters and statistics."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is old:
                norm = new(child.num_features, eps=child.eps, momentum=child.momentum)
                norm._parameters, norm._buffers = child._parameters, child._buffers
                setattr(parent, name, norm.train(child.training))
    return model


class SharedNorms(LayerSync):
    """Lightning's plugin that puts `SharedBatchNorm` in place while several CPU processes train."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Before training."""
        return _exchange(model, nn.BatchNorm2d, SharedBatchNorm) if dist.is_initialized() else model

    def revert(self, model: nn.Module) -> nn.Module:
        """After it."""
        return _exchange(model, SharedBatchNorm, nn.BatchNorm2d)
