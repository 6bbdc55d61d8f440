"""Task-aligned assignment: which anchor points answer for which labelled box.

The work is done on pairs (target, anchor point inside its box) only, of all images at once: no loop over images,
and no table of every target by every anchor point.

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


def _first_of_each_group(group: Tensor, value: Tensor, most: int) -> Tensor:
    """(P,) bool: the `most` highest values of each group; of equals the first."""
    order = torch.sort(value, descending=True, stable=True).indices
    order = order[torch.sort(group[order], stable=True).indices]
    sorted_group = group[order]
    position = torch.arange(len(group), device=group.device)
    starts = torch.ones_like(sorted_group, dtype=torch.bool)
    starts[1:] = sorted_group[1:] != sorted_group[:-1]
    rank = position - torch.cummax(torch.where(starts, position, torch.zeros_like(position)), 0).values
    chosen = torch.empty_like(starts)
    chosen[order] = rank < most
    return chosen


def _largest(group: Tensor, value: Tensor, count: int) -> Tensor:
    """(count,) the largest value of each group, 0 for a group without values."""
    return value.new_zeros(count).scatter_reduce(0, group, value, "amax")


@torch.no_grad()
def assign_targets(scores: Tensor, boxes: Tensor, points: Tensor, targets: Targets) -> Assignment:
    """Assigns to each target the anchor points inside its box that are best aligned with it.

    The alignment of an anchor point with a target is score ** 0.5 * CIoU ** 6; the ten best above zero answer for it.
    A point wanted by several targets goes to that with the largest overlap among all in whose box it lies. Weights are
    scaled so that the largest of a target equals its largest overlap.

    Args:
        scores: (B, A, C) class scores 0..1.
        boxes: (B, A, 4) predicted boxes, xyxy in pixels.
        points: (A, 2) anchor points in pixels.
        targets: of the B images.

    Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021, section 3.2.
    """
    anchors = len(points)
    target_boxes = targets.boxes.to(boxes)
    margins = torch.cat([points - target_boxes[:, None, :2], target_boxes[:, None, 2:] - points], dim=-1)  # (N, A, 4)
    target, anchor = (margins.amin(-1) > EPS).nonzero(as_tuple=True)
    image = targets.image_index[target]

    overlap = complete_iou(target_boxes[target], boxes[image, anchor]).clamp(min=0)
    alignment = scores[image, anchor, targets.labels[target]] ** ALPHA * overlap**BETA
    wanted = _first_of_each_group(target, alignment, TOP_K) & (alignment > 0)

    place = image * anchors + anchor
    places = scores.shape[0] * anchors
    suitors = torch.bincount(place[wanted], minlength=places)[place]
    is_largest = overlap == _largest(place, overlap, places)[place]
    nearest = _first_of_each_group(place, is_largest.to(overlap.dtype), 1) & is_largest
    final = torch.where(suitors > 1, nearest, wanted)

    target, anchor, image = target[final], anchor[final], image[final]
    alignment, overlap = alignment[final], overlap[final]
    best_alignment = _largest(target, alignment, len(targets))[target]
    best_overlap = _largest(target, overlap, len(targets))[target]
    return Assignment(image, anchor, target, alignment * best_overlap / (best_alignment + EPS))
