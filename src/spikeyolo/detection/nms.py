"""Non-maximum suppression of tensors: on a CPU that of `suppression`, elsewhere one that stays on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ..structures import Detections
from .boxes import box_iou
from .suppression import MAX_CANDIDATES, suppressed

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
    detect = _by_arrays if boxes.device.type == "cpu" else _in_blocks
    return [
        detect(image_boxes, image_scores, conf, iou, max_det, multi_label)
        for image_boxes, image_scores in zip(boxes.detach(), scores.detach(), strict=True)
    ]


def _by_arrays(
    boxes: Tensor, scores: Tensor, conf: float, iou: float, max_det: int, multi_label: bool = False
) -> Detections:
    """Of one image, on the CPU: boxes (A, 4), scores (A, C)."""
    kept = suppressed(boxes.numpy(), scores.numpy(), conf, iou, max_det, multi_label)
    boxes, scores, labels = map(torch.from_numpy, kept)
    return Detections(boxes, scores, labels)


def _in_blocks(
    boxes: Tensor, scores: Tensor, conf: float, iou: float, max_det: int, multi_label: bool = False
) -> Detections:
    """Do the same on any device, without leaving it."""
    found = _candidates(boxes, scores, conf, multi_label)
    keep = _keep_in_blocks(found.boxes, found.scores, found.labels, iou, max_det)
    return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])


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


def _keep_in_blocks(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, max_det: int) -> Tensor:
    """Return the indices kept, best first, of boxes sorted by score, a block at a time until `max_det` are.

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
