"""From logits to boxes and scores, and to what was found on each image: arrays alone, no torch.

Shape letters: B images, A anchor points of all levels together, C classes, N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..detection.suppression import suppressed
from ..detection.thresholds import Thresholds
from ..errors import ShapeError
from ..placement import REG_MAX, Placement


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found on one image, best first: the fields of `spikeyolo.Detections`, as arrays.

    Attributes:
        boxes: (N, 4) float32 xyxy in pixels of the image.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 class indices.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def anchor_points(sizes_hw: Sequence[tuple[int, int]], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres (A, 2) of all cells in pixels, level by level, row by row, and their strides (A,)."""
    points, point_strides = [], []
    for (rows, columns), stride in zip(sizes_hw, strides, strict=True):
        y, x = np.mgrid[:rows, :columns].astype(np.float32) + np.float32(0.5)
        points.append(np.stack([x, y], axis=-1).reshape(-1, 2) * np.float32(stride))
        point_strides.append(np.full(rows * columns, stride, np.float32))
    return np.concatenate(points), np.concatenate(point_strides)


def expected_ltrb(distributions: np.ndarray) -> np.ndarray:
    """(..., 4, REG_MAX) logits -> (..., 4) expected distances, in strides. Source: GFL, eq. 5."""
    shares = np.exp(distributions - distributions.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    expected: np.ndarray = shares @ np.arange(REG_MAX, dtype=shares.dtype)
    return expected


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)), without an overflow for large negative x."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def decode(logits: Sequence[np.ndarray], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Turn the logits of all levels into a box and class scores for each anchor point.

    Args:
        logits: for each level (B, 4 * REG_MAX + C, H, W); widened to float32 first.
        strides: of each level.

    Returns:
        boxes: (B, A, 4) float32 xyxy in pixels of the network's input; they may reach beyond it.
        scores: (B, A, C) float32 in 0..1.

    Raises:
        ShapeError: the levels and strides differ in number, or the distributions need more channels.
    """
    if len(logits) != len(strides):
        raise ShapeError(f"logits: {len(logits)} levels beside {len(strides)} strides")
    if logits[0].ndim != 4 or logits[0].shape[1] <= 4 * REG_MAX:
        raise ShapeError(f"logits: expected (B, {4 * REG_MAX} + classes, H, W), got {logits[0].shape}")
    flat = [level.astype(np.float32, copy=False).reshape(*level.shape[:2], -1) for level in logits]
    joined = np.ascontiguousarray(np.concatenate(flat, axis=2).transpose(0, 2, 1))  # (B, A, 4 * REG_MAX + C)
    points, point_strides = anchor_points([(level.shape[2], level.shape[3]) for level in logits], strides)
    distributions = joined[..., : 4 * REG_MAX].reshape(*joined.shape[:2], 4, REG_MAX)
    distances = expected_ltrb(distributions) * point_strides[:, None]
    boxes = np.concatenate([points - distances[..., :2], points + distances[..., 2:]], axis=-1)
    return boxes, sigmoid(joined[..., 4 * REG_MAX :])


def found_on(
    boxes: np.ndarray,
    scores: np.ndarray,
    thresholds: Thresholds,
    placements: Sequence[Placement] | None = None,
    *,
    multi_label: bool = False,
) -> list[Detections]:
    """Return the detections of a batch.

    Args:
        boxes: (B, A, 4) xyxy in pixels of the canvas.
        scores: (B, A, C) in 0..1.
        thresholds: which detections are kept.
        placements: how each image lies on its canvas; boxes are then in pixels of the original, clipped to it.
        multi_label: a box may count for each of its classes, as in evaluation; else for its best one.
    """
    boxes, scores = (values.astype(np.float32, copy=False) for values in (boxes, scores))
    conf, iou, max_det = thresholds.conf, thresholds.iou, thresholds.max_det
    found = [
        Detections(*suppressed(of_image, its_scores, conf, iou, max_det, multi_label))
        for of_image, its_scores in zip(boxes, scores, strict=True)
    ]
    return on_originals(found, placements)


def on_originals(found: Sequence[Detections], placements: Sequence[Placement] | None) -> list[Detections]:
    """Return detections whose boxes are in pixels of the originals; without placements they stay on the canvas."""
    if placements is None:
        return list(found)
    pairs = zip(found, placements, strict=True)
    return [Detections(place.to_original(d.boxes), d.scores, d.labels) for d, place in pairs]
