"""Task-aligned assignment: which anchor points answer for which labelled box.

Anchor points lie on grids, so arithmetic says which lie inside which box; all else is computed for those pairs only, of
all images at once. No shape depends on values that a device would have to be waited for: boxes are known on the host,
and of the points that are chosen there is room for as many as there can be.

Shape letters: B images, A anchor points, C classes, N targets, L levels, P pairs of a target and a point inside its
box, S = TOP_K * N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..structures import Targets
from .boxes import complete_iou

TOP_K, ALPHA, BETA = 10, 0.5, 6.0
"""Anchor points per target, and the powers of score and overlap in the alignment. Source: TOOD, ICCV 2021."""

EPS = 1e-9


@dataclass(frozen=True)
class Assignment:
    """The anchor points that answer for a target: S rows, of which those that are `chosen` count.

    Attributes:
        image_index: (S,) image.
        anchor_index: (S,) anchor point; no (image, anchor point) is chosen twice.
        target_index: (S,) row of the targets.
        weight: (S,) the aligned target score, 0..1; 0 in rows that do not count.
        chosen: (S,) bool.
    """

    image_index: Tensor
    anchor_index: Tensor
    target_index: Tensor
    weight: Tensor
    chosen: Tensor


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


def _span(low: np.ndarray, high: np.ndarray, stride: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) first cell whose centre lies between low and high, not on them, and how many cells do."""
    first = np.clip(np.floor(low / stride - 0.5) + 1, 0, length)
    last = np.clip(np.ceil(high / stride - 0.5) - 1, -1, length - 1)
    return first, np.maximum(last - first + 1, 0)


def points_inside(
    boxes: Tensor, sizes_hw: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return which anchor points lie inside which boxes, not on their border.

    Args:
        boxes: (N, 4) xyxy in pixels, on the CPU.
        sizes_hw: rows and columns of each level.
        strides: of each level, powers of two, so that this is exact.
        device: of the result.

    Returns:
        target: (P,) row of the boxes, ascending.
        anchor: (P,) anchor point, as `anchors.anchor_points` orders them, ascending within a box.
    """
    left, top, right, bottom = boxes.double().numpy().T
    levels, start = [], 0
    for (rows, columns), stride in zip(sizes_hw, strides, strict=True):
        (first_column, wide), (first_row, high) = (
            _span(left, right, stride, columns),
            _span(top, bottom, stride, rows),
        )
        levels.append([start + first_row * columns + first_column, wide, np.full_like(wide, columns), wide * high])
        start += rows * columns
    # (4, N * L): the first point of a box on a level, points in a row of it, points in a row of the level, points.
    table = np.array(levels).transpose(1, 2, 0).reshape(4, -1).astype(np.int64)
    ends = table[3].cumsum()
    pairs = int(ends[-1]) if len(ends) else 0
    table = torch.from_numpy(np.vstack([table, ends - table[3]])).to(device, non_blocking=True)
    groups = torch.arange(table.shape[1], device=device).repeat_interleave(table[3], output_size=pairs)
    first, wide, columns, _, begin = table[:, groups]
    within = torch.arange(pairs, device=device) - begin
    return groups // len(levels), first + within // wide * columns + within % wide


@torch.no_grad()
def assign_targets(
    scores: Tensor, boxes: Tensor, sizes_hw: Sequence[tuple[int, int]], strides: Sequence[int], targets: Targets
) -> Assignment:
    """Assign to each target the anchor points inside its box that are best aligned with it.

    The alignment of an anchor point with a target is score ** 0.5 * CIoU ** 6; the ten best above zero answer for it.
    A point that is among the best of several targets goes to the one with the largest overlap of all in whose box it
    lies. Weights are scaled so that the largest of a target equals its largest overlap.

    Args:
        scores: (B, A, C) class scores 0..1.
        boxes: (B, A, 4) predicted boxes, xyxy in pixels.
        sizes_hw: rows and columns of each level of anchor points.
        strides: of each level.
        targets: of the B images.

    Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021, section 3.2.
    """
    anchors = boxes.shape[1]
    target, anchor = points_inside(targets.boxes_on_host, sizes_hw, strides, boxes.device)
    image = targets.image_index[target]

    overlap = complete_iou(targets.boxes.to(boxes)[target], boxes[image, anchor]).clamp(min=0)
    alignment = scores[image, anchor, targets.labels[target]] ** ALPHA * overlap**BETA
    candidates = _best_of_each_group(target, alignment, TOP_K) & (alignment > 0)

    cell = image * anchors + anchor
    cells = scores.shape[0] * anchors
    claims = cell.new_zeros(cells).scatter_add(0, cell, candidates.to(cell.dtype))[cell]
    is_largest = overlap == _maximum(cell, overlap, cells)[cell]
    nearest = _best_of_each_group(cell, is_largest.to(overlap.dtype), 1) & is_largest
    final = torch.where(claims > 1, nearest, candidates)

    # A point that several claim is chosen once, so there are at most as many as candidates: TOP_K a target.
    room = TOP_K * len(targets) if len(target) else 0
    place = torch.where(final, final.cumsum(0) - 1, room)
    pair = place.new_zeros(room + 1).scatter(0, place, torch.arange(len(place), device=place.device))[:room]
    chosen = torch.arange(room, device=place.device) < final.sum()
    target, anchor, image = target[pair], anchor[pair], image[pair]
    alignment, overlap = alignment[pair] * chosen, overlap[pair] * chosen
    best_alignment = _maximum(target, alignment, len(targets))[target]
    best_overlap = _maximum(target, overlap, len(targets))[target]
    return Assignment(image, anchor, target, alignment * best_overlap / (best_alignment + EPS), chosen)
