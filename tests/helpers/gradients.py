"""Gradients of a loss that two processes share; apart, so that those import no more than they need."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn

from spikeyolo.detection.losses import detection_loss
from spikeyolo.structures import STRIDES, Targets
from spikeyolo.training.distributed import share_loss, share_mean

CLASSES = 3


class Toy(nn.Module):
    """A convolution and a norm whose statistics are frozen before the logits of three levels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 64 + CLASSES, 1, bias=False), nn.BatchNorm2d(64 + CLASSES).eval()

    def forward(self, images):
        features = self.norm(self.conv(images))
        return [nn.functional.avg_pool2d(features, stride) for stride in STRIDES]


def batch() -> tuple[torch.Tensor, Targets]:
    """Six images, of which the last two hold no boxes."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(12, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 8 + torch.rand(12, 2, generator=generator) * 20], dim=1)
    labels = torch.randint(0, CLASSES, (12,), generator=generator)
    targets = Targets(torch.arange(4).repeat_interleave(3), labels, boxes, num_images=6)
    return torch.rand(6, 3, 64, 64, generator=generator).double(), targets


def gradients(model: nn.Module, images: torch.Tensor, targets: Targets) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    logits = model(images)
    loss = share_loss(detection_loss(logits, targets, STRIDES), len(images))
    # A mean over boxes, of which one process has none, and one over images.
    by_boxes, mean = share_mean(logits[0].square().sum(), len(targets), len(images))
    by_images, other = share_mean(logits[1].square().sum(), float(len(images)), len(images))
    (loss.total + by_boxes + by_images).backward()
    return {name: p.grad for name, p in model.named_parameters()}, torch.cat([loss.parts, torch.stack([mean, other])])


def one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    images, targets = batch()
    rows = slice(0, 4) if rank == 0 else slice(4, 6)  # unequal shares, and one without any box
    own = (targets.image_index >= rows.start) & (targets.image_index < rows.stop)
    share = Targets(
        targets.image_index[own] - rows.start, targets.labels[own], targets.boxes[own], rows.stop - rows.start
    )
    found, parts = gradients(Toy().double(), images[rows], share)
    for gradient in found.values():  # as DistributedDataParallel does
        dist.all_reduce(gradient)
        gradient /= 2
    torch.save({"gradients": found, "parts": parts}, f"{folder}/{rank}")
    dist.destroy_process_group()
