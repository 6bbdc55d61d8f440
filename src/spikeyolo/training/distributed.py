"""What several processes share: the loss of a batch, and each other's fate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..detection.losses import DetectionLoss
from ..errors import DataError


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
    scale = own / shared * sums[1] / max(images, 1) * dist.get_world_size()  # of none the total is 0
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


def gathered(own: Any) -> list[Any]:
    """Return what each process gives, in the order of their ranks; tensors on the CPU."""
    if not _several():
        return [own]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, own)
    return found


@torch.no_grad()
def share_statistics(network: nn.Module) -> None:
    """Let all processes on CPUs go on with the first one's batch norm statistics.

    RepConv pads by them, so they are part of the next forward pass; and the first process's are what is saved. On GPUs
    the norms themselves share them. DistributedDataParallel would do it, but Lightning has that off for manual steps.
    """
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    if not _several() or not buffers or buffers[0].is_cuda:
        return
    joined = torch.cat([buffer.flatten() for buffer in buffers])
    dist.broadcast(joined, 0)
    for buffer, shared in zip(buffers, joined.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(shared.view_as(buffer))


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """What the libraries say when another process ends, or cannot be reached, becomes one line.

    Raises:
        DataError: that line.
    """
    try:
        yield
    except RuntimeError as error:
        of_library = _several() and any(name in str(error) for name in ("gloo", "NCCL"))
        if not of_library and not isinstance(error, dist.DistError):
            raise
        raise DataError("another process of this training ended, or its computer cannot be reached") from error


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
