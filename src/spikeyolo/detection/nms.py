"""Non-maximum suppression: of boxes that overlap, the best of each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..structures import Detections
from .boxes import box_iou

MAX_CANDIDATES = 30_000
"""Boxes of an image that are considered: the best by score."""

_BLOCK = 512


def non_maximum_suppression(
    boxes: Tensor, scores: Tensor, conf: float, iou: float, max_det: int, multi_label: bool = False
) -> list[Detections]:
    """Drop each box that a better one of its class overlaps more than `iou` (greedy non-maximum suppression).

    Args:
        boxes: (B, A, 4) xyxy.
        scores: (B, A, C) in 0..1.
        conf: minimum score, exclusive, 0..1.
        iou: maximum overlap of two boxes that are both kept, 0..1.
        max_det: maximum boxes of an image, 1 or more.
        multi_label: a box may be kept for each class over `conf`, as in evaluation; otherwise for its best one.

    Returns:
        For each image its detections, best first; of equal scores the earlier box first.
    """
    result = []
    for image_boxes, image_scores in zip(boxes.detach(), scores.detach(), strict=True):
        found = _candidates(image_boxes, image_scores, conf, multi_label)
        suppress = _keep_by_opencv if found.boxes.device.type == "cpu" else _keep_in_blocks
        keep = suppress(found.boxes, found.scores, found.labels, iou, max_det)
        result.append(Detections(found.boxes[keep], found.scores[keep], found.labels[keep]))
    return result


def _candidates(boxes: Tensor, scores: Tensor, conf: float, multi_label: bool) -> Detections:
    """Return the boxes (A, 4) whose scores (A, C) pass the threshold, best first, each with one label."""
    if multi_label:
        index, labels = (scores > conf).nonzero(as_tuple=True)
        best = scores[index, labels]
    else:
        best, labels = scores.max(1)
        index = (best > conf).nonzero().squeeze(1)
        best, labels = best[index], labels[index]
    order = torch.sort(best, descending=True, stable=True).indices[:MAX_CANDIDATES]
    return Detections(boxes[index[order]], best[order], labels[order])


def _keep_by_opencv(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, max_det: int) -> Tensor:
    """Return the indices kept, best first, of boxes sorted by score; OpenCV's implementation, the fastest on a CPU."""
    if len(boxes) == 0:
        return labels
    import cv2  # costs 0.1 s to import

    # OpenCV keeps classes apart by moving each by the largest coordinate, which is far enough from 0 on only.
    left_top = boxes[:, :2].double() - boxes[:, :2].amin(0)
    left_top_sides = torch.cat([left_top, (boxes[:, 2:] - boxes[:, :2]).double()], dim=1)
    suppress: Any = cv2.dnn.NMSBoxesBatched  # its stubs ask for lists where it takes arrays
    keep = suppress(left_top_sides.numpy(), scores.float().numpy(), labels.int().numpy(), -1.0, iou)
    return torch.as_tensor(keep, dtype=torch.int64).flatten()[:max_det]


def _keep_in_blocks(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, max_det: int) -> Tensor:
    """Return the same on any device without leaving it, a block of boxes at a time, until `max_det` are kept.

    Within a block the greedy rule "kept if no better kept box overlaps it" is applied to all boxes at once until
    nothing changes; by induction from the best box on, that is the sequential result.
    """
    kept = labels[:0]
    for start in range(0, len(boxes), _BLOCK):
        index = torch.arange(start, min(start + _BLOCK, len(boxes)), device=boxes.device)
        index = index[~_overlaps(boxes, labels, index, kept, iou).any(1)]
        better = _overlaps(boxes, labels, index, index, iou).tril(-1)
        alive = torch.ones_like(index, dtype=torch.bool)
        while True:
            survivors = ~(better & alive).any(1)
            if torch.equal(survivors, alive):
                break
            alive = survivors
        kept = torch.cat([kept, index[alive]])
        if len(kept) >= max_det:
            break
    return kept[:max_det]


def _overlaps(boxes: Tensor, labels: Tensor, rows: Tensor, columns: Tensor, iou: float) -> Tensor:
    """(rows, columns) bool: of one class, and overlapping more than `iou`."""
    same_class = labels[rows][:, None] == labels[columns]
    return same_class & (box_iou(boxes[rows].double(), boxes[columns].double()) > iou)
