"""Overlaps of boxes; `xyxy` is left, top, right, bottom."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _overlap_and_areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return intersection and both areas of boxes that broadcast against each other: each (...)."""
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return (
        sides.clamp(min=0).prod(-1),
        (a[..., 2:] - a[..., :2]).prod(-1),
        (b[..., 2:] - b[..., :2]).prod(-1),
    )


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU of each box of a (N, 4) with each of b (M, 4), xyxy -> (N, M); 0 where both are empty."""
    intersection, area_a, area_b = _overlap_and_areas(a[:, None], b[None])
    union = area_a + area_b - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def complete_iou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Complete IoU of corresponding boxes: IoU minus the distance of centres and the difference of aspect ratios.

    Args:
        a: (..., 4) xyxy; gradients flow.
        b: (..., 4) xyxy.
        eps: keeps quotients of empty boxes finite.

    Returns:
        (...) at most 1, negative for boxes that lie apart.

    Source: Zheng et al., Distance-IoU Loss, AAAI 2020, eq. 8-11.
    """
    intersection, area_a, area_b = _overlap_and_areas(a, b)
    iou = intersection / (area_a + area_b - intersection + eps)
    enclosing = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal2 = enclosing.square().sum(-1) + eps
    distance2 = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    (width_a, height_a), (width_b, height_b) = (
        (a[..., 2:] - a[..., :2]).unbind(-1),
        (b[..., 2:] - b[..., :2]).unbind(-1),
    )
    angle = torch.atan(width_b / (height_b + eps)) - torch.atan(width_a / (height_a + eps))
    v = (4 / math.pi**2) * angle.square()
    with torch.no_grad():
        alpha = v / (v - iou + (1 + eps))
    return iou - distance2 / diagonal2 - alpha * v
