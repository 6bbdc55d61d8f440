"""The loss of a batch that several processes share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

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
    """Make the loss of a process's share of a batch that of the whole batch.

    Each process divides its sums by its own target scores and multiplies by its own images, and
    DistributedDataParallel averages gradients. Here both numbers become those of the whole batch and the average a
    sum, so that the gradient is the one a single process would have with all the images.

    Args:
        loss: of this process's images.
        images: of this process.
    """
    parts = torch.stack([loss.box, loss.classes, loss.distribution])
    if not _several():
        return SharedLoss(loss.total, parts)
    own = loss.weight.detach().clamp(min=1)
    sums = torch.cat([torch.stack([loss.weight.detach(), own.new_tensor(images)]), parts * own])
    dist.all_reduce(sums)
    shared = sums[0].clamp(min=1)
    scale = own / shared * sums[1] / images * dist.get_world_size()
    return SharedLoss(loss.total * scale, sums[2:] / shared)


def share_mean(total: Tensor, weight: Tensor | float, images: int) -> tuple[Tensor, Tensor]:
    """Return a mean over a batch that several processes may share, as `share_loss` does the loss.

    Args:
        total: scalar, the sum over this process's images.
        weight: scalar, what the sums of all processes together are divided by, or 1 where it is less.
        images: of this process.

    Returns:
        The mean times the images of the batch, to call backward on, and the mean without gradient.
    """
    sums = torch.stack([total.detach(), *(total.new_tensor(float(value)) for value in (weight, images))])
    if _several():
        dist.all_reduce(sums)
    divisor = sums[1].clamp(min=1)
    processes = dist.get_world_size() if _several() else 1
    return total / divisor * sums[2] * processes, sums[0] / divisor


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
