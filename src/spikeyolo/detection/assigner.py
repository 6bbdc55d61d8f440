"""Task-aligned assignment: which anchor points answer for which labelled box.

One boolean table of every target by every anchor point says which lie inside which; all else is computed for those
pairs only, of all images at once.

Shape letters: B images, A anchor points, C classes, N targets, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..structures import Targets
from .boxes import complete_iou

TOP_K, ALPHA, BETA = 10, 0.5, 6.0
"""Anchor points per target, and the powers of score and overlap in the alignment. Source: TOOD, ICCV 2021."""

EPS = 1e-9


@dataclass(frozen=True)
class Assignment:
    """The anchor points that answer for a target, P of them.

    Attributes:
        image_index: (P,) image.
        anchor_index: (P,) anchor point; no (image, anchor point) appears twice.
        target_index: (P,) row of the targets.
        weight: (P,) the aligned target score, 0..1.
    """

    image_index: Tensor
    anchor_index: Tensor
    target_index: Tensor
    weight: Tensor


def _best_of_each_group(group: Tensor, value: Tensor, count: int) -> Tensor:
    """(P,) bool: the `count` highest values of each group; of equals the first."""
    order = torch.sort(value, descending=True, stable=True).indices
    order = order[torch.sort(group[order], stable=True).indices]
    sorted_group = group[order]
    position = torch.arange(len(group), device=group.device)
    starts = torch.ones_like(sorted_group, dtype=torch.bool)
    starts[1:] = sorted_group[1:] != sorted_group[:-1]
    rank = position - torch.cummax(torch.where(starts, position, torch.zeros_like(position)), 0).values
    chosen = torch.empty_like(starts)
    chosen[order] = rank < count
    return chosen


def _maximum(group: Tensor, value: Tensor, groups: int) -> Tensor:
    """(groups,) the maximum of each group, 0 for a group without values."""
    return value.new_zeros(groups).scatter_reduce(0, group, value, "amax")


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """(N, A) bool: which points (A, 2) lie inside which boxes (N, 4), not on their border."""
    x, y = points.unbind(1)
    left, top, right, bottom = boxes.unsqueeze(2).unbind(1)  # (N, 1) each
    inside = x > left
    inside &= x < right
    inside &= y > top
    inside &= y < bottom
    return inside


@torch.no_grad()
def assign_targets(scores: Tensor, boxes: Tensor, points: Tensor, targets: Targets) -> Assignment:
    """Assign to each target the anchor points inside its box that are best aligned with it.

    The alignment of an anchor point with a target is score ** 0.5 * CIoU ** 6; the ten best above zero answer for it.
    A point that is among the best of several targets goes to the one with the largest overlap of all in whose box it
    lies. Weights are scaled so that the largest of a target equals its largest overlap.

    Args:
        scores: (B, A, C) class scores 0..1.
        boxes: (B, A, 4) predicted boxes, xyxy in pixels.
        points: (A, 2) anchor points in pixels.
        targets: of the B images.

    Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021, section 3.2.
    """
    anchors = len(points)
    target_boxes = targets.boxes.to(boxes)
    target, anchor = _inside(points, target_boxes).nonzero(as_tuple=True)  # (P,) each
    image = targets.image_index[target]

    overlap = complete_iou(target_boxes[target], boxes[image, anchor]).clamp(min=0)
    alignment = scores[image, anchor, targets.labels[target]] ** ALPHA * overlap**BETA
    candidates = _best_of_each_group(target, alignment, TOP_K) & (alignment > 0)

    cell = image * anchors + anchor
    cells = scores.shape[0] * anchors
    claims = torch.bincount(cell[candidates], minlength=cells)[cell]
    is_largest = overlap == _maximum(cell, overlap, cells)[cell]
    nearest = _best_of_each_group(cell, is_largest.to(overlap.dtype), 1) & is_largest
    final = torch.where(claims > 1, nearest, candidates)

    target, anchor, image = target[final], anchor[final], image[final]
    alignment, overlap = alignment[final], overlap[final]
    best_alignment = _maximum(target, alignment, len(targets))[target]
    best_overlap = _maximum(target, overlap, len(targets))[target]
    return Assignment(image, anchor, target, alignment * best_overlap / (best_alignment + EPS))
